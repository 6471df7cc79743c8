"""Cases 62 to 71: hostile children, whole trees, restarts that never end, memory and scale."""

from __future__ import annotations

import time
import weakref
from typing import TYPE_CHECKING, Any

from supervisors import ChildSpec, GenServer, Supervisor, Via, requests
from tests.supervisors.conformance.case import dynamic, flags, spec
from tests.supervisors.conformance.test_strategies import Forgetful, Payload, kept
from tests.supervisors.conformance.workers import Plan, Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from supervisors import Ref
    from tests.supervisors.conformance.case import Case

STRATEGIES = ("one_for_all", "one_for_one", "rest_for_one")


def test_child_unlink(case: Case) -> None:
    """A child that unlinked itself does not hang terminate_child, whether it obeys or not."""
    for plan, reports in (
        (Plan(traps=False), []),
        (Plan(), []),
        (Plan(on_shutdown="ignore"), [("shutdown_error", "naughty", "killed")]),
    ):
        case.world.reports.clear()
        supervisor = case.supervisor(flags())
        child = case.start_child(supervisor, spec("naughty", plan, shutdown=1000))
        child.cast(("unlink", supervisor))
        case.watch(child)
        supervisor.send("foo")
        assert case.ask("terminate_child", supervisor, "naughty") is None
        assert case.ended(child) == ("killed" if reports else "shutdown")
        assert case.reports() == reports
        assert case.children(supervisor) == [("naughty", None)]
        assert supervisor._process.mailbox_length == 0


def tree_of(case: Case) -> tuple[Ref[Any], Ref[Any], Ref[Any]]:
    """Start OTP's tree: one_for_all over two supervisors and a third that is terminated."""
    workers = [spec("child1", shutdown=1000), spec("child2", shutdown=1000)]
    top = case.supervisor(flags("one_for_all", 4))
    first, second, _ = case.start_children(
        top,
        [
            ChildSpec("sup1", (Supervisor, (flags("one_for_one", 4), workers)), type="supervisor"),
            ChildSpec("sup2", (Supervisor, (flags("one_for_one", 4),)), type="supervisor"),
            ChildSpec(
                "sup3", (Supervisor, (flags("one_for_one", 4),)), "transient", type="supervisor"
            ),
        ],
    )
    assert case.ask("terminate_child", top, "sup3") is None
    assert case.counts(top) == [3, 2, 3, 0]
    assert case.counts(first) == [2, 2, 0, 2]
    assert case.counts(second) == [0, 0, 0, 0]
    return top, first, second


def test_tree(case: Case) -> None:
    """Local restarts stay local; escalation restarts the static tree without dynamic children."""
    top, first, second = tree_of(case)
    failing = Plan()
    third, fourth = case.start_children(second, [spec("child3", failing), spec("child4")])
    workers = case.children(first)
    case.end(fourth, "abnormal")
    assert case.children(first) == workers
    (_, new_fourth), (_, same_third) = case.children(second)
    assert same_third == third
    assert new_fourth != fourth
    assert case.counts(second) == [2, 2, 0, 2]

    failing.failing = True
    case.watch(first, second)
    case.end(third, "abnormal")
    assert (case.ended(second), case.ended(first)) == ("shutdown", "shutdown")
    assert top.is_alive()
    new = case.refs(top)
    assert list(new) == ["sup3", "sup2", "sup1"]
    assert case.counts(top) == [3, 3, 3, 0]
    assert not {first, second} & set(new.values())
    assert case.ids(new["sup1"]) == ["child2", "child1"]
    assert case.counts(new["sup1"]) == [2, 2, 0, 2]
    for one in ("sup2", "sup3"):
        assert case.children(new[one]) == []
        assert case.counts(new[one]) == [0, 0, 0, 0]


class Globals:
    """A registry of one's own: what `Via` asks of one, over a dictionary."""

    def __init__(self) -> None:
        self.named: dict[Any, Ref[Any]] = {}

    def register_name(self, name: Any, ref: Ref[Any]) -> bool:
        return self.named.setdefault(name, ref) is ref

    def unregister_name(self, name: Any) -> None:
        self.named.pop(name, None)

    def whereis_name(self, name: Any) -> Ref[Any] | None:
        return self.named.get(name)


