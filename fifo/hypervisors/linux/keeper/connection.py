"""One client: its frames in, its answers and events out, never waited for."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from fifo.hypervisors.linux.keeper import frames, limits
from fifo.hypervisors.linux.keeper.loop import READ, WRITE

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from fifo.hypervisors.linux.keeper.commands import Command
    from fifo.hypervisors.linux.keeper.consoles import Consoles
    from fifo.hypervisors.linux.keeper.loop import Loop

    Handle = Callable[["Connection", dict[str, Any]], None]


class Connection:
    """A client's line, and what was begun on it. Used on the keeper's thread alone.

    A client that reads nothing is dropped when too much waits for it. One that has closed its
    sending side is gone: nothing more is wanted of it.
    """

    def __init__(
        self,
        loop: Loop,
        line: socket.socket,
        handle: Handle,
        gone: Callable[[Connection], None],
    ) -> None:
        self.greeted = False
        self.reads_exits = False
        self.commands: dict[int, Command] = {}
        self.channels: dict[int, Channel] = {}
        self._loop = loop
        self._line = line
        self._handle = handle
        self._gone = gone
        self._decoder = frames.Decoder()
        self._unsent = bytearray()
        # Commands whose output waits until this line is free again, by the way to resume them.
        self._waiting: list[Callable[[], None]] = []
        self._closing = False
        self.closed = False
        line.settimeout(0)
        loop.watch(line.fileno(), READ, self._ready)

    # --- in --------------------------------------------------------------------------------------

    def _ready(self, events: int) -> None:
        try:
            if events & WRITE:
                self._flush()
            if events & READ and not self.closed and not self._closing:
                self._receive()
        except OSError:
            self.close()

    def _receive(self) -> None:
        try:
            data = self._line.recv(limits.CHUNK_BYTES)
        except BlockingIOError:
            return
        if not data:
            self.close()
            return
        try:
            requests = self._decoder.feed(data)
        except frames.FrameError as error:
            self.refuse(None, "malformed", f"{error}; the connection is closed")
            self.finish()
            return
        for request in requests:
            if not self.closed:
                self._handle(self, request)

    # --- out -------------------------------------------------------------------------------------

    def answer(self, number: Any, result: dict[str, Any]) -> None:
        """Answer a request."""
        self.send({"id": number, "ok": result})

    def refuse(self, number: Any, code: str, message: str) -> None:
        """Answer a request that is not done."""
        self.send({"id": number, "error": {"code": code, "message": message}})

    def send(self, values: dict[str, Any]) -> None:
        """Send a frame as soon as the client takes it; nothing if the line is closed."""
        if self.closed:
            return
        self._unsent += frames.encode(values)
        if len(self._unsent) > limits.UNSENT_BYTES_MAX:
            self.close()
            return
        try:
            self._flush()
        except OSError:
            self.close()

    def _flush(self) -> None:
        try:
            while self._unsent:
                sent = self._line.send(self._unsent)
                del self._unsent[:sent]
        except BlockingIOError:
            self._loop.watch(self._line.fileno(), READ | WRITE, self._ready)
            return
        if self._closing:
            self.close()
            return
        self._loop.watch(self._line.fileno(), READ, self._ready)
        waiting, self._waiting = self._waiting, []
        for resume in waiting:
            resume()

    def congested(self) -> bool:
        """Tell whether more waits for this client than one that reads leaves waiting."""
        return len(self._unsent) > limits.SLOW_BYTES

    def when_free(self, resume: Callable[[], None]) -> None:
        """Call once when all has been sent, or when the line is closed."""
        self._waiting.append(resume)

    # --- the end ---------------------------------------------------------------------------------

    def finish(self) -> None:
        """Close the line when all has been sent."""
        self._closing = True
        if not self.closed and not self._unsent:
            self.close()

    def close(self) -> None:
        """Close the line at once. The commands begun on it go on to their deadlines."""
        if self.closed:
            return
        self.closed = True
        self._loop.forget(self._line.fileno())
        self._line.close()
        self._unsent.clear()
        for channel in list(self.channels.values()):
            channel.leave()
        for resume in self._waiting:
            resume()
        self._waiting.clear()
        self._gone(self)


class Channel:
    """A console that is attached to a client (see `consoles.Watcher`)."""

    def __init__(self, connection: Connection, number: int, name: str, consoles: Consoles) -> None:
        self.name = name
        self._connection = connection
        self._number = number
        self._consoles = consoles

    def show(self, data: bytes) -> bool:
        """Send output, unless too much waits already."""
        if self._connection.congested():
            return False
        text = base64.b64encode(data).decode("ascii")
        self._event("console", data=text)
        return True

    def detached(self, reason: str) -> None:
        """Tell the client that nothing more comes."""
        self._connection.channels.pop(self._number, None)
        self._event("console_end", reason=reason)

    def demoted(self) -> None:
        """Tell the client that it only watches now."""
        self._event("console_demoted")

    def leave(self) -> None:
        """Detach it."""
        self._connection.channels.pop(self._number, None)
        self._consoles.leave(self.name, self)

    def _event(self, event: str, **values: str) -> None:
        self._connection.send({"event": event, "channel": self._number, **values})
