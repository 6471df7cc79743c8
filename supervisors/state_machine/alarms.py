"""The real timers of one state machine: by timeout, cancelled together when it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from supervisors import fencing
from supervisors.messages import INFO
from supervisors.process import DEAD
from supervisors.state_machine.actions import SetTimeout

if TYPE_CHECKING:
    from collections.abc import Iterable

    from supervisors.process import Process
    from supervisors.state_machine.transitions import TimerOrder


class Alarm:
    """One timer; when it rings the machine gets it as a message, in its place in the mailbox."""

    __slots__ = ("_process", "_status", "timeout")

    def __init__(self, process: Process, timeout: Any) -> None:
        self._status = 0
        self._process = process
        self.timeout = timeout

    def expire(self) -> None:
        """Ring; called by the shard when the time has come."""
        self._status = 1
        process = self._process
        if process._state != DEAD:
            process._shard.post_system(process, INFO, self)

    def cancel(self) -> None:
        """Do not ring; one that rang already is told apart by `Alarms.accept`."""
        if not self._status:
            self._status = 1
            self._process._shard.timers.stale += 1
        del self._process


class Alarms:
    """A machine's running timers. Touched on its shard's thread alone."""

    __slots__ = ("_process", "_running")

    def __init__(self, process: Process) -> None:
        self._process = process
        self._running: dict[Any, Alarm] = {}

    def obey(self, orders: Iterable[TimerOrder], now_s: float) -> None:
        """Start and stop timers as a transition wants it."""
        for timeout, action in orders:
            if action is None:
                self.stop(timeout)
            elif isinstance(action, SetTimeout):
                self.start(timeout, now_s + action.after_s)
            else:
                self.start(timeout, action.at_s)

    def start(self, timeout: Any, due_s: float) -> None:
        """Arm the timer of a timeout that has none running, on the shard's clock."""
        shard = self._process._shard
        if shard.abandoned:
            fencing.refuse(shard, self._process, timeout)
        self._running[timeout] = alarm = Alarm(self._process, timeout)
        shard.timers.insert(due_s, alarm)

    def stop(self, timeout: Any) -> None:
        """Cancel the timer of a timeout, if it runs or waits in the mailbox."""
        alarm = self._running.pop(timeout, None)
        if alarm is not None:
            alarm.cancel()

    def accept(self, alarm: Alarm) -> bool:
        """Take an alarm that was received; False if it was cancelled after it had rung."""
        if self._running.get(alarm.timeout) is not alarm:
            return False
        del self._running[alarm.timeout]
        return True

    def cancel(self) -> None:
        """Cancel them all; called when the machine has ended."""
        for alarm in self._running.values():
            alarm.cancel()
        self._running.clear()
