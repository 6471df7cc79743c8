"""Commands: short processes with a deadline, whose output is the answer.

Each is the leader of its own session, so that the whole of it can be killed. It is done when its
first process has ended, not when its pipes are closed: what it leaves behind (a container's init
above all) may hold those for years.
"""

from __future__ import annotations

import base64
import fcntl
import os
import signal
import subprocess
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fifo.hypervisors.linux.keeper import limits, processes
from fifo.hypervisors.linux.keeper.fields import Refusal
from fifo.hypervisors.linux.keeper.logs import LogFile
from fifo.hypervisors.linux.keeper.loop import READ, WRITE
from fifo.hypervisors.linux.keeper.program import Program, refused

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from fifo.hypervisors.linux.keeper.fields import Fields
    from fifo.hypervisors.linux.keeper.loop import Loop, Timer

    Answer = Callable[[dict[str, Any]], None]
    Stream = Callable[[str, bytes], bool]

MARK: Final = "FIFO_KEEPER_COMMAND"
"""The variable by which a later keeper finds commands whose keeper died: nobody waits for them."""


class _Output:
    """One stream of a command: what is kept of it, and how much came."""

    __slots__ = ("descriptor", "kept", "limit_bytes", "size_bytes")

    def __init__(self, descriptor: int, limit_bytes: int) -> None:
        self.descriptor = descriptor
        self.limit_bytes = limit_bytes
        self.kept = bytearray()
        self.size_bytes = 0


class Wish(NamedTuple):
    """A `run` request; with `input` its standard input stays open for `Commands.give`."""

    program: Program
    stdin: bytes | None
    deadline_ms: int
    output_bytes: int
    log: LogFile | None
    input: bool = False

    @classmethod
    def of(cls, fields: Fields) -> Wish:
        """Read it from a request; raises Refusal."""
        return cls(
            Program.of(fields),
            fields.data("stdin", limits.STDIN_BYTES_MAX),
            fields.integer("deadline_ms", 1, limits.DEADLINE_MS_MAX),
            fields.integer("output_bytes", 0, limits.OUTPUT_BYTES_MAX, limits.OUTPUT_BYTES_DEFAULT),
            LogFile.of(fields.nested("log")),
            fields.flag("input"),
        )


class Command:
    """One running command; `answer` is called once, when it has ended.

    With `stream`, output goes there as it comes, and is not kept for the answer. It says whether
    more may come now; if not, the command waits until `Commands.resume`.
    """

    __slots__ = (
        *("answer", "deadline", "late", "outputs", "pid", "started_s"),
        *("held", "stdin", "stream", "takes_more", "talked_with"),
    )

    def __init__(self, answer: Answer, stream: Stream | None, *, takes_more: bool) -> None:
        self.answer = answer
        self.stream = stream
        # Whether who reads its output has asked for no more for now.
        self.held = False
        # Whether more input may come, or its end.
        self.takes_more = self.talked_with = takes_more
        self.outputs: dict[str, _Output] = {}
        # What is still to be written, and where to.
        self.stdin: tuple[int, memoryview] | None = None
        self.pid = 0
        self.deadline: Timer | None = None
        self.late = False
        self.started_s = 0.0


