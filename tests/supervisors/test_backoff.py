"""Back-off: each child waits for its own restarts, at nobody's expense but its own."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisors import Backoff, DynamicSupervisor, Flags, Supervisor, requests
from supervisors.errors import ChildError
from tests.supervisors.conformance.workers import Plan, Worker

if TYPE_CHECKING:
    from supervisors import Ref
    from tests.supervisors.world import World

STEADY = Backoff(min_s=1, max_s=8, factor=2, jitter=0, reset_after_s=60)


# -- the rule ------------------------------------------------------------------------------------


@given(
    st.floats(0, 10), st.floats(1, 4), st.floats(0, 0.99), st.integers(1, 200), st.floats(0, 0.999)
)
def test_a_delay_grows_by_the_factor_up_to_the_cap_within_the_jitter(
    min_s: float, factor: float, jitter: float, attempt: int, drawn: float
) -> None:
    backoff = Backoff(min_s=min_s, max_s=60, factor=factor, jitter=jitter)
    plain_s = min(60, min_s * factor ** min(attempt - 1, 64))
    delay_s = backoff.delay_s(attempt, lambda: drawn)
    assert plain_s * (1 - jitter) - 1e-9 <= delay_s <= plain_s * (1 + jitter) + 1e-9
    steady = Backoff(min_s=min_s, max_s=60, factor=factor, jitter=0)
    assert steady.delay_s(attempt, lambda: drawn) == pytest.approx(plain_s)
    assert steady.delay_s(attempt + 1, lambda: drawn) >= steady.delay_s(attempt, lambda: drawn)


def test_jitter_spreads_restarts_to_both_sides() -> None:
    backoff = Backoff(min_s=1, jitter=0.5)
    draw = random.Random(7).random
    delays_s = [backoff.delay_s(1, draw) for _ in range(200)]
    assert 0.5 <= min(delays_s) < 0.6
    assert 1.4 < max(delays_s) < 1.5
    assert sum(delays_s) / 200 == pytest.approx(1, abs=0.1)


def test_a_long_life_begins_anew() -> None:
    assert STEADY.next_attempt(0, 0) == 1
    assert STEADY.next_attempt(4, 59.9) == 5
    assert STEADY.next_attempt(4, 60) == 1


def test_without_a_bound_it_is_never_exhausted() -> None:
    assert not STEADY.exhausted(10**6)
    bounded = Backoff(max_restarts=2)
    assert [bounded.exhausted(attempt) for attempt in (1, 2, 3)] == [False, False, True]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("min_s", -1), ("min_s", 61), ("factor", 0.5), ("jitter", 1), ("jitter", -0.1),
        ("reset_after_s", -1), ("max_restarts", -1), ("max_s", math.inf), ("max_s", math.nan),
        ("factor", math.inf), ("factor", math.nan), ("reset_after_s", math.nan),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field}={value}"):
        Backoff(**{field: value})  # type: ignore[arg-type]


@given(st.floats(0, 60), st.floats(1, 1e300), st.integers(1, 10**6))
def test_a_delay_is_never_too_large_to_be_told(min_s: float, factor: float, attempt: int) -> None:
    delay_s = Backoff(min_s=min_s, factor=factor, jitter=0).delay_s(attempt, lambda: 0.5)
    assert min_s <= delay_s <= 60


# -- under a supervisor --------------------------------------------------------------------------


def child(child_id: str, plan: Plan, **keys: Any) -> dict[str, Any]:
    """Give the spec of a worker that is found by its id."""
    return {"id": child_id, "start": (Worker, (), {"plan": plan}), "name": child_id, **keys}


def crash(world: World, child_id: Any) -> None:
    """Let a worker end abnormally."""
    world.node.address(child_id).cast(("exit", "boom"))
    world.settle()


def starts(world: World, plan: Plan, until_s: float) -> list[float]:
    """List when a child was started, crashing it each time, up to a moment."""
    times_s: list[float] = []
    while True:
        before = plan.attempts
        crash(world, "crashing")
        while plan.attempts == before:
            if world.now_s() >= until_s:
                return times_s
            world.advance(0.25)
        times_s.append(world.now_s())


def rows(world: World, supervisor: Ref[Any]) -> dict[Any, Any]:
    """Give the children's refs or states by id."""
    return {row[0]: row[1] for row in world.wait(requests.which_children(supervisor))}


def refused(world: World, request: Any, *arguments: Any) -> Any:
    """Give the term with which a request is refused."""
    with pytest.raises(ChildError) as told:
        world.wait(request(*arguments))
    return told.value.reason


