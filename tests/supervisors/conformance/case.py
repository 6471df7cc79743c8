"""What the cases of the conformance list have in common: a world and the parent in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from supervisors import DynamicSupervisor, Ref, Shutdown, Supervisor, requests
from supervisors.errors import ChildError, SpecError, StartError
from tests.supervisors.conformance.workers import Plan, Tester, Worker

if TYPE_CHECKING:
    from tests.supervisors.world import World

ONE_HOUR_S = 3600


def spec(child_id: Any, plan: Plan | None = None, **keys: Any) -> dict[str, Any]:
    """Give the map form of a spec of a Worker, OTP's defaults for what is not said."""
    return {"id": child_id, "start": (Worker, (), {"plan": plan}), **keys}


def dynamic(plan: Plan | None = None, **keys: Any) -> list[dict[str, Any]]:
    """Give the list of the one spec that a dynamic supervisor of Workers has."""
    return [spec("child", plan, **keys)]


def flags(strategy: str = "one_for_one", intensity: int = 2, **keys: Any) -> dict[str, Any]:
    """Give the flags most cases use: two restarts an hour."""
    return {"strategy": strategy, "intensity": intensity, "period": ONE_HOUR_S, **keys}


class Case:
    """A test's way to supervisors; every method returns when nothing is left to run."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.tester = world.start(Tester)

    # -- starting and stopping ---------------------------------------------------------------

    def supervisor(self, flags: Any, specs: Any = (), *, name: Any = None) -> Ref[Any]:
        """Start a supervisor linked to the tester: dynamic if the flags say so."""
        strategy = flags.get("strategy") if isinstance(flags, dict) else flags[0]
        kind = DynamicSupervisor if strategy == "simple_one_for_one" else Supervisor
        return self.start_link(kind, flags, specs, name=name)

    def start_link(self, process_class: Any, *args: Any, **options: Any) -> Ref[Any]:
        """Start a process linked to the tester; raises StartError."""
        request = ("start", process_class, args, options)
        ref: Ref[Any] = self.world.wait(self.tester.call(request, None))
        self.watch(ref)
        return ref

    def start_error(self, flags: Any, specs: Any = ()) -> Any:
        """Give the reason why a supervisor can not be started."""
        try:
            started = self.supervisor(flags, specs)
        except StartError as error:
            return error.reason
        raise AssertionError(started)

    def stop(self, supervisor: Ref[Any], expected: Any = "shutdown") -> None:
        """Tell a supervisor `shutdown` as its parent, and see it end with that."""
        self.exit(supervisor, "shutdown")
        assert self.ended(supervisor) == expected

    def exit(self, ref: Ref[Any], reason: Any) -> None:
        """Send an exit signal from the tester."""
        self.tester.cast(("exit", ref, reason))
        self.world.settle()

    def end(self, ref: Ref[Any], how: Any) -> None:
        """End a worker by itself, or kill it, and see it end for that reason.

        As in OTP: `kill` and the shutdowns are exit signals, other reasons are the worker's own.
        """
        self.watch(ref)
        if how == "kill":
            self.exit(ref, "kill")
        elif how == "shutdown" or isinstance(how, Shutdown):
            self.exit(ref, how)
        else:
            ref.cast(("exit", how))
        self.world.settle()
        assert self.ended(ref) == ("killed" if how == "kill" else how)

    # -- looking -----------------------------------------------------------------------------

    def watch(self, *refs: Ref[Any]) -> None:
        """Let the tester monitor processes."""
        for ref in refs:
            self.world.call(self.tester, ("watch", ref))

    def ended(self, ref: Ref[Any]) -> Any:
        """Wait for the end of a watched process, time passing, and give its reason."""
        return self.world.wait(self.tester.call(("ended", ref), None))

    @property
    def exits(self) -> list[tuple[Ref[Any], Any]]:
        """List the exit signals that the tester got from its links."""
        self.world.settle()
        return list(self.tester._process.exits)

    @property
    def ends(self) -> list[tuple[Ref[Any], Any]]:
        """List the ends of watched processes in their order."""
        self.world.settle()
        return list(self.tester._process.ends)

    def alive(self, *refs: Ref[Any], for_s: float = 1.0) -> bool:
        """Tell whether all of these live on for some seconds."""
        self.world.advance(for_s)
        return all(ref.is_alive() for ref in refs)

    # -- asking supervisors ------------------------------------------------------------------

    def ask(self, request: str, supervisor: Any, *arguments: Any) -> Any:
        """Make a request of `supervisors.requests` and wait for its answer."""
        return self.world.wait(getattr(requests, request)(supervisor, *arguments))

    def refused(self, request: str, supervisor: Any, *arguments: Any) -> Any:
        """Give the term with which a supervisor refuses a request."""
        try:
            answer = self.ask(request, supervisor, *arguments)
        except (ChildError, SpecError) as error:
            return error.reason
        raise AssertionError(answer)

    def start_child(self, supervisor: Any, *what: Any) -> Any:
        """Start a child; gives its ref, (ref, info) or None."""
        return self.ask("start_child", supervisor, *what)

    def start_children(self, supervisor: Any, specs: Any) -> list[Any]:
        """Start several children; gives their refs."""
        return [self.start_child(supervisor, one) for one in specs]

    def children(self, supervisor: Any) -> list[tuple[Any, Any]]:
        """List (id, ref, None or "restarting"), the newest first."""
        return [(row[0], row[1]) for row in self.ask("which_children", supervisor)]

    def refs(self, supervisor: Any) -> dict[Any, Any]:
        """Give the children of a static supervisor by id."""
        return dict(self.children(supervisor))

    def ids(self, supervisor: Any) -> list[Any]:
        """List the children's ids, the newest first."""
        return [child_id for child_id, _ in self.children(supervisor)]

    def counts(self, supervisor: Any) -> list[int]:
        """Count specs, active children, supervisors and workers, in this order."""
        counted = self.ask("count_children", supervisor)
        return [counted[key] for key in ("specs", "active", "supervisors", "workers")]

    def reports(self) -> list[tuple[str, Any, Any]]:
        """List (context, offender's id, reason) of the supervisor reports so far."""
        self.world.settle()
        return self.world.supervisor_reports()
