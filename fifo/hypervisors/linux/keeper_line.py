"""One connection to the keeper: requests matched with answers, and events handed to who waits."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any, Final, cast

from fifo.hypervisors.linux.keeper import frames
from fifo.hypervisors.linux.keeper.limits import EXITS_KEPT_MAX
from fifo.hypervisors.linux.keeper_values import error_of
from fifo.model.errors import DeadlineExceeded, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path
    from typing import Self

VERSIONS: Final = {"oldest": 1, "newest": 1}
"""Of the protocol that this client speaks; a keeper may be older or newer than its node."""
HELLO_S: Final = 5.0
"""For the first answer: a keeper that serves gives it within a turn of its loop."""
EXITS_UNREAD_MAX: Final = 2 * EXITS_KEPT_MAX
"""Exits nobody has taken yet: all that a keeper keeps, and as many new ones meanwhile."""
SLOW: Final = "slow"
"""The reason of an attachment that ended since this side read too slowly; the keeper's word too."""
OUTPUT_UNREAD_BYTES_MAX: Final = 4 * 1024 * 1024
"""Console output nobody has taken yet; beyond it this watcher is the slow one and is detached."""


def lost(subject: str) -> DeadlineExceeded:
    """Make the error of a request whose connection broke: nobody knows whether it was done."""
    return DeadlineExceeded(
        "the connection to the keeper broke before it answered",
        subject,
        "look what was done, then ask again",
        reason="KEEPER_LOST",
    )


class Attachment:
    """A console as this client sees it: iterate over the output, write, resize, detach.

    The iteration ends when the guest has (`reason` `ended`), when the console was closed, or after
    `detach`; it raises Unavailable when this side read too slowly (`slow`) or the connection broke
    (`lost`): attach again. `writes` turns False when somebody takes the writing over.
    """

    def __init__(self, line: Line, number: int, console: str, *, writes: bool) -> None:
        self.console = console
        self.writes = writes
        self.reason = ""
        self._line = line
        self._number = number
        self._unread = bytearray()
        self._changed = asyncio.Event()

    def receive(self, event: dict[str, Any]) -> None:
        """Take an event of this channel; called by the line."""
        match event["event"]:
            case "console":
                self._unread += base64.b64decode(event["data"])
                if len(self._unread) > OUTPUT_UNREAD_BYTES_MAX:
                    self._line.tell("detach", channel=self._number)
                    self.end(SLOW)
            case "console_demoted":
                self.writes = False
            case "console_end":
                self.end(event["reason"])
        self._changed.set()

    def end(self, reason: str) -> None:
        """Note that nothing more comes; called by the line, or by `detach`."""
        self.reason = self.reason or reason
        self._line.channels.pop(self._number, None)
        self._changed.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while not self._unread:
            if self.reason in {SLOW, "lost"}:
                raise Unavailable(
                    f"detached from the console ({self.reason})",
                    self.console,
                    "attach again; the last 64 KiB are shown",
                    reason=f"KEEPER_CONSOLE_{self.reason.upper()}",
                )
            if self.reason:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        data = bytes(self._unread)
        self._unread.clear()
        return data

    async def write(self, data: bytes) -> None:
        """Type into the guest; Busy if another writes, Unavailable if the guest does not read."""
        await self._call("write", data=base64.b64encode(data).decode("ascii"))

    async def resize(self, rows: int, columns: int) -> None:
        """Tell the terminal its size; Unsupported for a serial line, which has none."""
        await self._call("resize", rows=rows, columns=columns)

    async def detach(self) -> None:
        """Leave; the guest does not notice. Nothing if it has ended."""
        if not self.reason:
            self.end("detached")
            self._line.tell("detach", channel=self._number)

    async def _call(self, name: str, **fields: Any) -> None:
        await self._line.call(name, HELLO_S, channel=self._number, **fields)


