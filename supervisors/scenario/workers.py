"""The processes of a scenario: workers that follow a script, supervisors that are our own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from supervisors import signals
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
    from collections.abc import Iterable

    from supervisors.child import ChildSpec
    from supervisors.ref import Ref
    from supervisors.scenario.record import Record

Json = dict[str, Any]

START_FAILED: Final = "start_failed"


class _Unlinked:
    """A watcher that takes a dead process out of its supervisor's link tree."""

    __slots__ = ("_links", "_record", "started")

    def __init__(self, links: LinkTree, record: Record) -> None:
        self._links = links
        self._record = record
        self.started = False

    def fire(self, process: Ref[Any], reason: Any) -> None:
        """Take the end of the process; called by the scheduler."""
        if self.started or is_orderly(reason):
            self._links.discard(process.pid.serial)
        else:
            self._links.discard_late(process.pid.serial)
            self._record.unsettled.append(self._links)


def _enter_links(process: Process, record: Record) -> _Unlinked:
    """Enter a process that starts into its supervisor's link tree, until it ends."""
    parent = process._parent
    # The root's parent is told of the root alone; a tree for it would order nothing.
    links = parent.links if isinstance(parent, ScenarioSupervisor) else LinkTree()
    links.add(process._serial)
    unlinked = _Unlinked(links, record)
    signals.watch(process, unlinked)
    return unlinked


class Worker(GenServer):
    """A worker that fails, ends and answers an order to stop as its spec says."""

    def init(self, record: Record, path: str, spec: Json, failing: frozenset[int]) -> Any:
        """Answer as `start` says for this attempt; `failing` are those that fail."""
        unlinked = _enter_links(self, record)
        self._record = record
        self._on_shutdown = spec.get("on_shutdown", OBEY)
        self._ends_itself = False
        self._last_word: Future[Any] | None = None
        self.trap_exit = spec.get("traps_exit", False)
        number = record.attempt(path)
        if spec.get("start") == "ignore":
            record.note(event="start_ignored", path=path, n=number)
            return IGNORE
        if number in failing:
            record.note(event=START_FAILED, path=path, n=number)
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
        self._record.deaf.add(self)
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
        self._starter = self._parent
        self.links = LinkTree()
        self.links.add(self._starter._serial)
        self._unlinked = _enter_links(self, record)
        record.supervises(self, path)
        return super().begin(args, kwargs)

    async def start_all(self, specs: Any) -> Any:
        """Note whether the children could be started."""
        refusal = await super().start_all(specs)
        self._unlinked.started = refusal is None
        return refusal

    async def start_process(self, spec: ChildSpec, args: tuple[Any, ...]) -> tuple[Any, Any]:
        """Start a child; the answer of a supervisor is noted here, where it arrives."""
        if spec.type != SUPERVISOR:
            return await super().start_process(spec, args)
        return await noted(super().start_process(spec, args), *args)

    def linked(self, parent: Process | None) -> Iterable[Process]:
        """List the linked processes in the order in which ERTS would tell them."""
        del parent
        if self._starter._state == DEAD:
            self.links.discard(self._starter._serial)
        order = list(self.links)
        if isinstance(self._starter, ScenarioSupervisor) and self._starter.links.is_leaving:
            order.remove(self._starter._serial)
            order.insert(0, self._starter._serial)
        living = self._shard.processes
        return [living[serial] for serial in order if serial in living]


async def noted(starting: Any, record: Record, path: str, spec: Json) -> tuple[Any, Any]:
    """Await the start of a supervisor and make its answer an event."""
    del spec
    number = record.attempt(path)
    try:
        process, info = await starting
    except StartError:
        record.note(event=START_FAILED, path=path, n=number)
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
    path = f"{above}/{child['id']}"
    if child.get("type") == SUPERVISOR:
        return {**spec, "start": (ScenarioSupervisor, (record, path, child))}
    start = child.get("start")
    failing = frozenset(start["fail_on"] if isinstance(start, dict) else ())
    return {**spec, "start": (Worker, (record, path, child, failing))}
