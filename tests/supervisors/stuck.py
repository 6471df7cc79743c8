"""A node with a watchdog that the test winds, and code that is stuck until the test lets it go."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

from supervisors import GenServer
from supervisors.errors import StuckTurn
from supervisors.watchdog import Watchdog
from tests.supervisors.world import REAL_PATIENCE_S, WORLDS, ManualClock, ThreadedWorld

SPIN = "spin"
"""Loops for ever in Python: the exception ends it."""
BLOCK = "block"
"""Waits in a call that no exception reaches; raises it when released."""
CATCH = "catch"
"""As BLOCK, but catches the exception and goes on as if nothing had been."""


class Snag:
    """Where code gets stuck, in one of three ways, once; later visits pass."""

    def __init__(self, how: str = SPIN) -> None:
        self.how = how
        self.entered = threading.Event()
        self.release = threading.Event()

    def __call__(self, *_: Any) -> None:
        if self.entered.is_set():
            return
        self.entered.set()
        if self.how == SPIN:
            while not self.release.is_set():
                pass
        with contextlib.suppress(*([StuckTurn] if self.how == CATCH else [])):
            self.release.wait(REAL_PATIENCE_S)


class Echo(GenServer):
    """Answers with what it is asked."""

    def handle_call(self, message: Any, caller: Any) -> Any:
        return message


class StuckWorld:
    """One of the threaded worlds with a watchdog and a snag."""

    def __init__(self, kind: str, how: str) -> None:
        world = WORLDS[kind]()
        assert isinstance(world, ThreadedWorld)
        self.kind = kind
        self.world = world
        self.node = world.node
        self.snag = Snag(how)
        self.clock = ManualClock()
        self.dog = Watchdog(world.node, clock=self.clock, slow_s=0.02, stuck_s=2.0)
        self.threads = set(threading.enumerate())

    def give_up(self) -> None:
        """Wait until the code is stuck, and let the watchdog find it too old."""
        assert self.snag.entered.wait(REAL_PATIENCE_S), "the code to be stuck was never run"
        self.dog.look()
        self.clock.now_s += 2.5
        self.dog.look()

    def let_go(self) -> None:
        """Release the code, and wait until what it was stuck on is off the stack."""
        self.snag.release.set()
        if self.kind == "thread":
            host: Any = self.world.host  # type: ignore[attr-defined]
            for thread in self.threads - {host._thread}:
                if thread.name.startswith("shard-"):
                    thread.join(REAL_PATIENCE_S)
                    assert not thread.is_alive(), "the abandoned thread never ended"
        self.world.settle()

    def serves(self) -> bool:
        """Tell whether the node starts and runs processes."""
        echo = self.world.start(Echo)
        served: bool = self.world.call(echo, "ping") == "ping"
        echo.kill()
        self.world.settle()
        return served

    def stuck(self) -> list[str]:
        """Name the classes of the processes that reported themselves as stuck."""
        return [
            report.detail["class"]
            for report in self.world.reports
            if report.reason == "stuck" and report.detail is not None
        ]

    def close(self) -> None:
        self.snag.release.set()
        self.world.close()
