"""What happens in a run, in order of cause, and which process a path means by now."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from supervisors import reports, signals
from supervisors.process import DEAD, Process
from supervisors.scenario import terms

if TYPE_CHECKING:
    from supervisors.pid import Pid
    from supervisors.ref import Ref
    from supervisors.reports import Report
    from supervisors.scenario.links import LinkTree

Json = dict[str, Any]


class Record:
    """Shared by the processes of a run, which write into it; all on the run's one shard.

    The runner takes the events out between turns: an error of whoever reads them must not end
    the process in whose turn they came about.
    """

    def __init__(self) -> None:
        self.newest: dict[str, Process] = {}
        """The last process that was started at each path, dead or alive."""
        self.deaf: set[Process] = set()
        """Workers that were told to stop and ignore it."""
        self.unsettled: list[LinkTree] = []
        """Link trees that somebody is leaving; at rest nobody is."""
        self._events: list[Json] = []
        self._attempts: Counter[str] = Counter()
        self._supervisors: dict[Pid, str] = {}

    def note(self, **event: Any) -> None:
        """Add an event; its values may be OTP's terms."""
        self._events.append(event)

    def take(self) -> list[Json]:
        """Give the events since the last time, as objects ready for JSON; all is at rest."""
        while self.unsettled:
            self.unsettled.pop().let_go()
        events, self._events = self._events, []
        return [{key: terms.term(value) for key, value in event.items()} for event in events]

    def attempt(self, path: str) -> int:
        """Count one more start of a path; gives its number."""
        self._attempts[path] += 1
        return self._attempts[path]

    def started(self, process: Process, path: str, number: int) -> None:
        """Note that an init has answered ok; from now on the end of the process is an event."""
        self.newest[path] = process
        self.note(event="start", path=path, n=number)
        if process._state != DEAD:
            signals.watch(process, _End(self, path))

    def ended(self, process: Ref[Any], path: str, reason: Any) -> None:
        """Note the end of a process that had started."""
        self._supervisors.pop(process.pid, None)
        self.deaf.discard(process._process)
        self.note(event="exit", path=path, reason=reason)

    def supervises(self, process: Process, path: str) -> None:
        """Note whose reports are those of a pid."""
        self._supervisors[process.pid] = path

    def report(self, report: Report) -> None:
        """Take a report of the node; only those of supervisors are events."""
        if report.kind == reports.SUPERVISOR and report.offender is not None:
            self.note(
                event="report",
                context=report.context,
                sup=self._supervisors[report.subject],
                id=report.offender.id,
                reason=report.reason,
            )


class _End:
    """A watcher (see `signals.watch`) that turns the end of a process into an event."""

    __slots__ = ("_path", "_record")

    def __init__(self, record: Record, path: str) -> None:
        self._record = record
        self._path = path

    def fire(self, process: Ref[Any], reason: Any) -> None:
        """Take the end of the process; called by the scheduler."""
        self._record.ended(process, self._path, reason)
