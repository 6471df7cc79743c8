"""Cases 46 to 61: what happens to the siblings of a child that ended."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING, Any

from tests.supervisors.conformance.case import dynamic, flags, spec
from tests.supervisors.conformance.test_api import start_with_info
from tests.supervisors.conformance.workers import Plan, Worker

if TYPE_CHECKING:
    from supervisors import Ref
    from tests.supervisors.conformance.case import Case

MAX_INTENSITY = "reached_max_restart_intensity"


def pair(first: Plan | None = None, second: Plan | None = None) -> list[dict[str, Any]]:
    """Give the specs of two permanent workers."""
    return [spec("child1", first, shutdown=1000), spec("child2", second, shutdown=1000)]


def ends(case: Case, supervisor: Ref[Any], *siblings: Ref[Any]) -> None:
    """See a supervisor end at its limit and its children with it, all with `shutdown`."""
    assert case.ended(supervisor) == "shutdown"
    assert [case.ended(sibling) for sibling in siblings] == ["shutdown"] * len(siblings)
    context, _, reason = case.reports()[-1]
    assert (context, reason) == ("shutdown", MAX_INTENSITY)


def escalates(case: Case, strategy: str, failing: str) -> None:
    """See a child that can not start again use the intensity up, and all end.

    Child1 is the one that ends; `failing` is the one whose restarts fail. Four restarts are
    allowed and all of them fail, so it is the fifth that ends the supervisor.
    """
    plans = {"child1": Plan(), "child2": Plan()}
    supervisor = case.supervisor(flags(strategy, 4))
    first, second = case.start_children(supervisor, pair(plans["child1"], plans["child2"]))
    case.watch(second)
    plans[failing].failing = True
    case.end(first, "abnormal")
    ends(case, supervisor, second)
    assert plans[failing].attempts == 1 + 4
    start_errors = [report for report in case.reports() if report[0] == "start_error"]
    assert start_errors == [("start_error", failing, "error")] * 4
    assert case.reports()[0] == ("child_terminated", "child1", "abnormal")
    assert case.reports()[-1] == ("shutdown", failing, MAX_INTENSITY)


def test_multiple_restarts(case: Case) -> None:
    """Repeated failures spaced wider than the period never trip the limit."""
    supervisor = case.supervisor({"intensity": 1, "period": 1})
    child = spec("child1", shutdown="brutal_kill")
    case.end(case.start_child(supervisor, child), "abnormal")
    for _ in range(20):
        case.world.advance(2.1)
        ((_, ref),) = case.children(supervisor)
        case.end(ref, "abnormal")
    assert supervisor.is_alive()
    assert case.ask("terminate_child", supervisor, "child1") is None
    assert case.ask("delete_child", supervisor, "child1") is None


def test_one_for_one(case: Case) -> None:
    """Only the failed one is new; the third failure in the window ends the supervisor."""
    supervisor = case.supervisor(flags("one_for_one", 2))
    first, second = case.start_children(supervisor, pair())
    case.end(first, "abnormal")
    refs = case.refs(supervisor)
    assert refs["child2"] == second
    assert refs["child1"] != first
    assert case.counts(supervisor) == [2, 2, 0, 2]
    case.end(second, "abnormal")
    assert supervisor.is_alive()
    refs = case.refs(supervisor)
    case.watch(refs["child1"])
    case.end(refs["child2"], "abnormal")
    ends(case, supervisor, refs["child1"])


def test_one_for_one_escalation(case: Case) -> None:
    """A child that can not restart exhausts the intensity: supervisor and sibling end."""
    escalates(case, "one_for_one", "child1")


def test_one_for_all(case: Case) -> None:
    """Every child is new and no old one alive; the limit is as for one_for_one."""
    supervisor = case.supervisor(flags("one_for_all", 2))
    old = case.start_children(supervisor, pair())
    case.watch(*old)
    case.end(old[0], "abnormal")
    assert case.ended(old[1]) == "shutdown"
    new = case.refs(supervisor)
    assert list(new) == ["child2", "child1"]
    assert not set(new.values()) & set(old)
    assert not any(ref.is_alive() for ref in old)
    assert case.counts(supervisor) == [2, 2, 0, 2]
    case.end(new["child2"], "abnormal")
    assert supervisor.is_alive()
    new = case.refs(supervisor)
    case.watch(new["child1"])
    case.end(new["child2"], "abnormal")
    ends(case, supervisor, new["child1"])


def test_one_for_all_escalation(case: Case) -> None:
    """As for one_for_one, with a sibling that can not restart."""
    escalates(case, "one_for_all", "child2")


def journalled(case: Case, strategy: str) -> tuple[list[Any], Any]:
    """Let child1 end when child2's next start fails; gives what happened after that."""
    journal: list[Any] = []
    first, second = Plan(1, journal=journal), Plan(2, journal=journal, fail_on={2})
    supervisor = case.supervisor(flags(strategy, 3), pair(first, second))
    child = case.refs(supervisor)["child1"]
    journal.clear()
    case.end(child, "die")
    assert supervisor.is_alive()
    assert case.counts(supervisor) == [2, 2, 0, 2]
    assert (first.attempts, second.attempts) == (journal.count(("start", 1)) + 1, 3)
    return journal, supervisor


