"""The watchdog: finds turns that run too long and gives them up.

A thread beside the shard looks at it every few milliseconds and compares turn numbers; the shard
itself pays nothing. A slow turn is counted and its stack is logged. A stuck one is abandoned: on a
host that can (`take_over`) a fresh thread goes on with the shard at once, everywhere else the
process ends when control returns. Either way an async exception is raised into the turn, the
process's reason is `stuck`, and its supervisor sees an ordinary abnormal exit.

What this cannot do: a call that holds the GIL stops the watchdog too. That is the heart's job.
"""

from __future__ import annotations

import ctypes
import logging
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any, Self

from supervisors import limits
from supervisors.closing import NOBODY
from supervisors.errors import StuckTurn
from supervisors.process import DEAD, DOOMED
from supervisors.safepoints import interruptible

if TYPE_CHECKING:
    from collections.abc import Callable

    from supervisors.node import Node
    from supervisors.process import Process

logger = logging.getLogger("supervisors")


def raise_in_thread(thread_id: int, error: type[BaseException]) -> None:
    """Have another thread raise an error at its next Python instruction."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread_id), ctypes.py_object(error))


class Watchdog:
    """Watches one node's shard from a daemon thread; `with Watchdog(node):` or start and close.

    `slow_turns` and `abandoned` count what it saw. `look` does one round and may be called by
    tests with a clock of their own instead of starting the thread.
    """

    def __init__(
        self,
        node: Node,
        *,
        slow_s: float = limits.SLOW_TURN_S,
        stuck_s: float = limits.STUCK_TURN_S,
        period_s: float = limits.WATCHDOG_PERIOD_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.node = node
        node.shard.injection = threading.Lock()
        self.slow_turns = 0
        self.abandoned = 0
        self._slow_s = slow_s
        self._stuck_s = stuck_s
        self._period_s = period_s
        self._clock = clock
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._turn = -1
        self._since_s = 0.0
        self._logged = False
        self._told = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def start(self) -> None:
        """Start the watching thread."""
        self._thread = threading.Thread(
            target=self._watch, name=f"watchdog-{self.node.name}", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop watching."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        while not self._closing.wait(self._period_s):
            self.look()

    def look(self) -> None:
        """Compare the running turn with the one seen last, and act if it is still the same."""
        shard = self.node.shard
        process, turn, now_s = shard.current, shard.turns, self._clock()
        if process is None or turn != self._turn:
            self._turn, self._since_s, self._logged, self._told = turn, now_s, False, False
            return
        ran_s = now_s - self._since_s
        if ran_s >= self._slow_s and not self._logged:
            self._logged = True
            self.slow_turns += 1
            self._log(process, ran_s)
        if ran_s < self._stuck_s:
            return
        if self._abandon(process, turn):
            self._since_s = now_s
        elif not self._told and shard.turns == turn:
            self._told = True
            logger.error("a turn of %s is stuck where it cannot be given up yet", process)

    def _log(self, process: Process, ran_s: float) -> None:
        frame = sys._current_frames().get(self.node.shard.thread_id)
        stack = "".join(traceback.format_stack(frame, limits.CRASH_FRAMES)) if frame else ""
        logger.warning("a turn of %s has run for %.3f s\n%s", process, ran_s, stack)

    def _abandon(self, process: Process, turn: int) -> bool:
        shard = self.node.shard
        thread_id = shard.thread_id
        take_over: Any = getattr(shard.host, "take_over", None)
        frame = sys._current_frames().get(thread_id)
        if not interruptible(frame, for_good=take_over is not None):
            return False
        # Whoever starts `process` within its own turn is on the same stack, and stuck with it.
        starters = [starter for starter in reversed(shard.stack) if starter is not None]
        with shard.injection:
            # No call and no backward jump from the test to the last assignment: the GIL stays
            # here, so that the turn cannot end between them.
            if shard.turns != turn or shard.current is not process or process._state == DEAD:
                return False
            shard.stuck = process
            process._state = DOOMED
            if take_over is not None:
                shard.epoch += 1
                shard.thread_id = NOBODY
                shard.abandoned = {*shard.abandoned, thread_id}
            raise_in_thread(thread_id, StuckTurn)
            if take_over is not None:
                for starter in starters:
                    starter._state = DOOMED
        self.abandoned += 1
        if take_over is not None:
            take_over((process, *starters))
        logger.error("a turn of %s is stuck and was abandoned", process)
        return True