def test_restarts_in_a_row_wait_longer_each_time_up_to_the_cap(world: World) -> None:
    plan = Plan()
    world.start(Supervisor, Flags(), [child("crashing", plan, backoff=STEADY)])
    times_s = starts(world, plan, 40)
    waits_s = [after - before for before, after in zip([0.0, *times_s], times_s, strict=False)]
    assert waits_s[:6] == [1, 2, 4, 8, 8, 8]


def test_a_crashing_child_never_spends_its_siblings_budget(world: World) -> None:
    """The supervisor allows one restart an hour; a hundred under back-off do not count in it."""
    crashing, steady = Plan(), Plan()
    supervisor = world.start(
        Supervisor,
        Flags(intensity=1, period=3600),
        [child("crashing", crashing, backoff=STEADY), child("steady", steady)],
    )
    for _ in range(100):
        crash(world, "crashing")
        world.advance(9)
    assert crashing.attempts == 101
    assert steady.attempts == 1
    crash(world, "steady")
    assert supervisor.is_alive()
    assert steady.attempts == 2
    crash(world, "steady")
    assert not supervisor.is_alive()


def test_failing_starts_under_back_off_wait_too_and_do_not_count(world: World) -> None:
    plan = Plan(fail_on=range(2, 12))
    supervisor = world.start(
        Supervisor, Flags(intensity=0), [child("crashing", plan, backoff=STEADY)]
    )
    crash(world, "crashing")
    world.advance(1 + 2 + 4 + 8 * 7 - 0.5)
    assert plan.attempts == 10
    assert rows(world, supervisor) == {"crashing": "backing_off"}
    world.advance(20)
    assert plan.attempts == 12
    assert world.node.address("crashing").is_alive()
    contexts = [context for context, _, _ in world.supervisor_reports()]
    assert contexts == ["child_terminated"] + ["start_error"] * 10


def test_a_child_that_lived_long_enough_waits_the_shortest_time_again(world: World) -> None:
    plan = Plan()
    world.start(Supervisor, Flags(), [child("crashing", plan, backoff=STEADY)])
    for wait_s, life_s in ((1, 0), (2, 59), (4, 61), (1, 0), (2, 0)):
        crash(world, "crashing")
        world.advance(wait_s - 0.1)
        assert world.node.whereis("crashing") is None
        world.advance(0.2)
        assert world.node.address("crashing").is_alive()
        world.advance(life_s)


def test_a_child_is_given_up_after_its_last_restart_and_its_siblings_live(world: World) -> None:
    plan = Plan()
    backoff = Backoff(min_s=1, jitter=0, reset_after_s=1000, max_restarts=2)
    specs = [child("crashing", plan, backoff=backoff), child("steady", Plan())]
    supervisor = world.start(Supervisor, Flags(intensity=0), specs)
    for _ in range(3):
        crash(world, "crashing")
        world.advance(10)
    assert plan.attempts == 3
    assert world.supervisor_reports()[-1] == ("shutdown", "crashing", "reached_max_restarts")
    assert rows(world, supervisor)["crashing"] is None
    assert world.node.address("steady").is_alive()
    revived = world.wait(requests.restart_child(supervisor, "crashing"))
    assert revived.is_alive()
    for _ in range(2):
        crash(world, "crashing")
        world.advance(10)
        assert world.node.address("crashing").is_alive(), "it begins anew when it was restarted"


def test_a_significant_child_that_is_given_up_ends_the_supervisor(world: World) -> None:
    backoff = Backoff(min_s=1, jitter=0, max_restarts=0)
    for mode in ("any_significant", "all_significant"):
        spec = child("crashing", Plan(), backoff=backoff, restart="transient", significant=True)
        supervisor = world.start(Supervisor, {"auto_shutdown": mode}, [spec])
        crash(world, "crashing")
        assert not supervisor.is_alive()


def test_while_it_waits_a_child_is_known_as_backing_off(world: World) -> None:
    plan = Plan()
    spec = child("crashing", plan, backoff=STEADY)
    supervisor = world.start(Supervisor, Flags(), [spec])
    crash(world, "crashing")
    assert rows(world, supervisor) == {"crashing": "backing_off"}
    assert world.wait(requests.count_children(supervisor))["active"] == 0
    assert refused(world, requests.start_child, supervisor, spec) == "already_present"
    for request in (requests.restart_child, requests.delete_child):
        assert refused(world, request, supervisor, "crashing") == "restarting"
    world.wait(requests.terminate_child(supervisor, "crashing"))
    assert rows(world, supervisor) == {"crashing": None}
    world.advance(100)
    assert plan.attempts == 1


