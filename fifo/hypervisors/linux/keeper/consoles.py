"""Consoles: what guests say, kept in a log and a ring, and shown to whoever is attached.

Two kinds. `terminal`: the master of a pseudo-terminal, sent by an OCI runtime over a console
socket or made for a spawned process; the holder keeps it alive beyond the keeper. `socket`: a unix
socket of QEMU's, to which the keeper connects again and again while the instance of that name runs.

A guest is read whether anybody watches or not, and never waits for a watcher. Many may watch, one
may write; who takes the writing over from another does so by asking for it.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import termios
from typing import TYPE_CHECKING, Protocol

from fifo.hypervisors.linux.keeper import limits
from fifo.hypervisors.linux.keeper.fields import Refusal
from fifo.hypervisors.linux.keeper.logs import LogFile, TurnedLog
from fifo.hypervisors.linux.keeper.loop import READ, WRITE
from fifo.hypervisors.linux.keeper.program import refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.hypervisors.linux.keeper.holder import Holder
    from fifo.hypervisors.linux.keeper.journal import Journal
    from fifo.hypervisors.linux.keeper.loop import Loop


class Watcher(Protocol):
    """Who is attached, as a console sees it."""

    def show(self, data: bytes) -> bool:
        """Take output; False if too much of it waits already, and it is detached."""

    def detached(self, reason: str) -> None:
        """Learn that nothing more comes: `ended`, `closed`, `slow`."""

    def demoted(self) -> None:
        """Learn that another writes now."""


class Console:
    """One console and who is attached to it. `descriptor` is -1 while there is no guest."""

    def __init__(self, name: str, kind: str, path: str, log: TurnedLog | None) -> None:
        self.name = name
        self.kind = kind
        self.path = path
        self.log = log
        self.descriptor = -1
        self.ended = False
        # Before a socket is tried again.
        self.pause_s = limits.REACH_FIRST_S
        self.ring = bytearray()
        self.unread = bytearray()
        self.watchers: list[Watcher] = []
        self.writer: Watcher | None = None

    def say(self, data: bytes) -> None:
        """Keep and show output."""
        if self.log is not None:
            self.log.write(data)
        self.ring += data
        del self.ring[: -limits.RING_BYTES]
        for watcher in [watcher for watcher in self.watchers if not watcher.show(data)]:
            self.leave(watcher)
            watcher.detached("slow")

    def leave(self, watcher: Watcher) -> None:
        """Detach one; nothing if it is not attached."""
        if watcher in self.watchers:
            self.watchers.remove(watcher)
        if self.writer is watcher:
            self.writer = None

    def dismiss(self, reason: str) -> None:
        """Detach all."""
        for watcher in list(self.watchers):
            self.leave(watcher)
            watcher.detached(reason)


class Consoles:
    """The consoles by name. Used on the keeper's thread alone."""

    def __init__(
        self, loop: Loop, journal: Journal, holder: Holder, runs: Callable[[str], bool]
    ) -> None:
        self._loop = loop
        self._journal = journal
        self._holder = holder
        self._runs = runs
        self._consoles: dict[str, Console] = {}

    # --- opening ---------------------------------------------------------------------------------

    def open_terminal(self, name: str, master: int, log: LogFile | None) -> None:
        """Hold the master of a terminal, which is this object's now; raises Refusal.

        An earlier console of that name is closed.
        """
        try:
            console = self._open(name, "terminal", "", log)
        except Refusal:
            os.close(master)
            raise
        self._holder.put(name, master)
        self._connect(console, master)

    def open_socket(self, name: str, path: str, log: LogFile | None) -> None:
        """Connect to a running instance's socket, now or when it is there; raises Refusal."""
        if not self._runs(name):
            raise Refusal("not_running", f"{name} does not run; start it, then open its console")
        self._reach(self._open(name, "socket", path, log))

    def _open(self, name: str, kind: str, path: str, log: LogFile | None) -> Console:
        self.close(name)
        if len(self._consoles) >= limits.CONSOLES_MAX:
            raise Refusal("exhausted", f"{limits.CONSOLES_MAX} consoles are held; close some")
        try:
            console = Console(name, kind, path, TurnedLog(log) if log else None)
        except OSError as error:
            raise refused(error, str(log)) from None
        self._consoles[name] = console
        entry = {"console": name, "kind": kind, "path": path, "log": log and log._asdict()}
        self._journal.record({"entry": "console", **entry})
        return console

    def restore(self) -> None:
        """Take over the consoles of the keeper before this one. Called once, after instances are.

        A terminal whose holder died with the keeper is gone: its guest was hung up.
        """
        masters = self._holder.take()
        for entry in list(self._journal.ledger.consoles.values()):
            name, kind = entry["console"], entry["kind"]
            log = LogFile.read(entry.get("log"))
            master = masters.pop(name, None)
            if kind == "terminal" and master is None:
                self._journal.record({"entry": "closed", "console": name})
                continue
            try:
                console = Console(
                    name, kind, entry.get("path", ""), TurnedLog(log) if log else None
                )
            except OSError:
                # The guest matters more than its log.
                console = Console(name, kind, entry.get("path", ""), None)
            self._consoles[name] = console
            if console.log is not None:
                console.ring += console.log.tail(limits.RING_BYTES)
            if master is None:
                self._reach(console)
            else:
                self._connect(console, master)
        # The keeper died before it recorded these; without a log they are better than hung up.
        for name, master in masters.items():
            try:
                console = self._open(name, "terminal", "", None)
            except Refusal:
                self._holder.drop(name)
                os.close(master)
            else:
                self._connect(console, master)

    def _reach(self, console: Console) -> None:
        """Connect to a guest's socket; later if it is not there."""
        if console.ended or console.descriptor >= 0:
            return
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            line.connect(console.path)
        except OSError:
            line.close()
            self._later(console)
        else:
            self._connect(console, line.detach())

    def _later(self, console: Console) -> None:
        """Try again in a while, as long as there may be a guest."""
        if not self._runs(console.name):
            self._end(console)
        elif console.kind == "terminal":
            # Nobody in the guest has it open at the moment.
            self._loop.forget(console.descriptor)
            self._loop.after(limits.RETRY_S, lambda: self._await(console))
        else:
            self._disconnect(console)
            self._loop.after(console.pause_s, lambda: self._reach(console))
            console.pause_s = min(2 * console.pause_s, limits.RETRY_S)

    def _connect(self, console: Console, descriptor: int) -> None:
        console.descriptor = descriptor
        os.set_blocking(descriptor, False)
        self._await(console)

    def _await(self, console: Console) -> None:
        if console.descriptor >= 0:
            events = READ | WRITE if console.unread else READ
            self._loop.watch(console.descriptor, events, lambda ready: self._ready(console, ready))

    # --- both ways -------------------------------------------------------------------------------

    def _ready(self, console: Console, events: int) -> None:
        if events & READ and not self._read(console):
            self._later(console)
        elif events & WRITE:
            self._push(console)

    @staticmethod
    def _read(console: Console) -> bool:
        """Read a chunk; False if the guest has hung up."""
        try:
            data = os.read(console.descriptor, limits.CHUNK_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            return False
        console.pause_s = limits.REACH_FIRST_S
        console.say(data)
        return bool(data)

    def _push(self, console: Console) -> None:
        """Write what the guest takes now. A hang-up is noticed when it is read."""
        try:
            written = os.write(console.descriptor, console.unread)
        except BlockingIOError:
            written = 0
        except OSError:
            written = len(console.unread)
        del console.unread[:written]
        self._await(console)

    def write(self, name: str, watcher: Watcher, data: bytes) -> None:
        """Give input to the guest; raises Refusal if it is another's turn or the guest is slow."""
        console = self._find(name)
        if console.writer is not watcher:
            raise Refusal("not_writer", f"{name}: another writes, or nobody; attach for writing")
        if console.descriptor < 0:
            raise Refusal("no_guest", f"{name}: no guest is connected; wait until it runs")
        if len(console.unread) + len(data) > limits.INPUT_BYTES_MAX:
            raise Refusal("console_full", f"{name}: the guest does not read; write it later")
        console.unread += data
        self._push(console)

    def resize(self, name: str, rows: int, columns: int) -> None:
        """Tell a terminal its size; raises Refusal."""
        console = self._find(name)
        if console.kind != "terminal" or console.descriptor < 0:
            raise Refusal("no_terminal", f"{name} is no terminal that has a size, or it has ended")
        fcntl.ioctl(
            console.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0)
        )

    def attach(self, name: str, watcher: Watcher, *, writes: bool, takes_over: bool) -> bytes:
        """Show a console to a watcher from now on, and give what it said before; raises Refusal.

        Of a console that has ended the ring is all there is, and the watcher is detached.
        """
        console = self._find(name)
        if writes and console.writer is not None:
            if not takes_over:
                raise Refusal("writer_taken", f"{name}: another writes; watch, or take it over")
            console.writer.demoted()
        if writes:
            console.writer = watcher
        console.watchers.append(watcher)
        return bytes(console.ring)

    def ended(self, name: str) -> bool:
        """Tell whether a console has a guest no more; raises Refusal."""
        return self._find(name).ended

    def leave(self, name: str, watcher: Watcher) -> None:
        """Detach a watcher; nothing if it is not attached."""
        if console := self._consoles.get(name):
            console.leave(watcher)

    def _find(self, name: str) -> Console:
        console = self._consoles.get(name)
        if console is None:
            raise Refusal("no_console", f"there is no console {name}; open it first")
        return console

    # --- ending ----------------------------------------------------------------------------------

    def instance_ended(self, name: str) -> None:
        """Take the last words of an instance and end its console; nothing if it has none."""
        console = self._consoles.get(name)
        if console is not None and not console.ended:
            self._end(console)

    def _end(self, console: Console) -> None:
        # A pseudo-terminal holds 4 KiB and a socket some 200: what is left is read in a few turns.
        for _ in range(16):
            if console.descriptor < 0 or not self._read(console):
                break
        console.ended = True
        self._disconnect(console)
        self._drop(console)
        console.dismiss("ended")

    def _disconnect(self, console: Console) -> None:
        console.unread.clear()
        if console.descriptor >= 0:
            self._loop.forget(console.descriptor)
            os.close(console.descriptor)
            console.descriptor = -1

    def _drop(self, console: Console) -> None:
        if console.log is not None:
            console.log.close()
            console.log = None
        if console.kind == "terminal":
            self._holder.drop(console.name)
        self._journal.record({"entry": "closed", "console": console.name})

    def close(self, name: str) -> None:
        """Forget a console; a guest at a terminal is hung up. Nothing if there is none."""
        console = self._consoles.pop(name, None)
        if console is None:
            return
        if not console.ended:
            console.ended = True
            self._disconnect(console)
            self._drop(console)
        console.dismiss("closed")
