"""The processes of a scenario: workers that follow a script, supervisors that are our own.

`Record` is what they share: it counts attempts, knows the newest process of each path, and puts
every event into words. All of it runs on the one shard of the run.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from supervisors import reports, signals
from supervisors.child import SUPERVISOR
from supervisors.errors import ProcessExit, StartError
from supervisors.future import Future
from supervisors.gen_server import GenServer
from supervisors.process import DEAD, Process
from supervisors.reasons import is_orderly
from supervisors.results import IGNORE, Stop
from supervisors.scenario import terms
from supervisors.scenario.form import FLAG_KEYS, IGNORES, OBEY, SPEC_KEYS
from supervisors.scenario.links import LinkTree
from supervisors.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from supervisors.child import ChildSpec
    from supervisors.pid import Pid
    from supervisors.ref import Ref
    from supervisors.reports import Report

Json = dict[str, Any]

START_FAILED: Final = "start_failed"


class Record:
    """What is known of a run; `emit` gets every event as it happens, in order of cause."""

    def __init__(self, emit: Callable[[Json], None]) -> None:
        self.emit = emit
        self.newest: dict[str, Process] = {}
        self._attempts: Counter[str] = Counter()
        self._supervisors: dict[Pid, str] = {}

    def attempt(self, path: str) -> int:
        """Count one more start of a path; gives its number."""
        self._attempts[path] += 1
        return self._attempts[path]

    def started(self, process: Process, path: str, number: int) -> None:
        """Note that an init has answered ok; from now on the end of the process is an event."""
        self.newest[path] = process
        self.emit({"event": "start", "path": path, "n": number})
        if process._state != DEAD:
            signals.watch(process, _End(self, path))

    def not_started(self, event: str, path: str, number: int) -> None:
        """Note that an init failed or wanted to be ignored."""
        self.emit({"event": event, "path": path, "n": number})

    def ended(self, process: Ref[Any], path: str, reason: Any) -> None:
        """Note the end of a process that had started."""
        self._supervisors.pop(process.pid, None)
        self.emit({"event": "exit", "path": path, "reason": terms.term(reason)})

    def supervises(self, process: Process, path: str) -> None:
        """Note whose reports are those of a pid."""
        self._supervisors[process.pid] = path

    def report(self, report: Report) -> None:
        """Take a report of the node; only those of supervisors are events."""
        if report.kind == reports.SUPERVISOR and report.offender is not None:
            path = self._supervisors[report.subject]
            self.emit({
                "event": "report", "context": report.context, "sup": path,
                "id": report.offender.id, "reason": terms.term(report.reason),
            })  # fmt: skip


class _End:
    """A watcher (see `signals.watch`) that turns the end of a process into an event."""

    __slots__ = ("_path", "_record")

    def __init__(self, record: Record, path: str) -> None:
        self._record = record
        self._path = path

    def fire(self, process: Ref[Any], reason: Any) -> None:
        """Take the end of the process; called by the scheduler."""
        self._record.ended(process, self._path, reason)


class _Unlinked:
    """A watcher that takes a dead process out of its supervisor's link tree."""

    __slots__ = ("_links", "started")

    def __init__(self, links: LinkTree) -> None:
        self._links = links
        self.started = False

    def fire(self, process: Ref[Any], reason: Any) -> None:
        """Take the end of the process; called by the scheduler."""
        if self.started or is_orderly(reason):
            self._links.discard(process.pid.serial)
        else:
            self._links.discard_late(process.pid.serial)


def _enter_links(process: Process) -> _Unlinked:
    """Enter a process that starts into its supervisor's link tree, until it ends."""
    parent = process._parent
    # The root's parent is told of the root alone; a tree for it would order nothing.
    links = parent.links if isinstance(parent, ScenarioSupervisor) else LinkTree()
    links.add(process._serial)
    unlinked = _Unlinked(links)
    signals.watch(process, unlinked)
    return unlinked


