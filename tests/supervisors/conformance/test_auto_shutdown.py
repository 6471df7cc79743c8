"""Cases 76 to 89: supervisors that end when their significant children have.

The upgrade cases replace specs by `requests.replace_specs`, as in test_upgrade.py.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

from supervisors import ChildSpec, Shutdown, Supervisor
from tests.supervisors.conformance.case import dynamic, flags, spec
from tests.supervisors.conformance.workers import Plan

if TYPE_CHECKING:
    from supervisors import Ref
    from tests.supervisors.conformance.case import Case

MODES = ("never", "any_significant", "all_significant")
ORDERLY = ("normal", "shutdown", Shutdown("x"))


def mode_flags(mode: str, **keys: Any) -> dict[str, Any]:
    """Give flags of a mode, with restarts to spare."""
    return {"auto_shutdown": mode, "intensity": 9, **keys}


def significant(child_id: Any, restart: str = "transient", **keys: Any) -> dict[str, Any]:
    """Give the spec of a significant worker."""
    return spec(child_id, restart=restart, significant=True, **keys)


def trio(case: Case, mode: str, restart: str) -> tuple[Ref[Any], list[Ref[Any]]]:
    """Start a supervisor of two significant children and one that is not."""
    supervisor = case.supervisor(mode_flags(mode))
    specs = [
        significant("child1", restart),
        significant("child2", restart),
        spec("child3", restart=restart),
    ]
    children = case.start_children(supervisor, specs)
    case.watch(*children)
    return supervisor, children


def shut_down(case: Case, supervisor: Ref[Any], *children: Ref[Any]) -> None:
    """See a supervisor and the rest of its children end by auto-shutdown, which is no error."""
    assert case.ended(supervisor) == "shutdown"
    assert [case.ended(child) for child in children] == ["shutdown"] * len(children)
    assert "shutdown" not in [context for context, _, _ in case.reports()]


def terminated(case: Case, supervisor: Ref[Any], child_id: Any) -> None:
    """Terminate a child by request and see the supervisor live on."""
    ref = case.refs(supervisor)[child_id]
    case.watch(ref)
    case.ask("terminate_child", supervisor, child_id)
    assert case.ended(ref) == "shutdown"
    assert case.alive(supervisor)


def nonsignificant(case: Case, restart: str) -> None:
    """See an insignificant child end in every way, in every mode, and its supervisor live on."""
    child = spec("child1", restart=restart)
    for mode in MODES:
        supervisor = case.supervisor(mode_flags(mode), [child])
        terminated(case, supervisor, "child1")
        for how in ("kill", "abnormal", *ORDERLY):
            ref = case.refs(supervisor).get("child1")
            if ref is None:
                request = "start_child" if restart == "temporary" else "restart_child"
                what = child if restart == "temporary" else "child1"
                ref = case.ask(request, supervisor, what)
            case.end(ref, how)
            assert case.alive(supervisor)
        case.stop(supervisor)


def test_nonsignificant_temporary(case: Case) -> None:
    """A temporary child that is not significant never triggers, whatever the mode and the end."""
    nonsignificant(case, "temporary")


def test_nonsignificant_transient(case: Case) -> None:
    """Nor does a transient one."""
    nonsignificant(case, "transient")


def all_wait_for_the_last(case: Case, restart: str, *ways: Any) -> None:
    """See all_significant end with the last significant child, however the two end."""
    for first_how, second_how in product(ways, repeat=2):
        supervisor, (first, second, third) = trio(case, "all_significant", restart)
        case.end(first, first_how)
        assert case.alive(supervisor, second, third)
        case.end(second, second_how)
        shut_down(case, supervisor, third)


def test_significant_temporary(case: Case) -> None:
    """Terminating by request triggers nothing; any end by itself does; all waits for the last."""
    ways = ("kill", "abnormal", *ORDERLY)
    for how in ways:
        supervisor, (_, second, third) = trio(case, "any_significant", "temporary")
        terminated(case, supervisor, "child1")
        assert case.alive(second, third)
        again = case.start_child(supervisor, significant("child1", "temporary"))
        case.end(again, how)
        shut_down(case, supervisor, second, third)
    all_wait_for_the_last(case, "temporary", *ways)
    supervisor, (first, _, third) = trio(case, "all_significant", "temporary")
    terminated(case, supervisor, "child2")
    case.end(first, "normal")
    shut_down(case, supervisor, third)


def test_significant_transient(case: Case) -> None:
    """Kill and crash restart the child; an orderly end triggers; all waits for the last."""
    for how in ORDERLY:
        supervisor, (_, second, third) = trio(case, "any_significant", "transient")
        terminated(case, supervisor, "child1")
        case.ask("restart_child", supervisor, "child1")
        for abnormal in ("kill", "abnormal"):
            case.end(case.refs(supervisor)["child1"], abnormal)
            assert case.alive(supervisor, second, third, case.refs(supervisor)["child1"])
        case.end(case.refs(supervisor)["child1"], how)
        shut_down(case, supervisor, second, third)
    all_wait_for_the_last(case, "transient", *ORDERLY)
    supervisor, (first, second, third) = trio(case, "all_significant", "transient")
    case.end(first, "kill")
    case.end(second, "normal")
    assert case.alive(supervisor, third, case.refs(supervisor)["child1"])
    case.end(case.refs(supervisor)["child1"], "normal")
    shut_down(case, supervisor, third)


def test_significant_simple(case: Case) -> None:
    """Both modes hold with dynamic children."""
    for restart in ("temporary", "transient"):
        one = dynamic(restart=restart, significant=True)
        supervisor = case.supervisor(
            mode_flags("any_significant", strategy="simple_one_for_one"), one
        )
        first, second = case.start_child(supervisor), case.start_child(supervisor)
        case.watch(second)
        case.end(first, "normal")
        shut_down(case, supervisor, second)
        supervisor = case.supervisor(
            mode_flags("all_significant", strategy="simple_one_for_one"), one
        )
        first, second = case.start_child(supervisor), case.start_child(supervisor)
        case.end(first, "normal")
        assert case.alive(supervisor, second)
        case.end(second, "normal")
        shut_down(case, supervisor)


def test_significant_bystander(case: Case) -> None:
    """Significant siblings that a group restart stops trigger nothing."""
    strategies = ("one_for_one", "one_for_all", "rest_for_one")
    for strategy, mode in product(strategies, MODES[1:]):
        supervisor = case.supervisor(mode_flags(mode, strategy=strategy))
        specs = [significant("child1"), spec("child2", restart="transient"), significant("child3")]
        first, second, third = case.start_children(supervisor, specs)
        case.watch(first, third)
        case.end(second, "kill")
        stopped = {"one_for_one": [], "one_for_all": [third, first], "rest_for_one": [third]}
        assert [ref for ref in (third, first) if not ref.is_alive()] == stopped[strategy]
        assert [case.ended(ref) for ref in stopped[strategy]] == ["shutdown"] * len(
            stopped[strategy]
        )
        assert case.alive(supervisor, *case.refs(supervisor).values())
        assert case.counts(supervisor) == [3, 3, 0, 3]
        case.stop(supervisor)


def test_significant_escalation(case: Case) -> None:
    """A supervisor that is a significant child cascades its auto-shutdown; another one does not."""
    for is_significant in (True, False):
        middle = ChildSpec(
            "sup1", (Supervisor, (mode_flags("any_significant"),)), "transient", is_significant,
            type="supervisor",
        )  # fmt: skip
        top = case.supervisor(mode_flags("any_significant"))
        inner = case.start_child(top, middle)
        worker = case.start_child(inner, significant("child1"))
        case.watch(inner)
        case.end(worker, "normal")
        assert case.ended(inner) == "shutdown"
        if is_significant:
            shut_down(case, top)
        else:
            assert case.alive(top)
            assert case.children(top) == [("sup1", None)]
            case.stop(top)


def refused_never(case: Case, supervisor: Ref[Any], child: Any) -> None:
    """See a significant child refused under never."""
    pairs = [("auto_shutdown", "never"), ("significant", True)]
    assert case.refused("start_child", supervisor, child) == ("bad_combination", pairs)


def upgrade_from_never(case: Case, mode: str) -> tuple[Ref[Any], Ref[Any], Ref[Any]]:
    """Change the mode from never, after which two significant children can be started."""
    supervisor = case.supervisor(mode_flags("never"))
    refused_never(case, supervisor, significant("child1"))
    case.ask("replace_specs", supervisor, mode_flags(mode), [])
    first, second = case.start_children(supervisor, [significant("child1"), significant("child2")])
    case.watch(second)
    return supervisor, first, second


def upgrade_to_never(case: Case, mode: str) -> None:
    """Change the mode to never: nothing ends, nothing triggers, and no more may be significant."""
    supervisor = case.supervisor(mode_flags(mode))
    first = case.start_child(supervisor, significant("child1"))
    case.ask("replace_specs", supervisor, mode_flags("never"), [])
    assert case.alive(first, supervisor)
    refused_never(case, supervisor, significant("child2"))
    case.end(first, "normal")
    assert case.alive(supervisor)
    again = case.ask("restart_child", supervisor, "child1")
    case.watch(again)
    case.stop(supervisor)
    assert case.ended(again) == "shutdown"


def upgrade_between(case: Case, old: str, new: str) -> tuple[Ref[Any], Ref[Any], Ref[Any]]:
    """Change the mode while two significant children run, which all live on."""
    supervisor = case.supervisor(mode_flags(old))
    first, second = case.start_children(supervisor, [significant("child1"), significant("child2")])
    case.watch(second)
    case.ask("replace_specs", supervisor, mode_flags(new), [])
    assert case.alive(first, second, supervisor)
    return supervisor, first, second


def any_ends(case: Case, supervisor: Ref[Any], first: Ref[Any], second: Ref[Any]) -> None:
    """See the first end of a significant child end them all."""
    case.end(first, "normal")
    shut_down(case, supervisor, second)


def all_end(case: Case, supervisor: Ref[Any], first: Ref[Any], second: Ref[Any]) -> None:
    """See the last end of a significant child end the supervisor."""
    case.end(first, "normal")
    assert case.alive(second, supervisor)
    case.end(second, "normal")
    shut_down(case, supervisor)


def test_significant_upgrade_never_any(case: Case) -> None:
    """From never to any_significant: the first end triggers."""
    any_ends(case, *upgrade_from_never(case, "any_significant"))


def test_significant_upgrade_any_never(case: Case) -> None:
    """From any_significant to never: nothing triggers any more."""
    upgrade_to_never(case, "any_significant")


def test_significant_upgrade_never_all(case: Case) -> None:
    """From never to all_significant: the last end triggers."""
    all_end(case, *upgrade_from_never(case, "all_significant"))


def test_significant_upgrade_all_never(case: Case) -> None:
    """From all_significant to never: nothing triggers any more."""
    upgrade_to_never(case, "all_significant")


def test_significant_upgrade_any_all(case: Case) -> None:
    """From any_significant to all_significant: the last end triggers."""
    all_end(case, *upgrade_between(case, "any_significant", "all_significant"))


def test_significant_upgrade_all_any(case: Case) -> None:
    """From all_significant to any_significant: the first end triggers."""
    any_ends(case, *upgrade_between(case, "all_significant", "any_significant"))


def test_significant_upgrade_child(case: Case) -> None:
    """An upgrade changes whether a running child is significant; under never it is refused."""
    plain, chosen = spec("child", restart="transient"), significant("child")
    supervisor = case.supervisor(mode_flags("never"), [plain])
    pairs = [("auto_shutdown", "never"), ("significant", True)]
    wrong = case.refused("replace_specs", supervisor, mode_flags("never"), [chosen])
    assert wrong == ("bad_combination", pairs)
    assert case.ask("get_childspec", supervisor, "child").significant is False
    assert case.alive(supervisor, case.refs(supervisor)["child"])
    case.stop(supervisor)

    for before, after in ((plain, chosen), (chosen, plain)):
        supervisor = case.supervisor(mode_flags("any_significant"), [before])
        child = case.refs(supervisor)["child"]
        case.ask("replace_specs", supervisor, mode_flags("any_significant"), [after])
        assert case.alive(supervisor, child)
        case.end(child, "normal")
        if after is chosen:
            shut_down(case, supervisor)
        else:
            assert case.alive(supervisor)
            case.stop(supervisor)


def test_a_significant_child_that_is_restarting_holds_its_supervisor(case: Case) -> None:
    """all_significant waits for one whose restarts fail, and not for one that is down."""
    plan = Plan(failure_s=2)
    supervisor = case.supervisor(
        mode_flags("all_significant"),
        [
            significant("hanging", plan=plan),
            significant("child2"),
            significant("ignored", plan=Plan(ignore_on={1})),
            significant("terminated"),
        ],
    )
    case.ask("terminate_child", supervisor, "terminated")
    plan.failing = True
    case.end(case.refs(supervisor)["hanging"], "abnormal")
    case.end(case.refs(supervisor)["child2"], "normal")
    assert case.refs(supervisor)["hanging"] == "restarting"
    assert case.alive(supervisor)
    plan.failing = False
    case.world.advance(2)
    case.end(case.refs(supervisor)["hanging"], "normal")
    shut_down(case, supervisor)


def test_flags_of_the_conformance_list_have_no_auto_shutdown(case: Case) -> None:
    """The default mode is never."""
    supervisor = case.supervisor(flags(), [])
    refused_never(case, supervisor, significant("child1"))