def test_simple_global_supervisor(case: Case) -> None:
    """A named supervisor and worker are back under their names after kill, crash and restart.

    OTP registers them in `global`; here the names are `Via` names in a registry of one's own.
    """

    def kill_supervisor(supervisor: Any, worker: Ref[Any]) -> None:
        case.world.node.address(supervisor).kill()

    def kill_worker(supervisor: Any, worker: Ref[Any]) -> None:
        worker.kill()

    def crash_worker(supervisor: Any, worker: Ref[Any]) -> None:
        worker.cast(("crash", RuntimeError("normal")))

    def restart_worker(supervisor: Any, worker: Ref[Any]) -> None:
        case.ask("terminate_child", supervisor, "child")
        case.ask("restart_child", supervisor, "child")

    for disturb in (kill_supervisor, kill_worker, crash_worker, restart_worker):
        table = Globals()
        supervisor, server = Via(table, "sup2"), Via(table, "server")
        child = ChildSpec("child", (Worker, (), {"plan": Plan(traps=False)}), name=server)
        middle = ChildSpec(
            "middle", (Supervisor, (flags("one_for_all", 3), [child])), shutdown=2000,
            type="supervisor", name=supervisor,
        )  # fmt: skip
        top = case.supervisor(flags("one_for_all", 3), [middle])
        before = dict(table.named)
        assert set(before) == {"sup2", "server"}
        disturb(supervisor, before["server"])
        case.world.settle()
        after = table.named
        assert set(after) == {"sup2", "server"}
        assert all(ref.is_alive() for ref in after.values())
        assert after["server"] != before["server"]
        assert (after["sup2"] != before["sup2"]) == (disturb is kill_supervisor)
        top.kill()
        assert case.ended(top) == "killed"
        assert table.named == {}


def hang(case: Case, child: Ref[Any], plan: Plan) -> None:
    """Let a child end while its every restart fails after two seconds."""
    plan.failing = True
    case.end(child, "error")
    case.world.advance(2)


def stops_while_hanging(case: Case, supervisor: Ref[Any], child: Ref[Any], plan: Plan) -> None:
    """See a supervisor stop in the midst of failing restarts."""
    hang(case, child, plan)
    case.stop(supervisor)
    attempts = plan.attempts
    case.world.advance(10)
    assert plan.attempts == attempts
    assert case.world.node.whereis("sup_test") is None


def test_hanging_restart_loop(case: Case) -> None:
    """While restarts fail the requests are answered, terminate_child and the stop work."""
    plan = Plan(failure_s=2)
    supervisor = case.supervisor({"intensity": 8, "period": 10}, name="sup_test")
    child = spec("child1", plan, shutdown="brutal_kill")
    hang(case, case.start_child(supervisor, child), plan)
    assert case.refused("start_child", supervisor, child) == "already_present"
    assert case.refused("restart_child", supervisor, "child1") == "restarting"
    assert case.refused("delete_child", supervisor, "child1") == "restarting"
    assert case.children(supervisor) == [("child1", "restarting")]
    assert case.counts(supervisor) == [1, 0, 0, 1]
    case.world.advance(30)
    assert case.children(supervisor) == [("child1", "restarting")]
    assert case.ask("terminate_child", supervisor, "child1") is None
    assert case.children(supervisor) == [("child1", None)]
    plan.failing = False
    second = case.ask("restart_child", supervisor, "child1")
    stops_while_hanging(case, supervisor, second, plan)


def test_hanging_restart_loop_rest_for_one(case: Case) -> None:
    """The same for rest_for_one: the later sibling stays down, the earlier one up."""
    plan = Plan(failure_s=2)
    kill: dict[str, Any] = {"shutdown": "brutal_kill"}
    middle = spec("child2", plan, **kill)
    supervisor = case.supervisor(
        {"strategy": "rest_for_one", "intensity": 8, "period": 10}, name="sup_test"
    )
    first, second, _ = case.start_children(
        supervisor, [spec("child1", **kill), middle, spec("child3", **kill)]
    )
    hang(case, second, plan)
    assert case.refused("start_child", supervisor, middle) == "already_present"
    assert case.refused("restart_child", supervisor, "child2") == "restarting"
    assert case.refused("delete_child", supervisor, "child2") == "restarting"
    rows = [("child3", None), ("child2", "restarting"), ("child1", first)]
    assert case.children(supervisor) == rows
    assert case.counts(supervisor) == [3, 1, 0, 3]
    assert case.ask("terminate_child", supervisor, "child2") is None
    rows = [("child3", None), ("child2", None), ("child1", first)]
    assert case.children(supervisor) == rows
    plan.failing = False
    again = case.ask("restart_child", supervisor, "child2")
    stops_while_hanging(case, supervisor, again, plan)