class Worker(GenServer):
    """A worker that fails, ends and answers an order to stop as its spec says."""

    def init(self, record: Record, path: str, spec: Json) -> Any:
        """Answer as `start` says for this attempt."""
        unlinked = _enter_links(self)
        self._on_shutdown = spec.get("on_shutdown", OBEY)
        self._ends_itself = False
        self._last_word: Future[Any] | None = None
        self.trap_exit = spec.get("traps_exit", False)
        number = record.attempt(path)
        start = spec.get("start", "ok")
        if start == "ignore":
            record.not_started("start_ignored", path, number)
            return IGNORE
        if isinstance(start, dict) and number in start["fail_on"]:
            record.not_started(START_FAILED, path, number)
            return Stop(START_FAILED)
        unlinked.started = True
        record.started(self, path, number)
        return None

    def end(self, reason: Any) -> None:
        """End by itself, told so outside of its turns; one that is deaf to orders still can."""
        if self._last_word is None:
            self.ref.cast(reason)
        else:
            self._last_word.reply(reason)

    def handle_cast(self, message: Any) -> Any:
        """End with the reason sent."""
        self._ends_itself = True
        return Stop(message)

    def terminate(self, reason: Any) -> Any:
        """Answer the order to stop: any exit of the supervisor is one (gen_server)."""
        del reason
        if self._ends_itself or self._on_shutdown == OBEY:
            return None
        if self._on_shutdown == IGNORES:
            return self._ignore()
        raise ProcessExit(terms.reason(self._on_shutdown["exit"]))

    async def _ignore(self) -> None:
        """Never come to an end of terminate, but for an `exit` step."""
        self._last_word = Future(self._shard)
        raise ProcessExit(await self._last_word)


class ScenarioSupervisor(Supervisor):
    """Our supervisor as it is; what is added only watches, and fixes the order of orphans."""

    def init(self, record: Record, path: str, spec: Json) -> Any:  # type: ignore[override]
        """Give the flags and specs of SUP, only the keys that were given: OTP judges them."""
        flags = {key: terms.atom(spec[key]) for key in FLAG_KEYS if key in spec}
        return flags, [child_spec(record, path, child) for child in spec.get("children", ())]

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Note who this is before the first child starts."""
        record, path, _ = args
        assert self._parent is not None
        self._parent_serial = self._parent._serial
        self.links = LinkTree()
        self.links.add(self._parent_serial)
        self._unlinked = _enter_links(self)
        record.supervises(self, path)
        return super().begin(args, kwargs)

    async def start_all(self, specs: Any) -> Any:
        """Note whether the children could be started."""
        refusal = await super().start_all(specs)
        self._unlinked.started = refusal is None
        return refusal

    async def start_process(self, spec: ChildSpec, args: tuple[Any, ...]) -> tuple[Any, Any]:
        """Start a child; a supervisor's answer is noted where it arrives, as it is long on its
        way."""
        if spec.type != SUPERVISOR:
            return await super().start_process(spec, args)
        return await noted(super().start_process(spec, args), *args)

    def linked(self, parent: Process | None) -> Iterable[Process]:
        """List the linked processes in the order in which ERTS would tell them."""
        if parent is None:
            self.links.discard(self._parent_serial)
        return [self._shard.processes[serial] for serial in self.links]


async def noted(starting: Any, record: Record, path: str, spec: Json) -> tuple[Any, Any]:
    """Await the start of a supervisor and make its answer an event."""
    del spec
    number = record.attempt(path)
    try:
        process, info = await starting
    except StartError:
        record.not_started(START_FAILED, path, number)
        raise
    record.started(process, path, number)
    return process, info


def child_spec(record: Record, above: str, child: Any) -> Any:
    """Make the child spec of a SUP or WORKER: the keys that were given and our start.

    What is no object is handed on, for the supervisor to refuse.
    """
    if not isinstance(child, dict):
        return terms.atom(child)
    spec = {key: terms.atom(child[key]) for key in SPEC_KEYS if key in child}
    if "id" not in child:
        return spec
    spec["id"] = child["id"]
    kind = ScenarioSupervisor if child.get("type") == SUPERVISOR else Worker
    return {**spec, "start": (kind, (record, f"{above}/{child['id']}", child))}