class Line(asyncio.Protocol):
    """One connection. Its owner asks `closed` and opens another."""

    def __init__(self, path: Path) -> None:
        self.hello: dict[str, Any] = {}
        self.closed = False
        self.outputs: dict[int, Callable[[str, bytes], None]] = {}
        self.channels: dict[int, Attachment] = {}
        self._path = path
        self._decoder = frames.Decoder()
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._exits: asyncio.Queue[dict[str, Any] | None] | None = None
        self._numbers = 0
        self._transport: asyncio.WriteTransport | None = None
        self._writable = asyncio.Event()

    @classmethod
    async def open(cls, path: Path) -> Line:
        """Connect and greet; raises OSError, DeadlineExceeded, NotReady if no version fits both."""
        loop = asyncio.get_running_loop()
        _, line = await loop.create_unix_connection(lambda: cls(path), str(path))
        try:
            line.hello = await line.call("hello", HELLO_S, **VERSIONS)
        except BaseException:
            line.close()
            raise
        return line

    # --- asking ----------------------------------------------------------------------------------

    def next_number(self) -> int:
        """Give a number no request had."""
        self._numbers += 1
        return self._numbers

    async def call(
        self, name: str, timeout_s: float, *, number: int | None = None, **fields: Any
    ) -> dict[str, Any]:
        """Ask and give the answer.

        Raises what the keeper's refusal maps to, and DeadlineExceeded if no answer came.
        """
        number = number or self.next_number()
        await self.ask(name, number, **fields)
        return await self.answer(name, number, timeout_s)

    async def ask(self, name: str, number: int, **fields: Any) -> None:
        """Send a request as soon as there is room; `answer` has to be awaited for it then.

        What is asked after this returned is done after it.
        """
        await self._writable.wait()
        self._waiting[number] = asyncio.get_running_loop().create_future()
        self._send({"id": number, "op": name, **fields})

    async def answer(self, name: str, number: int, timeout_s: float) -> dict[str, Any]:
        """Give the answer of a request that was asked; raises as `call` does."""
        future = self._waiting[number]
        try:
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError:
            raise DeadlineExceeded(
                f"no answer to {name} within {timeout_s:g} s",
                str(self._path),
                "look what was done; a keeper that stays silent has to be restarted",
                reason="KEEPER_SILENT",
            ) from None
        finally:
            self._waiting.pop(number, None)

    def tell(self, name: str, **fields: Any) -> None:
        """Ask and take no answer; nothing if the connection is closed."""
        self._send({"id": self.next_number(), "op": name, **fields})

    def _send(self, request: dict[str, Any]) -> None:
        if self._transport is not None and not self.closed:
            self._transport.write(frames.encode(request))
        elif future := self._waiting.get(request["id"]):
            future.set_exception(lost(str(self._path)))

    async def exits(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the exit events until the connection ends; ask `exits` only when this is called."""
        queue = self._exits
        assert queue is not None
        while (record := await queue.get()) is not None:
            yield record

    def expect_exits(self) -> None:
        """Begin to keep exit events for `exits`; earlier ones that nobody took are dropped."""
        self._exits = asyncio.Queue(EXITS_UNREAD_MAX)

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    # --- asyncio.Protocol ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; called by the loop."""
        # Of a stream socket it is one; other loops' transports do not say so by their class.
        self._transport = cast("asyncio.WriteTransport", transport)
        self._writable.set()

    def pause_writing(self) -> None:
        """Hold requests back; called by the loop."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Let requests go; called by the loop."""
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        """Hand on what has come; called by the loop."""
        try:
            for message in self._decoder.feed(data):
                self._dispatch(message)
        except (frames.FrameError, KeyError):
            # Not a keeper, or a broken one: nothing it says can be matched any more.
            self.close()

    def _dispatch(self, message: dict[str, Any]) -> None:
        match message.get("event"):
            case None:
                self._answered(message)
            case "exit":
                self._exit(message)
            case "output":
                if take := self.outputs.get(message["id"]):
                    take(message["stream"], base64.b64decode(message["data"]))
            case _:
                if channel := self.channels.get(message.get("channel", 0)):
                    channel.receive(message)

    def _answered(self, message: dict[str, Any]) -> None:
        future = self._waiting.get(message["id"] or 0)
        if future is None or future.done():
            return
        if "error" in message:
            future.set_exception(error_of(str(self._path), message["error"]))
        else:
            future.set_result(message["ok"])

    def _exit(self, record: dict[str, Any]) -> None:
        if self._exits is None:
            return
        if self._exits.full():
            # The keeper has them: the reader asks again where it stopped.
            self.close()
        else:
            self._exits.put_nowait(record)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail who waits; called by the loop."""
        del exc
        self.closed = True
        self._writable.set()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(lost(str(self._path)))
        for channel in list(self.channels.values()):
            channel.end("lost")
        if self._exits is not None:
            # One place is made if need be: the reader has to learn that nothing more comes.
            if self._exits.full():
                self._exits.get_nowait()
            self._exits.put_nowait(None)