def test_hanging_restart_loop_simple(case: Case) -> None:
    """The same for a dynamic supervisor, whose restarting child is ended by its old ref."""
    plan = Plan(failure_s=2)
    supervisor = case.supervisor(
        {"strategy": "simple_one_for_one", "intensity": 8, "period": 10},
        dynamic(plan, shutdown="brutal_kill"),
        name="sup_test",
    )
    first = case.start_child(supervisor)
    hang(case, first, plan)
    for request in ("restart_child", "delete_child"):
        assert case.refused(request, supervisor, "child1") == "simple_one_for_one"
    assert case.children(supervisor) == [(None, "restarting")]
    assert case.counts(supervisor) == [1, 0, 0, 1]
    assert case.ask("terminate_child", supervisor, first) is None
    assert case.children(supervisor) == []
    assert case.counts(supervisor) == [1, 0, 0, 0]
    plan.failing = False
    stops_while_hanging(case, supervisor, case.start_child(supervisor), plan)


def test_do_not_save_start_parameters_for_temporary_children(case: Case) -> None:
    """A supervisor of temporary children is smaller than one of others, under all strategies.

    OTP compares the sizes of the states; this counts which of a hundred arguments are held.
    """
    for strategy in (*STRATEGIES, "simple_one_for_one"):
        held = {}
        for restart in ("permanent", "transient", "temporary"):
            simple = strategy == "simple_one_for_one"
            one = {"id": "child", "start": (Forgetful, ()), "restart": restart}
            supervisor = case.supervisor(flags(strategy), [one] if simple else [])
            payloads = []
            for number in range(100):
                payload = Payload()
                payloads.append(weakref.ref(payload))
                what = payload if simple else one | {"id": number, "start": (Forgetful, (payload,))}
                case.start_child(supervisor, what)
                del payload, what
            held[restart] = kept(case, payloads)
            case.stop(supervisor)
        assert held == {"permanent": 100, "transient": 100, "temporary": 0}


def test_do_not_save_child_specs_for_temporary_children(case: Case) -> None:
    """A temporary child's spec is gone however it ended; others are there, down or restarted."""
    for strategy in STRATEGIES:
        for how in ("kill", "normal", "abnormal", "terminate"):
            supervisor = case.supervisor(flags(strategy))
            for restart in ("permanent", "transient", "temporary"):
                child = spec(restart, restart=restart, shutdown=1000)
                ref = case.start_child(supervisor, child)
                if how == "terminate":
                    case.ask("terminate_child", supervisor, restart)
                else:
                    case.end(ref, how)
                if restart == "temporary":
                    assert case.start_child(supervisor, child).is_alive()
                elif how == "terminate" or (restart, how) == ("transient", "normal"):
                    assert case.refused("start_child", supervisor, child) == "already_present"
                    assert case.ask("restart_child", supervisor, restart).is_alive()
                else:
                    told, other = case.refused("start_child", supervisor, child)
                    assert told == "already_started"
                    assert other.is_alive()
            case.stop(supervisor)


def each_cpu_s(
    case: Case, request: Callable[..., Any], supervisor: Ref[Any], arguments: Iterable[Any]
) -> float:
    """Let the tester make requests one after the other; gives the processor time it took."""
    wanted = list(arguments)
    began_s = time.process_time()
    case.world.wait(case.tester.call(("each", request, supervisor, wanted), None))
    return time.process_time() - began_s


def test_simple_one_for_one_scale_many_temporary_children(case: Case) -> None:
    """Terminating 10,000 dynamic children costs at most 50 times what 1,000 cost, in CPU time."""
    supervisor = case.supervisor(flags("simple_one_for_one"), dynamic(restart="temporary"))
    costs_s = []
    for count in (1_000, 10_000):
        started = ("each", requests.start_child, supervisor, range(count))
        refs = case.world.wait(case.tester.call(started, None))
        costs_s.append(each_cpu_s(case, requests.terminate_child, supervisor, refs))
        assert case.counts(supervisor) == [1, 0, 0, 0]
    assert costs_s[1] <= 50 * costs_s[0]


def test_scale_start_stop_many_children(case: Case) -> None:
    """20,000 static children start and stop within 10 times of linear from 1,000, in CPU time.

    OTP has 100,000, which would take five seconds a host; quadratic cost shows at 20,000 too.
    """
    costs_s = []
    for count in (1_000, 20_000):
        supervisor = case.supervisor(flags())
        specs = [{"id": number, "start": (GenServer, ())} for number in range(count)]
        start_s = each_cpu_s(case, requests.start_child, supervisor, specs)
        assert case.counts(supervisor) == [count, count, 0, count]
        stop_s = each_cpu_s(case, requests.terminate_child, supervisor, range(count))
        assert case.counts(supervisor) == [count, 0, 0, count]
        costs_s.append((start_s, stop_s))
    for small_s, large_s in zip(*costs_s, strict=True):
        assert large_s <= 10 * 20 * small_s
