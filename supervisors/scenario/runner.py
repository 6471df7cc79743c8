"""Runs a scenario: a tree, then one step after another, each until everything has come to rest.

The node runs under the simulated host in the order of one BEAM scheduler, so that what OTP leaves
open falls as it falls there. Time stands still but for sleeps and for shutdown timeouts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from supervisors import requests, signals, starting
from supervisors.errors import CallExit, ChildError, SpecError, StartError
from supervisors.hosts.simulated import SimulatedHost
from supervisors.process import DEAD, PARKED, Process
from supervisors.reasons import KILL, SHUTDOWN
from supervisors.scenario import terms, workers
from supervisors.scenario.document import fault
from supervisors.scenario.record import Record

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from supervisors.ref import Ref
    from supervisors.scenario.form import Scenario

Json = dict[str, Any]

OK: Final = "ok"
NOPROC: Final = "noproc"


def run(scenario: Scenario, emit: Callable[[Json], None]) -> None:
    """Run a checked scenario; `emit` gets each event, an object ready for JSON, as it happens.

    Raises ScenarioFault at a step that nothing can come of: a call to a worker, a wait without end.
    """
    _Run(scenario, emit).play()


class _Parent(Process):
    """The root's parent: starts it and makes the calls, each in a turn of its own."""

    async def handle_cast(self, message: Any) -> Any:
        """Run a coroutine function of the runner."""
        await message()

    def handle_exit(self, sender: Any, reason: Any) -> None:
        """Take the root's end; the runner looks for itself when all is over."""


class _Run:
    """One scenario on a node of its own."""

    def __init__(self, scenario: Scenario, emit: Callable[[Json], None]) -> None:
        self.scenario = scenario
        self.emit = emit
        self.record = Record()
        self.host = SimulatedHost(beam_order=True)
        node = self.host.node(log_reports=False)
        node.reports.subscribe(self.record.report)
        self.shard = node.shard
        self.parent: Ref[_Parent] = node.launch(_Parent, (), {})
        self.parent._process.trap_exit = True
        self.root: Process | None = None
        self.not_started: Any = None

    def play(self) -> None:
        """Start the tree, carry the steps out, and say how the root ended."""
        self.parent.cast(self.start_tree)
        self.settle()
        if self.root is not None:
            for number, step in enumerate(self.scenario.steps):
                self.carry_out(number, step)
                self.settle()
                self.refuse_endless(number)
        self.record.note(event="end", root=self.end())
        self.tell()

    def end(self) -> Any:
        """Say "alive", or why the root ended or did not start."""
        if self.root is None:
            return self.not_started
        return self.root.exit_reason if self.root._state == DEAD else "alive"

    def tell(self) -> None:
        """Hand on what has happened."""
        for event in self.record.take():
            self.emit(event)

    async def start_tree(self) -> None:
        """Start the root, linked to its parent; runs in a turn of the parent."""
        tree = self.scenario.tree
        args = (self.record, tree["id"], tree)
        try:
            self.root, _ = await workers.noted(self.start_root(args), *args)
        except StartError as error:
            self.not_started = error.reason

    async def start_root(self, args: tuple[Any, ...]) -> tuple[Any, None]:
        """Start the root as a supervisor would start a child."""
        spawned = starting.spawn(
            self.shard, workers.ScenarioSupervisor, args, {},
            parent=self.parent._process, link=True,
        )  # fmt: skip
        return await spawned, None

    # -- time --------------------------------------------------------------------------------

    def settle(self) -> None:
        """Go on until nothing can run and no timer waits; time jumps from timer to timer."""
        self.host.run_ready()
        self.tell()
        while (due_s := self.host.next_due_s()) is not None:
            self.host.advance_to(due_s)
            self.tell()

    def sleep(self, duration_ms: int) -> None:
        """Let exactly so much time pass: whole milliseconds never add up to a rounding error."""
        self.host.advance_to((round(self.host.now_s * 1000) + duration_ms) / 1000)

    def refuse_endless(self, number: int) -> None:
        """Refuse a step after which a supervisor waits for an end that no timeout will bring."""
        for worker in self.record.deaf:
            supervisor = worker._parent
            if supervisor is not None and supervisor._state == PARKED:
                raise fault(("steps", number), "a supervisor waits for ever for a child to end")

    # -- steps -------------------------------------------------------------------------------

    def carry_out(self, number: int, step: Json) -> None:
        """Do what one step says, short of letting it take effect."""
        if step["do"] == "sleep":
            self.sleep(step["ms"])
            return
        target = self.target(step)
        if target is None:
            self.result(number, NOPROC)
        elif "sup" in step:
            if not isinstance(target, workers.ScenarioSupervisor):
                raise fault(("steps", number, "sup"), f"{step['sup']} is a worker")
            self.parent.cast(lambda: self.call(number, step, target))
        elif step["do"] == "exit":
            # To a supervisor it is a message like any that it does not know: nothing happens.
            if isinstance(target, workers.Worker):
                target.end(terms.reason(step["reason"]))
        else:
            order = KILL if step["do"] == "kill" else SHUTDOWN
            signals.exit_signal(target, self.parent, order, by_link=False)

    def target(self, step: Json) -> Process | None:
        """Find the process a step is about: the newest of its path, None if that is dead."""
        path = step.get("path", step.get("sup", self.scenario.tree["id"]))
        found = self.record.newest.get(path)
        return None if found is None or found._state == DEAD else found

    def result(self, number: int, value: Any) -> None:
        """Emit the result of a step."""
        self.record.note(event="result", step=number, value=value)

    async def call(self, number: int, step: Json, target: Process) -> None:
        """Make a call to a supervisor; runs in a turn of the parent, as the caller's would."""
        try:
            value = await _CALLS[step["do"]](self.record, step, target.ref)
        except (ChildError, SpecError) as error:
            value = ["error", error.reason]
        except CallExit as error:
            value = error.reason
        self.result(number, value)


# -- calls -----------------------------------------------------------------------------------


async def _start_child(record: Record, step: Json, sup: Ref[Any]) -> Any:
    spec = workers.child_spec(record, step["sup"], step["child"])
    return _started(await requests.start_child(sup, spec))


async def _restart_child(_record: Record, step: Json, sup: Ref[Any]) -> Any:
    return _started(await requests.restart_child(sup, step["id"]))


def _started(child: Ref[Any] | None) -> Any:
    return [OK, "undefined" if child is None else child]


async def _terminate_child(_record: Record, step: Json, sup: Ref[Any]) -> Any:
    await requests.terminate_child(sup, step["id"])
    return OK


async def _delete_child(_record: Record, step: Json, sup: Ref[Any]) -> Any:
    await requests.delete_child(sup, step["id"])
    return OK


async def _which_children(_record: Record, _step: Json, sup: Ref[Any]) -> Any:
    rows = await requests.which_children(sup)
    return [[child_id, _state(child), kind] for child_id, child, kind, _ in rows]


def _state(child: Any) -> str:
    if child is None:
        return "undefined"
    return child if isinstance(child, str) else "alive"


async def _count_children(_record: Record, _step: Json, sup: Ref[Any]) -> Any:
    return await requests.count_children(sup)


_CALLS: Final[dict[str, Callable[[Record, Json, Ref[Any]], Awaitable[Any]]]] = {
    "start_child": _start_child,
    "restart_child": _restart_child,
    "terminate_child": _terminate_child,
    "delete_child": _delete_child,
    "which_children": _which_children,
    "count_children": _count_children,
}