def test_a_supervisor_stops_while_a_child_waits(world: World) -> None:
    plan = Plan()
    supervisor = world.start(Supervisor, Flags(), [child("crashing", plan, backoff=STEADY)])
    crash(world, "crashing")
    supervisor.stop(block=False)
    world.settle()
    assert not supervisor.is_alive()
    world.advance(100)
    assert plan.attempts == 1


def test_a_wait_that_was_cut_short_does_not_shorten_the_next(world: World) -> None:
    """A child restarted with its group while it waits is not started again by its old timer."""
    plan = Plan()
    slow = Backoff(min_s=10, max_s=10, jitter=0, reset_after_s=2)
    supervisor = world.start(
        Supervisor,
        Flags("one_for_all", intensity=5),
        [child("crashing", plan, backoff=slow), child("steady", Plan())],
    )
    crash(world, "crashing")
    world.advance(3)
    crash(world, "steady")
    assert plan.attempts == 2
    world.advance(3)
    crash(world, "crashing")
    world.advance(9.5)
    assert rows(world, supervisor)["crashing"] == "backing_off"
    world.advance(1)
    assert plan.attempts == 3


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_after_the_wait_the_strategy_decides_who_else_restarts(world: World, strategy: str) -> None:
    plans = {one: Plan() for one in ("first", "crashing", "last")}
    specs = [
        child(one, plan, **({"backoff": STEADY} if one == "crashing" else {}))
        for one, plan in plans.items()
    ]
    world.start(Supervisor, Flags(strategy, intensity=0), specs)
    crash(world, "crashing")
    assert [plan.attempts for plan in plans.values()] == [1, 1, 1]
    world.advance(1)
    counts = [2, 2, 2] if strategy == "one_for_all" else [1, 2, 2]
    assert [plan.attempts for plan in plans.values()] == counts


# -- under a dynamic supervisor ------------------------------------------------------------------


def pool(world: World, **keys: Any) -> tuple[Ref[Any], list[Plan]]:
    """Start a dynamic supervisor that allows no restart, with three workers under back-off."""
    plans = [Plan(), Plan(), Plan()]

    async def start(supervisor: Any, number: int) -> Any:
        return await supervisor.start_link(Worker, plan=plans[number], name=("worker", number))

    spec = {"id": "worker", "start": start, "backoff": STEADY, **keys}
    supervisor = world.start(DynamicSupervisor, {"intensity": 0}, [spec])
    for number in range(3):
        world.wait(requests.start_child(supervisor, number))
    return supervisor, plans


def test_dynamic_children_wait_each_for_itself(world: World) -> None:
    supervisor, plans = pool(world)
    for wait_s in (1, 2, 4, 8, 8):
        crash(world, ("worker", 0))
        counts = world.wait(requests.count_children(supervisor))
        assert (counts["active"], counts["workers"]) == (2, 3)
        states = [row[1] for row in world.wait(requests.which_children(supervisor))]
        assert states.count("backing_off") == 1
        world.advance(wait_s - 0.1)
        assert world.node.whereis(("worker", 0)) is None
        world.advance(0.2)
        assert world.node.address(("worker", 0)).is_alive()
    assert [plan.attempts for plan in plans] == [6, 1, 1]


def test_a_dynamic_child_that_waits_is_ended_by_its_old_ref(world: World) -> None:
    supervisor, plans = pool(world)
    old = world.node.address(("worker", 0))
    crash(world, ("worker", 0))
    world.wait(requests.terminate_child(supervisor, old))
    world.advance(100)
    assert plans[0].attempts == 1
    assert world.wait(requests.count_children(supervisor))["workers"] == 2


def test_nothing_is_kept_of_dynamic_children_that_are_gone(world: World) -> None:
    supervisor, _ = pool(world, restart="transient")
    for number in range(3):
        crash(world, ("worker", number))
    world.advance(2)
    for number, reason in enumerate(("normal", "shutdown", None)):
        ref = world.node.address(("worker", number))
        if reason is None:
            world.wait(requests.terminate_child(supervisor, ref))
        else:
            ref.cast(("exit", reason))
    world.settle()
    process: Any = supervisor._process
    assert [len(table) for table in (process._children, process._backing, process._lives)] == [
        0, 0, 0,
    ]  # fmt: skip
