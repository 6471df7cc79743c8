"""The heart: a small parent process that restarts a frozen node (after Erlang's heart).

A call that holds the GIL stops every thread of a process, its watchdog too, so only another process
can help. The node's own shard writes a byte to a pipe every second (`Heartbeat`); when none has
come for a while the heart asks for a stack by SIGUSR1, which faulthandler writes even then, kills
the node and starts it again. A node that ends with status 0 is done; any other end is a crash and
restarted as well, within a restart intensity of the heart's own. SIGTERM, SIGINT and SIGHUP to the
heart are passed on to the node, which then has some grace to end; the heart ends with it.

    python -m supervisors.heart [--patience SECONDS] [--grace SECONDS] -- COMMAND [ARGUMENT ...]
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import logging
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Final, NoReturn

from supervisors import limits
from supervisors.gen_server import GenServer
from supervisors.intensity import RestartIntensity
from supervisors.results import IGNORE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

logger = logging.getLogger("supervisors.heart")

FD_VARIABLE = "SUPERVISORS_HEART_FD"
"""Environment variable that tells a node the number of the pipe it beats on."""

_FAULT_DUMP_S = 0.5
"""How long a frozen node gets to write its stack before it is killed."""

_PASSED_ON: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals to the heart that are meant for the node."""

_SHELL_SIGNAL: Final = 128
"""What a shell adds to a signal to make an exit status of it."""

_NO_COMMAND: Final = 127
"""A shell's exit status for a command that cannot be run."""


class Heartbeat(GenServer):
    """A process of the node that beats on the heart's pipe; without a heart it is ignored.

    Supervise it as the last child of the node's root: while the shard turns, it beats. When the
    heart has died it says so once and rests, and the node goes on.
    """

    def init(self, fd: int | None = None, beat_s: float = limits.HEART_BEAT_S) -> Any:
        """Start to beat on `fd`, by default on the pipe named by the environment."""
        if fd is None:
            named = os.environ.get(FD_VARIABLE)
            if named is None:
                return IGNORE
            fd = int(named)
        os.set_blocking(fd, False)
        if hasattr(signal, "SIGUSR1"):
            faulthandler.register(signal.SIGUSR1, all_threads=True)
        self._fd = fd
        self._beat_s = beat_s
        self._beat()
        return None

    def handle_info(self, message: Any) -> Any:
        """Beat again."""
        if message == "beat":
            self._beat()
            return None
        return super().handle_info(message)

    def _beat(self) -> None:
        try:
            os.write(self._fd, b".")
        except BlockingIOError:
            logger.warning("the heart does not read its pipe")
        except BrokenPipeError:
            # What the node does is worth more than its insurance: it goes on without.
            logger.critical("the heart has died: the node goes on, but no one will restart it")
            return
        self.send_after(self._beat_s, "beat")