def test_one_for_all_other_child_fails_restart(case: Case) -> None:
    """A sibling that fails to restart makes the restarted one stop with shutdown and start again.

    OTP's test answers each init by hand; here the plans say which init fails.
    """
    journal, _ = journalled(case, "one_for_all")
    assert journal == [
        ("stop", 1, "die"),
        ("stop", 2, "shutdown"),
        ("start", 1),
        ("stop", 1, "shutdown"),
        ("start", 1),
        ("start", 2),
    ]


def test_simple_one_for_one(case: Case) -> None:
    """Only the failed one is new; at the limit the supervisor's exit reason is shutdown."""
    supervisor = case.supervisor(flags("simple_one_for_one", 2), dynamic(shutdown=1000))
    first, second = case.start_child(supervisor), case.start_child(supervisor)
    case.end(first, "abnormal")
    refs = [ref for _, ref in case.children(supervisor)]
    assert len(refs) == 2
    assert second in refs
    assert first not in refs
    assert case.counts(supervisor) == [1, 2, 0, 2]
    case.end(second, "abnormal")
    third, fourth = (ref for _, ref in case.children(supervisor))
    case.watch(fourth)
    case.end(third, "abnormal")
    ends(case, supervisor, fourth)


def test_simple_one_for_one_shutdown(case: Case) -> None:
    """All dynamic children stop in parallel: the patience with the slowest bounds the total."""
    plans = iter([Plan(shutdown_s=1), Plan(shutdown_s=1), Plan(shutdown_s=5)])

    async def start(supervisor: Any) -> Any:
        return await supervisor.start_link(Worker, plan=next(plans))

    child = {"id": "child", "start": start, "shutdown": 2000}
    supervisor = case.supervisor(flags("simple_one_for_one"), [child])
    children = [case.start_child(supervisor) for _ in range(3)]
    case.watch(*children)
    began_s = case.world.now_s()
    case.stop(supervisor)
    assert [case.ended(child) for child in children] == ["shutdown", "shutdown", "killed"]
    assert 2 <= case.world.now_s() - began_s < 2.1


def test_simple_one_for_one_extra(case: Case) -> None:
    """Children whose start gives info are restarted too."""
    child = {"id": "child", "start": (start_with_info, ()), "shutdown": 1000}
    supervisor = case.supervisor(flags("simple_one_for_one", 2), [child])
    (first, info), (second, _) = case.start_child(supervisor), case.start_child(supervisor)
    assert info == "extra_return"
    case.end(first, "abnormal")
    refs = [ref for _, ref in case.children(supervisor)]
    assert len(refs) == 2
    assert second in refs
    assert first not in refs
    assert case.counts(supervisor) == [1, 2, 0, 2]
    case.end(second, "abnormal")
    third, fourth = (ref for _, ref in case.children(supervisor))
    case.watch(fourth)
    case.end(third, "abnormal")
    ends(case, supervisor, fourth)


def test_simple_one_for_one_escalation(case: Case) -> None:
    """A dynamic child that can not restart escalates and ends its siblings."""
    plan = Plan()
    supervisor = case.supervisor(flags("simple_one_for_one", 4), dynamic(plan, shutdown=1000))
    first, second = case.start_child(supervisor, "error"), case.start_child(supervisor)
    case.watch(second)
    plan.failing = True
    case.end(first, "abnormal")
    ends(case, supervisor, second)
    assert plan.attempts == 2 + 4
    assert case.reports() == [
        ("child_terminated", "child", "abnormal"),
        *[("start_error", "child", "error")] * 4,
        ("shutdown", "child", MAX_INTENSITY),
    ]


class Payload:
    """An argument whose life can be followed."""


class Forgetful(Worker):
    """A worker that keeps nothing of its arguments."""

    def init(self, *args: Any, **options: Any) -> Any:
        super().init(plan=None)