class Commands:
    """The commands that run, by pid. Used on the keeper's thread alone."""

    def __init__(self, loop: Loop, clock: Callable[[], float], mark: str) -> None:
        self._loop = loop
        self._clock = clock
        self._mark = mark
        self._running: dict[int, Command] = {}
        self._orphans: dict[int, Command] = {}
        self._settling: list[Callable[[], None]] = []

    def __len__(self) -> int:
        return len(self._running)

    def __contains__(self, pid: int) -> bool:
        return pid in self._running

    # --- starting --------------------------------------------------------------------------------

    def run(self, wish: Wish, answer: Answer, stream: Stream | None) -> Command:
        """Start a command; raises Refusal if it cannot be, and then never answers."""
        if len(self._running) >= limits.COMMANDS_MAX:
            raise Refusal("exhausted", f"{limits.COMMANDS_MAX} commands run already; try again")
        command = Command(answer, stream, takes_more=wish.input)
        ours: list[int] = []
        theirs: list[int] = []
        try:
            stdin, stdout, stderr = self._plumb(command, wish, ours, theirs)
            command.pid = wish.program.start({MARK: self._mark}, stdin, stdout, stderr)
        except OSError as error:
            _close(ours)
            raise refused(error, wish.program.arguments[0]) from None
        except Refusal:
            _close(ours)
            raise
        finally:
            _close(theirs)
        self._running[command.pid] = command
        command.started_s = self._clock()
        command.deadline = self._loop.after(
            wish.deadline_ms / 1000, lambda: self._kill(command, late=True)
        )
        self.resume(command)
        self._feed(command)
        return command

    @staticmethod
    def _plumb(
        command: Command, wish: Wish, ours: list[int], theirs: list[int]
    ) -> tuple[int, int, int]:
        """Make the three streams; what is opened is in the two lists even if this raises."""
        stdin = subprocess.DEVNULL
        if wish.stdin is not None or wish.input:
            stdin, to_stdin = os.pipe()
            theirs.append(stdin)
            ours.append(to_stdin)
            os.set_blocking(to_stdin, False)
            command.stdin = (to_stdin, memoryview(wish.stdin or b""))
        if wish.log is not None:
            log = wish.log.open()
            theirs.append(log)
            return stdin, log, log
        for name in ("stdout", "stderr"):
            reader, writer = os.pipe()
            ours.append(reader)
            theirs.append(writer)
            os.set_blocking(reader, False)
            command.outputs[name] = _Output(reader, wish.output_bytes)
        return stdin, theirs[-2], theirs[-1]

    # --- its streams -----------------------------------------------------------------------------

    def _feed(self, command: Command) -> None:
        """Write what its standard input takes now, and close it after the last byte."""
        if command.stdin is None:
            return
        descriptor, unread = command.stdin
        try:
            unread = unread[os.write(descriptor, unread) :] if unread else unread
        except BlockingIOError:
            pass
        except OSError:
            # It reads no more, which is its own affair.
            unread = unread[:0]
        if unread:
            command.stdin = (descriptor, unread)
            self._loop.watch(descriptor, WRITE, lambda _: self._feed(command))
        elif command.takes_more:
            command.stdin = (descriptor, unread)
            self._loop.forget(descriptor)
        else:
            command.stdin = None
            self._loop.forget(descriptor)
            os.close(descriptor)

    def give(self, command: Command, data: bytes, *, end: bool) -> None:
        """Give it more input, or its end; nothing if it takes none any more. Raises Refusal."""
        if command.stdin is None:
            return
        descriptor, unread = command.stdin
        if len(unread) + len(data) > limits.INPUT_BYTES_MAX:
            raise Refusal("input_full", "the command does not read; write it later")
        command.stdin = (descriptor, memoryview(bytes(unread) + data))
        command.takes_more = command.takes_more and not end
        self._feed(command)

    def hold(self, command: Command, *, on: bool) -> None:
        """Leave its output in its pipes, so that it waits for its reader; or read it again."""
        command.held = on
        if not on:
            self.resume(command)
            return
        for output in command.outputs.values():
            self._loop.forget(output.descriptor)

    def resume(self, command: Command) -> None:
        """Read its output again; nothing if it has ended, or is held."""
        if command.held:
            return
        for name, output in command.outputs.items():
            self._loop.watch(output.descriptor, READ, partial(self._on_output, command, name))

    def _on_output(self, command: Command, name: str, _: int) -> None:
        self._read(command, name)

    def _read(self, command: Command, name: str) -> bool:
        """Read what there is, a chunk at most; tell whether there may be more."""
        output = command.outputs[name]
        try:
            data = os.read(output.descriptor, limits.CHUNK_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self._loop.forget(output.descriptor)
            return False
        output.size_bytes += len(data)
        if command.stream is None:
            output.kept += data[: output.limit_bytes - len(output.kept)]
        elif not command.stream(name, data):
            for other in command.outputs.values():
                self._loop.forget(other.descriptor)
        return True

    # --- ending ----------------------------------------------------------------------------------

    def _kill(self, command: Command, *, late: bool) -> None:
        command.late |= late
        # Its first process is not reaped yet, so the number is its session's and nobody else's.
        os.killpg(command.pid, signal.SIGKILL)

    def cancel(self, command: Command) -> None:
        """Kill it; it answers as any that was killed. Nothing if it has ended."""
        if command.pid in self._running:
            self._kill(command, late=False)

    def abandon(self, command: Command) -> None:
        """Have it go on without its client, and end its input: nobody could give it more.

        One that was talked with is a tenant's, and no orphan: the node's own work never waits for
        it.
        """
        if not command.talked_with:
            self._orphans[command.pid] = command
        self.give(command, b"", end=True)

    def settle(self, patience_s: float, answer: Callable[[], None]) -> None:
        """Answer once when no orphan is left; those that run after `patience_s` are killed."""
        self._settling.append(answer)
        if self._orphans:
            self._loop.after(patience_s, self._kill_orphans)
        else:
            self._settled()

    def _kill_orphans(self) -> None:
        for command in self._orphans.values():
            self._kill(command, late=False)

    def _settled(self) -> None:
        settling, self._settling = self._settling, []
        for answer in settling:
            answer()

    def ended(self, pid: int, code: int) -> None:
        """Answer for a command that was reaped; `code` is negative for a signal."""
        command = self._running.pop(pid)
        if command.deadline is not None:
            command.deadline.cancel()
        if command.stdin is not None:
            self._loop.forget(command.stdin[0])
            os.close(command.stdin[0])
            command.stdin = None
        result: dict[str, Any] = {
            "status": None if code < 0 else code,
            "signal": -code if code < 0 else None,
            "timed_out": command.late,
            "elapsed_ms": round((self._clock() - command.started_s) * 1000, 3),
        }
        for name, output in command.outputs.items():
            # What it has written is in the pipe; who else holds the pipe may go on for ever, so
            # no more is read than a pipe can hold.
            size_bytes = fcntl.fcntl(output.descriptor, fcntl.F_GETPIPE_SZ)
            while size_bytes > 0 and self._read(command, name):
                size_bytes -= limits.CHUNK_BYTES
            self._loop.forget(output.descriptor)
            os.close(output.descriptor)
            result[name] = base64.b64encode(output.kept).decode("ascii")
            result[f"{name}_bytes"] = output.size_bytes
        command.outputs.clear()
        command.answer(result)
        self._orphans.pop(pid, None)
        if not self._orphans:
            self._settled()


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def kill_orphans(mark: str, spared: Collection[int]) -> int:
    """Kill the commands of a keeper that died, for which nobody waits; give how many.

    Only leaders of a session, as commands are, and none of the `spared` pids: what is watched may
    carry the mark of the command that left it behind. Called once, before anything is run.
    """
    killed = 0
    for pid, value in processes.marked(MARK):
        held = processes.hold(pid) if value == mark and pid not in spared else None
        if held is None:
            continue
        try:
            if os.getsid(pid) == pid:
                os.killpg(pid, signal.SIGKILL)
                killed += 1
        except ProcessLookupError:
            pass
        finally:
            os.close(held[0])
    return killed
