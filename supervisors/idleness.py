"""Noticing that a process has been idle for a while, at no cost to its messages.

A watch looks at the process once in its period: if no turn was taken since the last look, the
process takes the step it has for that case. So the step comes after one to two periods of idleness,
the cost is one timer a period while the process is busy, and none once it sleeps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from supervisors import fencing
from supervisors.messages import STEP
from supervisors.process import HIBERNATED, IDLE, Process
from supervisors.results import Hibernate

if TYPE_CHECKING:
    from collections.abc import Callable


class IdleWatch:
    """Lets an idle process take a step: `step` is run as a handler, its result as one's.

    Made, armed and fired on the shard's thread. It is armed until the step is taken; who wants to
    be watched on arms it again.
    """

    __slots__ = ("_after_s", "_process", "_seen", "_status", "_step")

    rests: ClassVar[tuple[int, ...]] = (IDLE, HIBERNATED)
    """The states that count as idle."""

    def __init__(self, process: Process, after_s: float, step: Callable[[], Any]) -> None:
        self._process = process
        self._after_s = after_s
        self._step = step
        self._seen = 0
        self._status = 1

    def arm(self) -> None:
        """Watch from now on; does nothing while armed."""
        if self._status:
            fencing.leave(self._process._shard)
            self._status = 0
            self._look_again()

    def cancel(self) -> None:
        """Let go of a process that has ended; called when it is buried."""
        if not self._status:
            self._status = 1
            self._process._shard.timers.stale += 1
        del self._process, self._step

    def expire(self) -> None:
        """Look at the process; called by the timer wheel."""
        process = self._process
        if process._state in self.rests and process._reductions == self._seen:
            self._status = 1
            process._shard.post_system(process, STEP, self._take)
        else:
            self._look_again()

    def _look_again(self) -> None:
        process = self._process
        self._seen = process._reductions
        shard = process._shard
        shard.timers.insert(shard.now_s() + self._after_s, self)

    def _take(self) -> Any:
        self._process._reductions -= 1  # A step is the runtime's doing: nobody wanted anything.
        return self._step()


class _HibernateWatch(IdleWatch):
    __slots__ = ()

    rests = (IDLE,)

    def expire(self) -> None:
        if self._process._state == HIBERNATED:
            self._status = 1  # By its own wish; the next message arms the watch again.
        else:
            super().expire()


def hibernate_when_idle(process: Process, after_s: float) -> None:
    """Hibernate a process whenever it is idle for long enough; called once, when it has started."""

    def step() -> Hibernate | None:
        if process._queue is None:
            return Hibernate()
        watch.arm()
        return None

    watch = _HibernateWatch(process, after_s, step)
    process.extras.idle = watch
    watch.arm()
