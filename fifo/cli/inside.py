"""Consoles and commands inside instances, from a terminal: bytes both ways, sizes, detaching."""

from __future__ import annotations

import contextlib
import os
import queue
import select
import selectors
import signal
import sys
import termios
import threading
import time
import tty
from typing import TYPE_CHECKING, Any, Final

import grpc

from fifo.cli.exits import report
from fifo.cli.following import again, to_stderr
from fifo.v1 import (
    console_service_pb2,
    console_service_pb2_grpc,
    instance_service_pb2,
    instance_service_pb2_grpc,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fifo.cli.client import Client

DETACH: Final = b"\x1d"
"""Ctrl-], as telnet has it."""
END_OF_INPUT: Final = b"\x04"
"""Ctrl-D, by which a terminal ends what a shell reads."""
READ_BYTES: Final = 32 * 1024
SEEN_BYTES: Final = 4096
"""Of a log, by which the node knows where a reader was."""
BROKEN: Final = 255
"""The status of a session that broke off, as ssh has it: no status of a shell or command came."""
FRAMES: Final = 64
"""Frames of input that may wait for the network."""
QUIET_S: Final = 1.0
"""A console that was piped into is left when it has said nothing for so long: it is answering."""
ANSWER_MOST_S: Final = 10.0
"""It is left so long after the end of input at the latest, however much it says."""
END_AGAIN_S: Final = 1.0
"""A shell is told of the end of input again after so long, as long as it goes on.

The kernel keeps no Ctrl-D over a change of the terminal's mode, which a shell begins with, and one
may be meant for a program that the shell runs."""
END_MOST_S: Final = 600.0
"""It is told for so long, and left when it has said nothing for as long.

Not sooner, since what was piped in may still be at work in silence."""


class Input:
    """Standard input as frames for a stream; a thread reads, gRPC's own takes."""

    def __init__(
        self, first: Any, frame: Callable[[bytes], Any], at_end: Any, *,
        detaches: bool, insists: bool = False,
    ) -> None:  # fmt: skip
        """Take the first frame, what makes one of bytes, and the last.

        A last frame of None ends the stream; if anything was typed not before what `heard` tells
        of has stopped. Who insists sends another one again until this is closed.
        """
        self._frames: queue.Queue[Any] = queue.Queue(FRAMES)
        self._frames.put(first)
        self._frame = frame
        self._at_end = at_end
        self._detaches = detaches
        self._insists = insists
        self.gave_up = False
        self._typed = False
        self._heard_s = 0.0
        self._ended, self._wake = os.pipe()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def put(self, frame: Any) -> None:
        """Send a frame of another kind."""
        self._frames.put(frame)

    def heard(self) -> None:
        """Learn that the other side has said something just now."""
        self._heard_s = time.monotonic()

    def close(self) -> None:
        """Read no more, and send nothing that still waits: there is nobody to take it."""
        os.write(self._wake, b".")
        while True:
            try:
                self._frames.put_nowait(None)
            except queue.Full:
                with contextlib.suppress(queue.Empty):
                    self._frames.get_nowait()
            else:
                return

    def __iter__(self) -> Iterator[Any]:
        """Give the frames to the call."""
        while (frame := self._frames.get()) is not None:
            yield frame

    def _read(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._ended, selectors.EVENT_READ)
            try:
                selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
            except (PermissionError, ValueError):
                self._read_file()
                return
            while True:
                ready = [key.fd for key, _ in selector.select()]
                if self._ended in ready or not self._take(os.read(sys.stdin.fileno(), READ_BYTES)):
                    return

    def _read_file(self) -> None:
        """Read a plain file, which no selector takes."""
        while self._take(os.read(sys.stdin.fileno(), READ_BYTES)):
            pass

    def _take(self, data: bytes) -> bool:
        before, found, _ = data.partition(DETACH) if self._detaches else (data, b"", b"")
        if before:
            self._typed = True
            self._frames.put(self._frame(before))
        if found:
            self._frames.put(None)
        elif not data:
            if self._typed and self._at_end is None:
                self._await_answer()
            self._frames.put(self._at_end)
            if self._insists:
                self._insist()
        return bool(data) and not found

    def _await_answer(self) -> None:
        """Wait until the other side is quiet, or this is closed."""
        began_s = time.monotonic()
        self._heard_s = max(self._heard_s, began_s)
        while True:
            until_s = min(self._heard_s + QUIET_S, began_s + ANSWER_MOST_S)
            left_s = until_s - time.monotonic()
            if left_s <= 0.0 or select.select([self._ended], [], [], left_s)[0]:
                return

    def _insist(self) -> None:
        """Send the last frame again until this is closed; end the stream if that never helps."""
        began_s = time.monotonic()
        while not select.select([self._ended], [], [], END_AGAIN_S)[0]:
            now_s = time.monotonic()
            if now_s - max(self._heard_s, began_s) >= END_MOST_S:
                self.gave_up = True
                self._frames.put(None)
                return
            # One that waits for the network is enough.
            if now_s - began_s < END_MOST_S and self._frames.empty():
                self._frames.put(self._at_end)


@contextlib.contextmanager
def raw_terminal() -> Iterator[None]:
    """Hand every key to the other side; on anything but a terminal change nothing."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setraw(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def terminal_size() -> instance_service_pb2.TerminalSize:
    """Give the size of this terminal."""
    try:
        size = os.get_terminal_size()
    except OSError:
        return instance_service_pb2.TerminalSize(columns=80, rows=24)
    return instance_service_pb2.TerminalSize(columns=size.columns, rows=size.lines)


def execute(
    client: Client, name: str, command: tuple[str, ...], environment: dict[str, str], *,
    terminal: bool,
) -> int:  # fmt: skip
    """Run a command in an instance and give its exit status, BROKEN if none came."""
    stub = instance_service_pb2_grpc.InstanceServiceStub(client.channel)
    first = instance_service_pb2.ExecInstanceRequest()
    first.open.name = name
    first.open.command.extend(command)
    first.open.environment.update(environment)
    if terminal:
        first.open.terminal.CopyFrom(terminal_size())

    def frame(data: bytes) -> Any:
        return instance_service_pb2.ExecInstanceRequest(stdin=data)

    closed = instance_service_pb2.ExecInstanceRequest(stdin_closed=True)
    typed = Input(first, frame, closed, detaches=False)
    status = BROKEN
    with raw_terminal() if terminal else contextlib.nullcontext():
        answers = stub.ExecInstance(iter(typed), metadata=client.metadata)
        typed.start()
        if terminal:
            _follow_size(typed, lambda size: instance_service_pb2.ExecInstanceRequest(resize=size))
        try:
            for answer in answers:
                if answer.HasField("exit"):
                    status = answer.exit.exit_status
                elif answer.HasField("stderr"):
                    _write(2, answer.stderr)
                else:
                    _write(1, answer.stdout)
        finally:
            typed.close()
    return status


def show_logs(client: Client, name: str, lines: int, *, follow: bool) -> None:
    """Print the end of a log, and go on with it; over a node that restarts as well."""
    stub = instance_service_pb2_grpc.InstanceServiceStub(client.channel)
    request = instance_service_pb2.ReadInstanceLogsRequest(
        name=name, follow=follow, tail_lines=lines
    )

    def begin() -> Iterator[Any]:
        return client.stream(stub.ReadInstanceLogs, request)

    pieces = again(begin, to_stderr, time.monotonic, time.sleep) if follow else begin()
    for piece in pieces:
        _write(1, piece.data)
        request.seen = (request.seen + piece.data)[-SEEN_BYTES:]


def attach(client: Client, name: str, *, in_shell: bool) -> int:
    """Attach this terminal to a console or a shell until either side ends.

    Gives a shell's exit status, 0 for a console or where the caller left, BROKEN for a session
    that was open and broke off, or a shell that did not end when its input had. Raises gRPC's
    error for one that was never open.
    """
    stub = console_service_pb2_grpc.ConsoleServiceStub(client.channel)
    first = console_service_pb2.AttachRequest()
    modes = console_service_pb2.AttachRequest.Open
    first.open.name = name
    first.open.mode = modes.SHELL if in_shell else modes.CONSOLE
    first.open.size.CopyFrom(terminal_size())

    def frame(data: bytes) -> Any:
        return console_service_pb2.AttachRequest(data=data)

    # A shell is told that no more comes, and ends by itself with its status; a console is left
    # when it has answered.
    at_end = frame(END_OF_INPUT) if in_shell else None
    typed = Input(first, frame, at_end, detaches=True, insists=in_shell)
    ending: console_service_pb2.AttachResponse.Exit | None = None
    broken: grpc.RpcError | None = None
    opened = False
    with raw_terminal():
        answers = stub.Attach(iter(typed), metadata=client.metadata)
        typed.start()
        _follow_size(typed, lambda size: console_service_pb2.AttachRequest(resize=size))
        try:
            for answer in answers:
                opened = True
                if answer.HasField("exit"):
                    ending = answer.exit
                elif answer.data:
                    typed.heard()
                    _write(1, answer.data)
        except grpc.RpcError as error:
            if not opened:
                raise
            broken = error
        finally:
            typed.close()
    if broken is not None:
        report(broken)
    return _status_of(ending, in_shell=in_shell, gave_up=typed.gave_up)


def _status_of(
    ending: console_service_pb2.AttachResponse.Exit | None, *, in_shell: bool, gave_up: bool
) -> int:
    """Say why a session ended, None for one that broke off, and give the exit status."""
    reasons = console_service_pb2.AttachResponse.Exit.Reason
    if ending is None:
        print("\n[connection broke]", file=sys.stderr)
        return BROKEN
    print(f"\n[{reasons.Name(ending.reason).lower().replace('_', ' ')}]", file=sys.stderr)
    if ending.reason == reasons.Value("SHELL_EXITED"):
        return ending.exit_status
    if gave_up:
        silent = f"its input did, and said nothing for {END_MOST_S:.0f} s"
        print(f"[the shell did not end when {silent}: it was left]", file=sys.stderr)
    # A console ends with its instance; a shell that did so was cut off.
    cut_off = (
        gave_up
        or ending.reason == reasons.Value("FELL_BEHIND")
        or (in_shell and ending.reason == reasons.Value("INSTANCE_STOPPED"))
    )
    return BROKEN if cut_off else 0


def _follow_size(typed: Input, frame: Callable[[Any], Any]) -> None:
    """Tell the other side of each new size of this terminal."""
    signal.signal(signal.SIGWINCH, lambda *_: typed.put(frame(terminal_size())))


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
