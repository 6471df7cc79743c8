"""Reports of one shape: what supervisors and dying processes say about it."""

from __future__ import annotations

import logging
import math
from collections import Counter, deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from supervisors import fencing, limits
from supervisors.pid import Pid
from supervisors.printable import text_by
from supervisors.reasons import Crash, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from supervisors.process import Process

logger = logging.getLogger("supervisors")

SUPERVISOR: Final = "supervisor"
PROGRESS: Final = "progress"
CRASH: Final = "crash"

START_ERROR: Final = "start_error"
CHILD_TERMINATED: Final = "child_terminated"
SHUTDOWN_ERROR: Final = "shutdown_error"
SHUTDOWN: Final = "shutdown"
STARTED: Final = "started"


class Offender(NamedTuple):
    """The child a supervisor reports on; `nb_children` counts those of a grouped report."""

    pid: Any
    id: Any
    start: Any
    restart: str
    significant: bool
    shutdown: Any
    child_type: str
    nb_children: int | None = None


class Report(NamedTuple):
    """One report: who says it, in which context, about whom, and why.

    `kind` is SUPERVISOR, PROGRESS or CRASH; `level` a logging level; `subject` the name or pid of
    the process that reports; `detail` what only this kind has.
    """

    kind: str
    level: int
    context: str
    subject: Any
    reason: Any
    offender: Offender | None = None
    detail: dict[str, Any] | None = None


class Reports:
    """The node's reports: counted, the last few kept, handed to subscribers by level.

    `counts` is by (kind, context), `crashes` by process class. The standard logger "supervisors"
    gets each report formatted when its level is enabled there, unless the node was made with
    `log=False`.
    """

    def __init__(self, *, log: bool = True) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.crashes: dict[type, int] = {}
        self.recent: deque[Report] = deque(maxlen=limits.REPORT_SAMPLES)
        self._subscribers: list[tuple[int, Callable[[Report], None]]] = []
        self._heard: float = math.inf
        self._log = log

    def subscribe(
        self, subscriber: Callable[[Report], None], level: int = logging.INFO
    ) -> Callable[[], None]:
        """Call back for reports of a level and above, on the shard's thread.

        Gives the function that ends it. What the subscriber raises is logged.
        """
        entry = (level, subscriber)
        self._subscribers.append(entry)
        self._heard = min(self._heard, level)

        def unsubscribe() -> None:
            self._subscribers.remove(entry)
            self._heard = min((level for level, _ in self._subscribers), default=math.inf)

        return unsubscribe

    def emit(self, report: Report) -> None:
        """Count, keep and hand on a report."""
        self.counts[report.kind, report.context] += 1
        self.recent.append(report)
        for level, subscriber in self._subscribers:
            if report.level >= level:
                try:
                    subscriber(report)
                except Exception:
                    logger.exception("a subscriber to reports failed")
        if self._log and logger.isEnabledFor(report.level):
            logger.log(report.level, "%s", LazyText(report))

    def progress(
        self, supervisor: Process, make: Callable[[], Offender], level: int = logging.INFO
    ) -> None:
        """Report that a child was started; built only when somebody listens to the level."""
        self.counts[PROGRESS, STARTED] += 1
        if level >= self._heard or (self._log and logger.isEnabledFor(level)):
            self.counts[PROGRESS, STARTED] -= 1
            self.emit(Report(PROGRESS, level, STARTED, label(supervisor), None, make()))

    def crash(
        self,
        process: Process,
        reason: Any,
        error: BaseException | None,
        message: Any,
        *,
        inside: bool = True,
    ) -> None:
        """Report an end that was not orderly, by the dying process itself.

        `inside` says whether the process is asked what it shows of itself.
        """
        self.crashes[type(process)] = self.crashes.get(type(process), 0) + 1
        ancestors: list[Any] = []
        parent = process._parent
        while parent is not None and len(ancestors) < limits.REPORT_DEPTH:
            ancestors.append(label(parent))
            parent = parent._parent
        ext = process._ext if process.is_running() else None
        detail = {
            "class": type(process).__name__,
            "pid": process.pid,
            "name": process._name,
            "error": error,
            "message": message,
            "ancestors": ancestors,
            "links": [label(peer) for peer in (ext.links or ())] if ext is not None else [],
            "trap_exit": process.trap_exit,
            "mailbox_length": process.mailbox_length,
            "reductions": process._reductions,
        }
        status = None
        try:
            status = process.crash_status(reason) if inside else None
        except Exception:
            logger.exception("the crash_status of %s failed", process)
        if inside:
            fencing.leave(process._shard)
        if status is not None:
            detail |= {"message": status.get("event"), "status": status}
        self.emit(Report(CRASH, logging.ERROR, "crashed", label(process), reason, None, detail))


def label(process: Any) -> Any:
    """Name a process in a report: its registered name, else its pid."""
    name = getattr(process, "_name", None)
    return name if name is not None else process.pid


class LazyText:
    """Formats a report when a log handler really writes it."""

    __slots__ = ("_report",)

    def __init__(self, report: Report) -> None:
        self._report = report

    def __str__(self) -> str:
        return format_report(self._report)


def format_report(
    report: Report,
    *,
    single_line: bool = False,
    depth: int = limits.REPORT_DEPTH,
    characters: int = limits.REPORT_CHARACTERS,
) -> str:
    """Write a report for a person: several lines or one, nesting and length bounded."""
    rows: list[tuple[str, Any]] = [("context", report.context)]
    if report.kind != PROGRESS:
        rows.append(("reason", report.reason))
    if report.offender is not None:
        offender = report.offender._asdict()
        del offender["nb_children" if offender["nb_children"] is None else "pid"]
        rows.append(("offender", offender))
    rows.extend((report.detail or {}).items())
    head = f"{report.kind} report of {text(report.subject)}"
    if single_line:
        told = f"{head}: " + ", ".join(f"{key}={_show(value, depth)}" for key, value in rows)
    else:
        told = "\n".join([head, *(f"    {key}: {_show(value, depth)}" for key, value in rows)])
    if isinstance(report.reason, Crash) and not single_line:
        frames = (
            f'    at {name} ("{file}", line {line})' for file, line, name in report.reason.frames
        )
        told = "\n".join([told, *frames])
    return told if len(told) <= characters else told[: characters - 3] + "..."


def _show(value: Any, depth: int) -> str:
    """Write a value; each level of nesting costs a unit of depth, each element one more (~P).

    Never raises, whatever the value is.
    """
    return text_by(lambda one: _written(one, depth), value)


def _written(value: Any, depth: int) -> str:
    if depth <= 0:
        return "..."
    if isinstance(value, dict):
        shown = (
            f"{text(key)}: {_show(one, left)}" for (key, one), left in _within(value.items(), depth)
        )
        return f"{{{', '.join(_ended(shown, len(value), depth))}}}"
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        shown = (_show(one, left) for one, left in _within(value, depth))
        return f"[{', '.join(_ended(shown, len(value), depth))}]"
    return str(value) if isinstance(value, (Crash, Pid)) else repr(value)


def _within(values: Iterable[Any], depth: int) -> Iterator[tuple[Any, int]]:
    return zip(values, range(depth - 1, 0, -1), strict=False)


def _ended(shown: Iterable[str], length: int, depth: int) -> list[str]:
    return [*shown, *(["..."] if length >= depth else [])]
