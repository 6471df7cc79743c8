"""Many timers set and expiring: `python -m benchmarks.programs.timers TIMERS SPREAD_MS`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from benchmarks.programs import meter, stage
from supervisors import Future, GenServer

if TYPE_CHECKING:
    from supervisors import Node

# All timers must be set before the first is due.
_HEAD_START_S = 4.0


class Alarm(GenServer):
    """Sets timers on itself and counts them as they come."""

    def init(self, done: Future[None]) -> None:
        """Start with no timer."""
        self.done = done
        self.left = 0

    def handle_call(self, message: Any, caller: Any) -> None:
        """Set so many timers, spread over so many milliseconds."""
        timers, spread_ms = message
        self.left = timers
        for number in range(timers):
            delay_s = _HEAD_START_S + (number % spread_ms) / 1_000
            self.send_after(delay_s, "due")

    def handle_info(self, message: Any) -> None:
        """Count one."""
        self.left -= 1
        if not self.left:
            self.done.set()


async def measure(node: Node) -> None:
    """Set them all, wait for them all."""
    timers, spread_ms = map(int, sys.argv[1:])
    done: Future[None] = Future()
    alarm = await node.start(Alarm, done)
    began_s = meter.now_cpu_s()
    await alarm.call((timers, spread_ms), timeout_s=None)
    set_s = meter.now_cpu_s()
    await done
    expired_s = meter.now_cpu_s()
    meter.emit("timer_inserts", timers / (set_s - began_s), "timers/CPU s")
    meter.emit("timer_expiries", timers / (expired_s - set_s), "timers/CPU s")


if __name__ == "__main__":
    stage.run(measure)