class Heart:
    """Runs a node as a child process and restarts it when it freezes or crashes.

    `events` gets (what, detail) for every start, freeze, exit and give-up; by default they are
    logged. `run` blocks its thread, which owns the child. The node gets a process group of its
    own, so that a terminal's signals reach it once, through `stop`. Raises ValueError for times
    that cannot be waited.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        patience_s: float = limits.HEART_PATIENCE_S,
        grace_s: float = limits.HEART_GRACE_S,
        restarts: RestartIntensity | None = None,
        events: Callable[[str, object], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        for name, given_s in (("patience", patience_s), ("grace", grace_s)):
            if not 0 < given_s <= limits.HEART_LONGEST_S:
                longest_s = limits.HEART_LONGEST_S
                raise ValueError(f"{name} {given_s} is not above 0 and up to {longest_s} seconds")
        self._command = list(command)
        self._patience_s = patience_s
        self._grace_s = grace_s
        self._restarts = restarts if restarts is not None else RestartIntensity(5, 60)
        self._events = events if events is not None else _log
        self._clock = clock
        self._node: subprocess.Popen[bytes] | None = None
        self._asked: int | None = None
        self._bell: int | None = None

    def run(self) -> int:
        """Run the node until it ends with status 0 or fails too often; gives the exit status.

        That of a node told to end by `stop` is its own, a signal's as a shell gives it.
        """
        hearing, self._bell = os.pipe()
        os.set_blocking(self._bell, False)
        try:
            while True:
                status = self._live(hearing)
                if self._asked is not None:
                    return status if status >= 0 else _SHELL_SIGNAL - status
                if status == 0:
                    return 0
                if not self._restarts.allow(self._clock()):
                    self._events("gave_up", status)
                    return 1
        finally:
            bell, self._bell = self._bell, None
            os.close(bell)
            os.close(hearing)

    def stop(self, signal_number: int) -> None:
        """Pass a signal on to the node, which then has its grace to end and is not restarted.

        Called by a signal handler, or by another thread, while `run` runs.
        """
        self._asked = signal_number
        if self._node is not None:
            self._node.send_signal(signal_number)
        if self._bell is not None:
            with contextlib.suppress(BlockingIOError):  # It has rung often enough.
                os.write(self._bell, b".")

    def _live(self, hearing: int) -> int:
        """Run one life of the node; gives its exit status, negative for a signal."""
        reading, writing = os.pipe()
        environment = {**os.environ, FD_VARIABLE: str(writing)}
        try:
            node = subprocess.Popen(  # noqa: S603 - the command is the operator's own, and no shell
                self._command, env=environment, pass_fds=(writing,), process_group=0
            )
        except OSError as error:
            os.close(reading)
            self._events("not_started", error)
            return _NO_COMMAND
        finally:
            os.close(writing)
        self._node = node
        self._events("started", node.pid)
        if self._asked is not None:
            node.send_signal(self._asked)  # It was asked before there was a node to ask.
        try:
            ends = self._listen(reading, hearing)
        finally:
            os.close(reading)
        wait_s = self._grace_s if self._asked is not None else self._patience_s if ends else 0
        try:
            status = node.wait(wait_s)
        except subprocess.TimeoutExpired:
            self._events("frozen" if self._asked is None else "deaf", node.pid)
            status = self._kill(node)
        self._node = None
        self._events("ended", status)
        return status

    def _listen(self, reading: int, hearing: int) -> bool:
        """Take beats until none comes in time.

        True if the node closed its end instead, or `stop` asked it to end.
        """
        while ready := select.select([reading, hearing], [], [], self._patience_s)[0]:
            if hearing in ready or not os.read(reading, 4096):
                return True
        return False

    @staticmethod
    def _kill(node: subprocess.Popen[bytes]) -> int:
        """Ask a frozen node for its stack, then kill it; the signal ends one without a handler."""
        node.send_signal(signal.SIGUSR1)
        try:
            return node.wait(_FAULT_DUMP_S)
        except subprocess.TimeoutExpired:
            node.kill()
            return node.wait()


def _log(what: str, detail: object) -> None:
    logger.warning("%s: %s", what, detail)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line."""
        self.exit(2, f"heart: {message}; see --help\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit status."""
    parser = _Parser(prog="python -m supervisors.heart", description=__doc__)
    for option, default_s in (
        ("--patience", limits.HEART_PATIENCE_S),
        ("--grace", limits.HEART_GRACE_S),
    ):
        parser.add_argument(option, type=float, default=default_s, metavar="SECONDS")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(argv)
    logging.basicConfig(format="heart: %(message)s")
    if shutil.which(options.command[0]) is None:
        parser.error(f"there is no program {options.command[0]!r} that may be run")
    try:
        heart = Heart(options.command, patience_s=options.patience, grace_s=options.grace)
    except ValueError as error:
        parser.error(str(error))
    for number in _PASSED_ON:
        signal.signal(number, lambda given, _: heart.stop(given))
    return heart.run()


if __name__ == "__main__":
    sys.exit(main())
