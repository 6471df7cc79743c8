"""The heart: a small parent process that restarts a frozen node (after Erlang's heart).

A call that holds the GIL stops every thread of a process, its watchdog too, so only another process
can help. The node's own shard writes a byte to a pipe every second (`Heartbeat`); when none has
come for a while the heart asks for a stack by SIGUSR1, which faulthandler writes even then, kills
the node and starts it again. A node that ends with status 0 is done; any other end is a crash and
restarted as well, within a restart intensity of the heart's own.

    python -m supervisors.heart [--patience SECONDS] -- COMMAND [ARGUMENT ...]
"""

from __future__ import annotations

import argparse
import faulthandler
import logging
import os
import select
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

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


class Heartbeat(GenServer):
    """A process of the node that beats on the heart's pipe; without a heart it is ignored.

    Supervise it as the last child of the node's root: while the shard turns, it beats.
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
        self.send_after(self._beat_s, "beat")


class Heart:
    """Runs a node as a child process and restarts it when it freezes or crashes.

    `events` gets (what, detail) for every start, freeze, exit and give-up; by default they are
    logged. `run` blocks its thread, which owns the child.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        patience_s: float = limits.HEART_PATIENCE_S,
        restarts: RestartIntensity | None = None,
        events: Callable[[str, object], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._command = list(command)
        self._patience_s = patience_s
        self._restarts = restarts if restarts is not None else RestartIntensity(5, 60)
        self._events = events if events is not None else _log
        self._clock = clock

    def run(self) -> int:
        """Run the node until it ends with status 0 or fails too often; gives the exit status."""
        while True:
            status = self._live()
            if status == 0:
                return 0
            if not self._restarts.allow(self._clock()):
                self._events("gave_up", status)
                return 1

    def _live(self) -> int:
        """Run one life of the node; gives its exit status, negative for a signal."""
        reading, writing = os.pipe()
        try:
            environment = {**os.environ, FD_VARIABLE: str(writing)}
            node = subprocess.Popen(  # noqa: S603 - the command is the operator's own, and no shell
                self._command, env=environment, pass_fds=(writing,)
            )
        finally:
            os.close(writing)
        self._events("started", node.pid)
        try:
            ended = self._listen(reading)
        finally:
            os.close(reading)
        try:
            status = node.wait(self._patience_s if ended else 0)
        except subprocess.TimeoutExpired:
            self._events("frozen", node.pid)
            status = self._kill(node)
        self._events("ended", status)
        return status

    def _listen(self, reading: int) -> bool:
        """Take beats until none comes in time; True if the node closed its end instead."""
        while select.select([reading], [], [], self._patience_s)[0]:
            if not os.read(reading, 4096):
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


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit status."""
    parser = argparse.ArgumentParser(prog="python -m supervisors.heart", description=__doc__)
    parser.add_argument("--patience", type=float, default=limits.HEART_PATIENCE_S)
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(argv)
    logging.basicConfig(format="heart: %(message)s")
    return Heart(options.command, patience_s=options.patience).run()


if __name__ == "__main__":
    sys.exit(main())