def kept(case: Case, payloads: list[weakref.ref[Payload]]) -> int:
    """Count the arguments that somebody still holds, logs apart."""
    case.world.settle()
    case.world.reports.clear()
    case.world.node.reports.recent.clear()
    gc.collect()
    return sum(payload() is not None for payload in payloads)


def test_simple_one_for_one_corruption(case: Case) -> None:
    """After a temporary child died, arguments of later ones are still not kept.

    OTP looks at the heap size, this at the very objects. A permanent child's are kept.
    """
    for restart, count in (("temporary", 0), ("permanent", 2)):
        child = {"id": "child", "start": (Forgetful, ()), "restart": restart}
        supervisor = case.supervisor(flags("simple_one_for_one"), [child])
        payloads: list[weakref.ref[Payload]] = []
        for how in ("abnormal", None):
            payload = Payload()
            payloads.append(weakref.ref(payload))
            ref = case.start_child(supervisor, payload)
            del payload
            if how is not None:
                case.end(ref, how)
        assert kept(case, payloads) == count


def test_simple_one_for_one_restart_ignore(case: Case) -> None:
    """A dynamic child whose restart is ignored is dropped, permanent or transient (27)."""
    for restart in ("permanent", "transient"):
        plan = Plan(ignore_on={3})
        supervisor = case.supervisor(flags("simple_one_for_one"), dynamic(plan, restart=restart))
        first, second = case.start_child(supervisor), case.start_child(supervisor)
        case.end(first, "abnormal")
        assert plan.attempts == 3
        assert case.children(supervisor) == [(None, second)]
        assert case.counts(supervisor) == [1, 1, 0, 1]
        case.stop(supervisor)


def test_rest_for_one(case: Case) -> None:
    """The later siblings restart too, the earlier ones keep their pids; the limit is the same."""
    supervisor = case.supervisor(flags("rest_for_one", 2))
    first, second, third = case.start_children(supervisor, [*pair(), spec("child3", shutdown=1000)])
    case.watch(first, third)
    assert case.counts(supervisor) == [3, 3, 0, 3]
    case.end(second, "abnormal")
    assert case.ended(third) == "shutdown"
    refs = case.refs(supervisor)
    assert list(refs) == ["child3", "child2", "child1"]
    assert refs["child1"] == first
    assert not {second, third} & set(refs.values())
    assert case.counts(supervisor) == [3, 3, 0, 3]
    case.end(refs["child3"], "abnormal")
    assert case.refs(supervisor)["child2"] == refs["child2"]
    case.end(refs["child2"], "abnormal")
    ends(case, supervisor, first)


def test_rest_for_one_escalation(case: Case) -> None:
    """As for one_for_one, with a later sibling that can not restart."""
    escalates(case, "rest_for_one", "child2")


def test_rest_for_one_other_child_fails_restart(case: Case) -> None:
    """A later sibling that fails to restart is tried again; the restarted one before it stays."""
    journal, _ = journalled(case, "rest_for_one")
    assert journal == [
        ("stop", 1, "die"),
        ("stop", 2, "shutdown"),
        ("start", 1),
        ("start", 2),
    ]


def test_order_of_children(case: Case) -> None:
    """Children start in the order listed and stop in the reverse, in a restart as in a stop."""
    ids = ["ch7", "ch3", "ch10", "ch2", "ch5"]
    journal: list[Any] = []
    specs = [spec(one, Plan(one, journal=journal), shutdown=1000) for one in ids]
    supervisor = case.supervisor(flags("rest_for_one", 2), specs)
    assert journal == [("start", one) for one in ids]
    assert case.ids(supervisor) == ids[::-1]
    before = case.refs(supervisor)
    case.watch(*before.values())
    journal.clear()
    case.end(before["ch10"], "abnormal")
    assert journal == [
        ("stop", "ch10", "abnormal"),
        ("stop", "ch5", "shutdown"),
        ("stop", "ch2", "shutdown"),
        *[("start", one) for one in ids[2:]],
    ]
    assert [ref for ref, _ in case.ends] == [before[one] for one in ("ch10", "ch5", "ch2")]
    after = case.refs(supervisor)
    assert [before[one] == after[one] for one in ids] == [True, True, False, False, False]
    case.watch(*(after[one] for one in ids[2:]))
    journal.clear()
    case.stop(supervisor)
    assert journal == [("stop", one, "shutdown") for one in ids[::-1]]
    assert [ref for ref, _ in case.ends[3:]] == [
        *(after[one] for one in ids[::-1]),
        supervisor,
    ]
