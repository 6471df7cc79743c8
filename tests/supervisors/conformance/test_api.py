"""Cases 23 to 33: what may be asked of a supervisor, and what it answers."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from supervisors import DynamicSupervisor, Supervisor, check_childspecs, requests
from supervisors.errors import AlreadyStarted, CallExit, SpecError
from tests.supervisors.conformance.case import dynamic, flags, spec
from tests.supervisors.conformance.workers import Plan, Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.supervisors.conformance.case import Case


def gone(case: Case) -> Iterator[Any]:
    """Give what is no supervisor: a name nobody has, and one that has ended."""
    yield "foo"
    dead = case.supervisor(flags())
    case.stop(dead)
    yield dead


def noproc(case: Case, request: str, *arguments: Any) -> bool:
    """Tell whether a request to no supervisor raises noproc."""
    for supervisor in gone(case):
        with pytest.raises(CallExit) as told:
            case.ask(request, supervisor, *arguments)
        assert told.value.reason == "noproc"
    return True


def refuses_unknown(case: Case, supervisor: Any) -> bool:
    """Tell whether each request for an unknown child is refused with not_found."""
    unknown = ("terminate_child", "delete_child", "restart_child", "get_childspec")
    return {case.refused(request, supervisor, "hej") for request in unknown} == {"not_found"}


def test_child_adm(case: Case) -> None:
    """The whole life of a child by request, with every error, and noproc without a supervisor."""
    child = spec("child1", shutdown=1000)
    supervisor = case.supervisor(flags(), [child], name="sup_test")
    first = case.refs("sup_test")["child1"]
    assert case.counts("sup_test") == [1, 1, 0, 1]
    case.watch(first)
    assert case.refused("start_child", "sup_test", child) == ("already_started", first)
    assert refuses_unknown(case, supervisor)

    assert noproc(case, "terminate_child", "child1")
    assert case.ask("terminate_child", "sup_test", "child1") is None
    assert case.ended(first) == "shutdown"
    assert case.children("sup_test") == [("child1", None)]
    assert case.counts("sup_test") == [1, 0, 0, 1]
    assert case.ask("terminate_child", "sup_test", "child1") is None
    assert case.refused("start_child", "sup_test", child) == "already_present"

    assert noproc(case, "restart_child", "child1")
    second = case.ask("restart_child", "sup_test", "child1")
    assert case.children("sup_test") == [("child1", second)]
    assert case.counts("sup_test") == [1, 1, 0, 1]
    assert case.refused("restart_child", "sup_test", "child1") == "running"
    assert case.refused("restart_child", "sup_test", "child2") == "not_found"

    assert noproc(case, "delete_child", "child1")
    assert case.refused("delete_child", "sup_test", "child1") == "running"
    case.ask("terminate_child", "sup_test", "child1")
    assert case.ask("delete_child", "sup_test", "child1") is None
    assert case.refused("restart_child", "sup_test", "child1") == "not_found"
    assert case.children("sup_test") == []
    assert case.counts("sup_test") == [0, 0, 0, 0]

    assert noproc(case, "start_child", child)
    third = case.start_child("sup_test", child)
    assert case.children("sup_test") == [("child1", third)]
    assert case.refused("terminate_child", "sup_test", third) == "not_found"
    assert third.is_alive()
    assert case.counts("sup_test") == [1, 1, 0, 1]
    for request in ("which_children", "count_children", "get_callback_module"):
        assert noproc(case, request)
    assert noproc(case, "get_childspec", "child1")


def test_child_adm_simple(case: Case) -> None:
    """A dynamic supervisor refuses requests by id; it ends children by ref, even dead ones."""
    refused = "simple_one_for_one"
    supervisor = case.supervisor(flags("simple_one_for_one"), dynamic(shutdown=1000))
    assert case.children(supervisor) == []
    assert case.counts(supervisor) == [1, 0, 0, 0]
    assert noproc(case, "start_child")
    first = case.start_child(supervisor)
    assert case.children(supervisor) == [(None, first)]
    assert case.counts(supervisor) == [1, 1, 0, 1]
    second = case.start_child(supervisor)
    rows = case.children(supervisor)
    assert len(rows) == 2
    assert (None, first) in rows
    assert (None, second) in rows
    assert case.counts(supervisor) == [1, 2, 0, 2]

    assert case.refused("terminate_child", supervisor, "child1") == refused
    assert case.counts(supervisor) == [1, 2, 0, 2]
    assert case.ask("terminate_child", supervisor, first) is None
    assert not first.is_alive()
    assert case.children(supervisor) == [(None, second)]
    assert case.counts(supervisor) == [1, 1, 0, 1]
    assert case.ask("terminate_child", supervisor, first) is None
    assert case.children(supervisor) == [(None, second)]
    assert case.counts(supervisor) == [1, 1, 0, 1]

    stranger = case.start_link(Worker)
    assert case.refused("terminate_child", supervisor, stranger) == "not_found"
    assert stranger.is_alive()
    for child in ("child1", first, second):
        assert case.refused("restart_child", supervisor, child) == refused
        assert case.refused("delete_child", supervisor, child) == refused
    assert case.counts(supervisor) == [1, 1, 0, 1]


async def start_with_info(supervisor: Supervisor, *args: Any) -> Any:
    """Start a Worker and give info with it."""
    return await supervisor.start_link(Worker, *args), "extra_return"


def test_extra_return(case: Case) -> None:
    """The info of a start comes back from start_child and restart_child, and else means nothing."""
    child = {"id": "child1", "start": (start_with_info, ()), "shutdown": 1000}
    supervisor = case.supervisor(flags(), [child])
    ((_, first),) = case.children(supervisor)
    case.watch(first)
    assert refuses_unknown(case, supervisor)
    for request in ("delete_child", "restart_child"):
        assert case.refused(request, supervisor, "child1") == "running"
    assert case.children(supervisor) == [("child1", first)]
    assert case.counts(supervisor) == [1, 1, 0, 1]
    case.ask("terminate_child", supervisor, "child1")
    assert case.ended(first) == "shutdown"
    assert case.children(supervisor) == [("child1", None)]
    assert case.counts(supervisor) == [1, 0, 0, 1]

    second, info = case.ask("restart_child", supervisor, "child1")
    assert info == "extra_return"
    assert case.children(supervisor) == [("child1", second)]
    case.ask("terminate_child", supervisor, "child1")
    case.ask("terminate_child", supervisor, "child1")
    case.ask("delete_child", supervisor, "child1")
    assert case.refused("restart_child", supervisor, "child1") == "not_found"
    assert case.counts(supervisor) == [0, 0, 0, 0]

    third, info = case.start_child(supervisor, child)
    assert info == "extra_return"
    assert case.children(supervisor) == [("child1", third)]
    case.end(third, "abnormal")
    ((_, fourth),) = case.children(supervisor)
    assert fourth.is_alive()
    assert fourth != third
    assert case.counts(supervisor) == [1, 1, 0, 1]


MFA = (Worker, ("a",))
BAD_TUPLES = {
    "B1": (("child", "mfa", "permanent", 1000, "worker", ()), ("invalid_mfa", "mfa")),
    "B2": (
        ("child", MFA, "prmanent", 1000, "worker", ()), ("invalid_restart_type", "prmanent"),
    ),
    "B3": (("child", MFA, "permanent", -10, "worker", ()), ("invalid_shutdown", -10)),
    "B4": (("child", MFA, "permanent", 10, "wrker", ()), ("invalid_child_type", "wrker")),
    "B5": (("child", MFA, "permanent", 1000, "worker", "dy"), ("invalid_modules", "dy")),
    "B6": (("child", MFA, "permanent", 1000, "worker", [1, 2]), ("invalid_module", 1)),
}  # fmt: skip
SHUTDOWNS = (0, 1000, "infinity", "brutal_kill")
TYPES = ("supervisor", "worker")
MODULES: tuple[Any, ...] = ("dynamic", [], ["m"], ["m1", "m2"])
RESTARTS = ("permanent", "transient", "temporary")


def faulty(specs: Any, *auto_shutdown: Any) -> Any:
    """Give what check_childspecs says of faulty specs."""
    with pytest.raises(SpecError) as told:
        check_childspecs(specs, *auto_shutdown)
    return told.value.reason


def test_child_specs(case: Case) -> None:
    """Bad tuple specs are named precisely wherever they appear; all legal ones pass."""
    supervisor = case.supervisor(flags())
    assert case.refused("start_child", supervisor, "hej") == ("invalid_child_spec", "hej")
    for bad, reason in BAD_TUPLES.values():
        assert case.refused("start_child", supervisor, bad) == reason
        assert faulty([bad]) == reason
        assert case.start_error(flags(), [bad]) == ("start_spec", reason)
        assert case.start_error(flags("simple_one_for_one"), [bad]) == ("start_spec", reason)
    assert case.children(supervisor) == []
    b1 = BAD_TUPLES["B1"][0]
    assert faulty(b1) == ("invalid_child_spec", "child")
    assert faulty("hej") == ("badarg", "hej")
    for restart, shutdown, kind, modules in product(RESTARTS, SHUTDOWNS, TYPES, MODULES):
        check_childspecs([("child", MFA, restart, shutdown, kind, modules)])
    c1 = ("child", MFA, "permanent", "infinity", "supervisor", ())
    c2 = ("child", MFA, "permanent", 1000, "supervisor", ())
    assert faulty([c1, c2]) == ("duplicate_child_name", "child")
    assert case.start_error(flags(), [c1, c2]) == ("start_spec", ("duplicate_child_name", "child"))
    for not_one in ([], [c1, c2]):
        wrong = case.start_error(flags("simple_one_for_one"), not_one)
        assert wrong == ("bad_start_spec", not_one)


CHILD = {"id": "child", "start": MFA}
BAD_MAPS: tuple[tuple[dict[str, Any], Any], ...] = (
    ({}, "missing_id"),
    ({"id": "child"}, "missing_start"),
    ({"start": MFA}, "missing_id"),
    ({**CHILD, "start": "mfa"}, ("invalid_mfa", "mfa")),
    ({**CHILD, "restart": "prmanent"}, ("invalid_restart_type", "prmanent")),
    ({**CHILD, "shutdown": -10}, ("invalid_shutdown", -10)),
    ({**CHILD, "shutdown": 1.5}, ("invalid_shutdown", 1.5)),
    ({**CHILD, "type": "wrker"}, ("invalid_child_type", "wrker")),
    ({**CHILD, "modules": "dy"}, ("invalid_modules", "dy")),
    ({**CHILD, "modules": [1, 2, 3]}, ("invalid_module", 1)),
    ({**CHILD, "significant": "maybe"}, ("invalid_significant", "maybe")),
)
NEVER_PAIRS = [("auto_shutdown", "never"), ("significant", True)]
PERMANENT_PAIRS = [("restart", "permanent"), ("significant", True)]


def combinations() -> Iterator[tuple[Any, dict[str, Any]]]:
    """Give every mode of auto-shutdown, None for unsaid, with every legal spec, keys unsaid too."""
    for mode, restart, shutdown, kind, modules, significant, dummy in product(
        (None, "never", "any_significant", "all_significant"),
        (None, *RESTARTS), (None, *SHUTDOWNS), (None, *TYPES), (None, *MODULES),
        (None, True, False), (None, "dummy"),
    ):  # fmt: skip
        wanted = {
            "restart": restart, "shutdown": shutdown, "type": kind, "modules": modules,
            "significant": significant, "dummy": dummy,
        }  # fmt: skip
        yield mode, CHILD | {key: value for key, value in wanted.items() if value is not None}


def test_child_specs_map(case: Case) -> None:
    """Bad maps are named precisely, significant with the wrong mode or restart type among them."""
    supervisor = case.supervisor({})
    assert case.refused("start_child", supervisor, "hej") == ("invalid_child_spec", "hej")
    for bad, reason in BAD_MAPS:
        assert case.refused("start_child", supervisor, bad) == reason
        assert faulty([bad]) == reason
        assert case.start_error({}, [bad]) == ("start_spec", reason)
        assert case.start_error(flags("simple_one_for_one"), [bad]) == ("start_spec", reason)
    assert faulty({}) == ("badarg", {})
    assert faulty([], "sometimes") == ("invalid_auto_shutdown", "sometimes")
    assert faulty([CHILD, CHILD]) == ("duplicate_child_name", "child")
    for not_one in ([], [CHILD, CHILD]):
        wrong = case.start_error(flags("simple_one_for_one"), not_one)
        assert wrong == ("bad_start_spec", not_one)
    significant = [{**CHILD, "restart": "transient", "significant": True}]
    never = ("bad_combination", NEVER_PAIRS)
    assert case.start_error({"auto_shutdown": "never"}, significant) == ("start_spec", never)
    assert case.refused("start_child", supervisor, significant[0]) == never


def test_child_specs_map_combinations() -> None:
    """Significant is refused under never and with permanent, said or unsaid; all else passes."""
    for mode, child in combinations():
        if not child.get("significant"):
            check_childspecs([child], mode)
        elif mode == "never":
            assert faulty([child], mode) == ("bad_combination", NEVER_PAIRS)
        elif child.get("restart", "permanent") == "permanent":
            assert faulty([child], mode) == ("bad_combination", PERMANENT_PAIRS)
        else:
            check_childspecs([child], mode)


BAD_FLAGS: tuple[tuple[Any, tuple[str, Any]], ...] = (
    (("none_for_one", 2, 3600), ("invalid_strategy", "none_for_one")),
    ({"strategy": "none_for_one"}, ("invalid_strategy", "none_for_one")),
    (("one_for_one", "infinity", 3600), ("invalid_intensity", "infinity")),
    ({"intensity": "infinity"}, ("invalid_intensity", "infinity")),
    ({"intensity": -1}, ("invalid_intensity", -1)),
    (("one_for_one", 2, 0), ("invalid_period", 0)),
    ({"period": 0}, ("invalid_period", 0)),
    (("one_for_one", 2, "infinity"), ("invalid_period", "infinity")),
    ({"period": "infinity"}, ("invalid_period", "infinity")),
    ({"auto_shutdown": "sometimes"}, ("invalid_auto_shutdown", "sometimes")),
    (("one_for_one", 2), ("invalid_type", ("one_for_one", 2))),
)


def test_sup_flags(case: Case) -> None:
    """Each bad flag is named, in the tuple as in the map; unknown flags are ignored."""
    for bad, reason in BAD_FLAGS:
        assert case.start_error(bad) == ("supervisor_data", reason)
    for good in ({"silly_flag": True}, {}, ("rest_for_one", 2, 3600)):
        case.stop(case.supervisor(good))


def test_already_started_outside_supervisor(case: Case) -> None:
    """A child whose name is taken is refused with who has it, and that one is unharmed (27).

    In the list that init gives, the same is the reason why the supervisor does not start.
    """
    outsider = case.start_link(Worker, name="taken")
    child = spec("child", name="taken")
    clash = ("already_started", outsider)
    supervisor = case.supervisor(flags(), [spec("other")])
    assert case.refused("start_child", supervisor, child) == clash
    assert case.ids(supervisor) == ["other"]
    with pytest.raises(AlreadyStarted) as told:
        case.start_link(Worker, name="taken")
    assert told.value.ref == outsider
    assert case.start_error(flags(), [child]).detail == ("failed_to_start_child", "child", clash)
    simple = case.supervisor(flags("simple_one_for_one"), [child])
    assert case.refused("start_child", simple) == clash
    for one in (supervisor, simple):
        case.stop(one)
    assert case.alive(outsider)
    assert case.world.node.whereis("taken") == outsider


def test_get_callback_module(case: Case) -> None:
    """The class whose init gave the specs can be read back, by its name."""
    for kind in (Supervisor, DynamicSupervisor):
        mine = type("Mine", (kind,), {})
        supervisor = case.start_link(mine, flags(), dynamic())
        assert case.ask("get_callback_module", supervisor) == "Mine"


def start_many(case: Case, supervisor: Any, count: int) -> None:
    """Start dynamic children, all requests at once."""
    for started in [requests.start_child(supervisor) for _ in range(count)]:
        case.world.wait(started)


def counted(case: Case, kind: str) -> None:
    """See the counts of 1000 and 2000 temporary children of a type, and after killing them all."""
    supervisors, workers = int(kind == "supervisor"), int(kind == "worker")
    supervisor = case.supervisor(
        flags("simple_one_for_one"), dynamic(restart="temporary", type=kind)
    )
    for total in (1000, 2000):
        start_many(case, supervisor, 1000)
        rows = case.children(supervisor)
        assert len({ref for _, ref in rows}) == total
        expected = [1, total, total * supervisors, total * workers]
        assert case.counts(supervisor) == expected
        assert case.children(supervisor) == rows
        assert case.counts(supervisor) == expected
    for _, ref in rows:
        ref.kill()
    case.world.settle()
    assert case.counts(supervisor) == [1, 0, 0, 0]
    assert case.children(supervisor) == []


def test_count_children(case: Case) -> None:
    """Counts are exact with 1000 and 2000 dynamic workers, and 0 after killing all."""
    counted(case, "worker")


def test_count_children_supervisor(case: Case) -> None:
    """The same when the dynamic children are supervisors."""
    counted(case, "supervisor")


def test_count_restarting_children(case: Case) -> None:
    """Active goes down while restarts fail, up again after, and is right after terminating."""
    plan = Plan(failure_s=2)
    supervisor = case.supervisor(
        {"strategy": "simple_one_for_one", "intensity": 20, "period": 10},
        dynamic(plan, shutdown="brutal_kill"),
    )
    for count in (1, 2, 3):
        case.start_child(supervisor)
        assert case.counts(supervisor) == [1, count, 0, count]
    for _, ref in case.children(supervisor):
        case.end(ref, "error")
    assert case.counts(supervisor) == [1, 3, 0, 3]

    plan.failing = True
    for _, ref in case.children(supervisor)[:2]:
        case.end(ref, "error")
    case.world.advance(4)
    assert case.counts(supervisor) == [1, 1, 0, 3]
    states = [state for _, state in case.children(supervisor)]
    assert states.count("restarting") == 2
    plan.failing = False
    case.world.advance(4)
    assert case.counts(supervisor) == [1, 3, 0, 3]
    for left in (2, 1, 0):
        case.ask("terminate_child", supervisor, case.children(supervisor)[0][1])
        assert case.counts(supervisor) == [1, left, 0, left]
