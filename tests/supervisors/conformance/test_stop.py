"""Cases 16 to 22: how a supervisor stops its children when it stops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from supervisors import Shutdown
from tests.supervisors.conformance.case import dynamic, flags, spec
from tests.supervisors.conformance.workers import Plan, Worker

if TYPE_CHECKING:
    from tests.supervisors.conformance.case import Case

RESTARTS = ("temporary", "transient", "permanent")
REASONS = ("normal", "shutdown", Shutdown("test"), "other")
LONG_S = 200


def test_sup_stop_infinity(case: Case) -> None:
    """Children with infinity, of either type, end with `shutdown` however long it takes."""
    supervisor = case.supervisor(flags())
    slow = Plan(shutdown_s=LONG_S)
    children = case.start_children(
        supervisor,
        [
            spec("child1", slow, shutdown="infinity", type="supervisor"),
            spec("child2", slow, shutdown="infinity", type="worker"),
        ],
    )
    case.watch(*children)
    case.stop(supervisor)
    assert [case.ended(child) for child in children] == ["shutdown", "shutdown"]
    assert case.world.now_s() >= 2 * LONG_S
    assert case.reports() == []


def test_sup_stop_timeout(case: Case) -> None:
    """A child asleep past its 1000 ms is killed; its sibling ends with `shutdown`."""
    supervisor = case.supervisor(flags())
    first = case.start_child(supervisor, spec("child1", shutdown=1000))
    second = case.start_child(supervisor, spec("child2", shutdown=1000))
    case.watch(first, second)
    second.cast(("sleep", LONG_S))
    began_s = case.world.now_s()
    case.stop(supervisor)
    assert case.ends == [(second, "killed"), (first, "shutdown"), (supervisor, "shutdown")]
    assert 1 <= case.world.now_s() - began_s < 1.1
    assert case.reports() == [("shutdown_error", "child2", "killed")]


def test_sup_stop_timeout_dynamic(case: Case) -> None:
    """Of dynamic children too the one asleep past its 1000 ms is killed, the other is not."""
    supervisor = case.supervisor(
        flags("simple_one_for_one"), dynamic(restart="temporary", shutdown=1000)
    )
    first, second = case.start_child(supervisor), case.start_child(supervisor)
    case.watch(first, second)
    second.cast(("sleep", LONG_S))
    began_s = case.world.now_s()
    case.stop(supervisor)
    assert case.ends == [(first, "shutdown"), (second, "killed"), (supervisor, "shutdown")]
    assert 1 <= case.world.now_s() - began_s < 1.1
    assert case.reports() == [("shutdown_error", "child", "killed")]


def test_sup_stop_brutal_kill(case: Case) -> None:
    """The brutal_kill child ends `killed`, unasked, and the other one with `shutdown`."""
    supervisor = case.supervisor(flags())
    journal: list[Any] = []
    first = case.start_child(supervisor, spec("child1", Plan(1, journal=journal), shutdown=1000))
    second = case.start_child(
        supervisor, spec("child2", Plan(2, journal=journal), shutdown="brutal_kill")
    )
    case.watch(first, second)
    case.stop(supervisor)
    assert case.ends == [(second, "killed"), (first, "shutdown"), (supervisor, "shutdown")]
    assert journal == [("start", 1), ("start", 2), ("stop", 1, "shutdown")]
    assert case.reports() == []


def test_sup_stop_brutal_kill_dynamic(case: Case) -> None:
    """Ten dynamic brutal_kill children all end `killed`."""
    journal: list[Any] = []
    supervisor = case.supervisor(
        flags("simple_one_for_one"),
        dynamic(Plan(journal=journal), restart="temporary", shutdown="brutal_kill"),
    )
    children = [case.start_child(supervisor) for _ in range(10)]
    case.watch(*children)
    case.stop(supervisor)
    assert [case.ended(child) for child in children] == ["killed"] * 10
    assert all(event == "start" for event, *_ in journal)
    assert case.reports() == []


def reported(restart: str, reason: Any) -> bool:
    """Tell whether the end of a child told to stop is an error (OTP: supervisor)."""
    return reason == "other" or (restart == "permanent" and reason != "shutdown")


def test_sup_stop_race(case: Case) -> None:
    """Children ending by themselves during the stop keep their reasons and do not block it.

    As in OTP the last child takes a second over its shutdown, and meanwhile those before it end:
    three restart types times four reasons, none of which the supervisor sees before its turn.
    """
    supervisor = case.supervisor(flags())
    first = case.start_child(supervisor, spec("child_a", restart="temporary", shutdown=1000))
    reasons = {(restart, reason): None for restart in RESTARTS for reason in REASONS}
    middle = {
        key: case.start_child(supervisor, spec(key, restart=key[0], shutdown=1000))
        for key in reasons
    }
    last = case.start_child(
        supervisor, spec("child_z", Plan(shutdown_s=1.0), restart="temporary", shutdown=2000)
    )
    case.watch(first, *middle.values(), last)
    case.exit(supervisor, "shutdown")
    case.world.advance(0.2)
    for (_, reason), child in middle.items():
        child.cast(("exit", reason))
    case.world.settle()
    assert last.is_alive()
    assert not any(child.is_alive() for child in middle.values())
    assert case.ended(supervisor) == "shutdown"
    assert case.world.now_s() < 1.1
    assert {key: case.ended(child) for key, child in middle.items()} == {
        key: key[1] for key in reasons
    }
    assert (case.ended(last), case.ended(first)) == ("shutdown", "shutdown")
    wrong = [("shutdown_error", key, key[1]) for key in reversed(reasons) if reported(*key)]
    assert case.reports() == wrong


def test_sup_stop_non_shutdown_exit_dynamic(case: Case) -> None:
    """Dynamic children whose terminate exits with other reasons keep them; the stop goes on."""
    for restart in RESTARTS:
        plans = [Plan(on_shutdown=("exit", reason)) for reason in REASONS]
        pending = iter(plans)

        async def start(supervisor: Any, plans: Any = pending) -> Any:
            return await supervisor.start_link(Worker, plan=next(plans))

        supervisor = case.supervisor(
            flags("simple_one_for_one"),
            [{"id": "child", "start": start, "restart": restart, "shutdown": 5000}],
        )
        children = [case.start_child(supervisor) for _ in REASONS]
        case.watch(*children)
        case.world.reports.clear()
        case.stop(supervisor)
        assert tuple(case.ended(child) for child in children) == REASONS
        wrong = [
            ("shutdown_error", "child", reason) for reason in REASONS if reported(restart, reason)
        ]
        assert case.reports() == wrong


def test_sup_stop_groups_dynamic_errors(case: Case) -> None:
    """Errors of a dynamic supervisor's stop are one report a reason, with a count."""
    plan = Plan(on_shutdown=("exit", "other"))
    supervisor = case.supervisor(flags("simple_one_for_one"), dynamic(plan, shutdown=1000))
    children = [case.start_child(supervisor) for _ in range(5)]
    children[0].cast(("sleep", LONG_S))
    case.stop(supervisor)
    counts = {
        report.reason: report.offender.nb_children
        for report in case.world.reports
        if report.offender
    }
    assert counts == {"killed": 1, "other": 4}
