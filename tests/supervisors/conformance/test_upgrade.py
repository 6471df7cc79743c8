"""Cases 72 to 75: OTP's code_change of a supervisor, as `requests.replace_specs`.

OTP changes a running supervisor by a release upgrade, which runs its init again. Here the new
flags and specs are the request's arguments, and the rules are the same. Two steps of OTP's cases
have no counterpart, since no init is run: one that answers `ignore`, and one that answers nonsense.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.supervisors.conformance.case import dynamic, spec
from tests.supervisors.conformance.workers import Plan, Worker

if TYPE_CHECKING:
    from supervisors import Ref
    from tests.supervisors.conformance.case import Case


def state(case: Case, supervisor: Ref[Any]) -> Any:
    """Give what a faulty replacement may not change: flags, rows and specs."""
    rows = case.children(supervisor)
    process: Any = supervisor._process
    specs = [case.ask("get_childspec", supervisor, child_id) for child_id, _ in rows]
    return process.flags, rows, specs


def upgraded(
    case: Case,
    *,
    flags: tuple[Any, Any],
    first: tuple[Any, Any],
    second: Any,
    third: Any,
    faulty: list[tuple[Any, Any]],
) -> None:
    """Take a supervisor through OTP's case; `flags` and `first` are given before and after.

    `faulty` are (flags, specs) with the reason each is refused for.
    """
    supervisor = case.supervisor(flags[0])
    before = supervisor._process.flags
    assert case.ask("replace_specs", supervisor, flags[1], []) is None
    assert supervisor._process.flags != before

    case.ask("replace_specs", supervisor, flags[0], [first[0], second])
    assert case.children(supervisor) == [("child2", None), ("child1", None)]
    one = case.ask("restart_child", supervisor, "child1")
    two = case.ask("restart_child", supervisor, "child2")
    assert case.children(supervisor) == [("child2", two), ("child1", one)]
    assert case.ask("get_childspec", supervisor, "child1").shutdown == 2000

    case.ask("replace_specs", supervisor, flags[0], [first[1], third])
    rows = [("child2", two), ("child3", None), ("child1", one)]
    assert case.children(supervisor) == rows
    assert case.ask("get_childspec", supervisor, "child1").shutdown == 1000
    assert case.counts(supervisor) == [3, 2, 0, 3]

    kept = state(case, supervisor)
    for (new_flags, new_specs), reason in faulty:
        assert case.refused("replace_specs", supervisor, new_flags, new_specs) == reason
        assert state(case, supervisor) == kept
    case.stop(supervisor)
    assert not one.is_alive()
    assert not two.is_alive()


def test_code_change(case: Case) -> None:
    """New flags and specs are taken over; faulty ones are refused and nothing changes.

    New children are not started, missing ones stay, after the listed ones. In the tuple form.
    """
    start = (Worker, ())
    flags = ("one_for_one", 0, 1)
    five = ("child1", "permanent", "brutal_kill", "worker", ())
    upgraded(
        case,
        flags=(flags, ("one_for_one", 1, 3)),
        first=(
            ("child1", start, "permanent", 2000, "worker", ()),
            ("child1", start, "permanent", 1000, "worker", ()),
        ),
        second=("child2", start, "permanent", "brutal_kill", "worker", ()),
        third=("child3", start, "permanent", "brutal_kill", "worker", ()),
        faulty=[
            ((flags, [five]), ("invalid_child_spec", five)),
            ((("one_for_one", "faulty", 1), []), ("invalid_intensity", "faulty")),
            (("faulty_flags", []), ("invalid_type", "faulty_flags")),
        ],
    )


def test_code_change_map(case: Case) -> None:
    """The same in the map form."""
    upgraded(
        case,
        flags=({}, {"intensity": 1, "period": 3}),
        first=(spec("child1", shutdown=2000), spec("child1", shutdown=1000)),
        second=spec("child2"),
        third=spec("child3"),
        faulty=[
            (({}, [{"id": "faulty_child"}]), "missing_start"),
            (({"period": 9}, [spec("child1"), {"id": "faulty_child"}]), "missing_start"),
            (({"intensity": "faulty"}, []), ("invalid_intensity", "faulty")),
            (({"strategy": "faulty"}, []), ("invalid_strategy", "faulty")),
        ],
    )


def test_code_change_mode_and_strategy_decide_from_then_on(case: Case) -> None:
    """A new strategy and a new intensity hold for the next end of a child."""
    specs = [spec("child1"), spec("child2")]
    supervisor = case.supervisor({"intensity": 0}, specs)
    new = {"strategy": "one_for_all", "intensity": 1}
    case.ask("replace_specs", supervisor, new, specs)
    before = case.refs(supervisor)
    case.end(before["child1"], "abnormal")
    after = case.refs(supervisor)
    assert not set(before.values()) & set(after.values())
    case.end(after["child2"], "abnormal")
    assert case.ended(supervisor) == "shutdown"


def simple_upgraded(case: Case, flags: Any, old: Any, new: Any, other: Any) -> None:
    """Take a dynamic supervisor through OTP's case."""
    supervisor = case.supervisor(flags, [old])
    child = case.start_child(supervisor)
    assert case.ask("replace_specs", supervisor, flags, [new]) is None
    assert case.ask("get_childspec", supervisor, child).shutdown == 1000
    for wrong, reason in (
        ([old, other], ("bad_start_spec", [old, other])),
        ([], ("bad_start_spec", [])),
        (["faulty"], ("invalid_child_spec", "faulty")),
    ):
        assert case.refused("replace_specs", supervisor, flags, wrong) == reason
        assert case.ask("get_childspec", supervisor, child).shutdown == 1000
    assert case.children(supervisor) == [(None, child)]
    case.watch(child)
    case.stop(supervisor)
    assert case.ended(child) == "shutdown"


def test_code_change_simple(case: Case) -> None:
    """The one spec of a dynamic supervisor can change; a second or none is refused. Tuples.

    The refusal is named as at the start, where OTP gives back the list that it parsed.
    """
    start = (Worker, ())
    simple_upgraded(
        case,
        ("simple_one_for_one", 0, 1),
        ("child1", start, "permanent", "brutal_kill", "worker", ()),
        ("child1", start, "permanent", 1000, "worker", ()),
        ("child2", start, "permanent", "brutal_kill", "worker", ()),
    )


def test_code_change_simple_map(case: Case) -> None:
    """The same in the map form."""
    simple_upgraded(
        case,
        {"strategy": "simple_one_for_one"},
        spec("child1"),
        spec("child1", shutdown=1000),
        spec("child2"),
    )


def test_code_change_simple_from_temporary(case: Case) -> None:
    """A dynamic child that was started as temporary is not restarted: its arguments are gone."""
    plan = Plan()
    flags = {"strategy": "simple_one_for_one"}
    supervisor = case.supervisor(flags, dynamic(plan, restart="temporary"))
    old = case.start_child(supervisor)
    case.ask("replace_specs", supervisor, flags, dynamic(plan, restart="permanent"))
    new = case.start_child(supervisor)
    case.end(old, "abnormal")
    assert case.children(supervisor) == [(None, new)]
    case.end(new, "abnormal")
    assert case.counts(supervisor) == [1, 1, 0, 1]
    assert plan.attempts == 3
