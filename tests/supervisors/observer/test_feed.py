"""The feed of changes: what it tells, and what becomes of a reader that lags."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from supervisors import ChildSpec, Flags, Supervisor, limits, start_child, terminate_child
from supervisors.observe.feed import BEGAN, ENDED, OVERFLOW, RESTARTED, STATE
from tests.supervisors.observer.stage import (
    SLOW,
    FailingAgain,
    Worker,
    look,
    pool_of,
    start_tree,
    worker_of,
)

if TYPE_CHECKING:
    import pytest

    from supervisors.observe.feed import Change, Feed
    from tests.supervisors.world import SimulatedWorld, World

PATIENCE_S = 20.0


def subscribe(world: World, *kinds: str) -> Feed:
    feed = world.node.observer.subscribe(kinds) if kinds else world.node.observer.subscribe()
    world.settle()
    return feed


def told(world: World, feed: Feed) -> list[Change]:
    world.settle()
    return feed.take()


def test_a_start_and_an_end_are_told_with_class_name_and_reason(world: World) -> None:
    feed = subscribe(world)
    ref = world.start(Worker, name="one")
    ref.kill()
    began, ended = told(world, feed)
    assert (began.kind, began.pid, began.class_name, began.name) == (
        BEGAN, ref.pid, "Worker", "one",
    )  # fmt: skip
    assert (ended.kind, ended.pid, ended.reason) == (ENDED, ref.pid, "killed")
    assert ended.sequence == began.sequence + 1


def test_a_restart_is_told_with_its_supervisor_its_child_and_its_count(world: World) -> None:
    root = start_tree(world)
    feed = subscribe(world)
    first = world.node.whereis("solo")
    assert first is not None
    first.cast("crash")
    changes = told(world, feed)
    assert [change.kind for change in changes] == [ENDED, BEGAN, RESTARTED]
    second = world.node.whereis("solo")
    assert second is not None
    restarted = changes[-1]
    assert (restarted.parent, restarted.pid) == (root.pid, second.pid)
    assert (restarted.child_id, restarted.restarts) == ("solo", 1)


def test_a_restart_of_a_dynamic_child_counts_for_its_supervisor(world: World) -> None:
    pool = pool_of(world, start_tree(world))
    feed = subscribe(world, RESTARTED)
    for _ in range(2):
        worker_of(world, pool).kill()
        world.settle()
    assert [(one.parent, one.child_id, one.restarts) for one in told(world, feed)] == [
        (pool.pid, None, 1),
        (pool.pid, None, 2),
    ]


def test_a_child_that_is_down_tells_what_becomes_of_it(simulated: SimulatedWorld) -> None:
    tries: list[int] = []
    specs = [
        ChildSpec("waits", (Worker,), backoff=SLOW, name="waits"),
        ChildSpec("leaves", (Worker,), restart="transient", name="leaves"),
        ChildSpec("fails", (FailingAgain, (tries,)), name="fails"),
        ChildSpec("stops", (Worker,)),
    ]
    root = simulated.start(Supervisor, Flags(intensity=2), specs)
    feed = subscribe(simulated, STATE)
    for name in ("waits", "leaves"):
        ref = simulated.node.whereis(name)
        assert ref is not None
        ref.cast("crash" if name == "waits" else "leave")
        simulated.settle()
    simulated.wait(terminate_child(root, "stops"))
    fails = simulated.node.whereis("fails")
    assert fails is not None
    fails.kill()
    changes = told(simulated, feed)
    assert [(one.child_id, one.state) for one in changes[:4]] == [
        ("waits", "backing_off"),
        ("leaves", "undefined"),
        ("stops", "undefined"),
        ("fails", "restarting"),
    ]
    assert {one.parent for one in changes} == {root.pid}


def test_a_feed_has_only_the_kinds_it_was_asked_for(world: World) -> None:
    feed = subscribe(world, ENDED)
    world.start(Worker).kill()
    assert [change.kind for change in told(world, feed)] == [ENDED]


def test_a_read_waits_for_the_next_change(world: World) -> None:
    feed = subscribe(world)
    reading = feed.read()
    world.settle()
    assert not reading.done()
    ref = world.start(Worker)
    (change,) = world.wait(reading)
    assert change.pid == ref.pid


def test_a_read_that_was_given_up_loses_nothing(world: World) -> None:
    feed = subscribe(world)
    given_up, reading = feed.read(), feed.read()
    world.start(Worker)
    assert world.wait(reading) == world.wait(given_up)
    assert told(world, feed) == []


def test_a_closed_feed_ends_its_reader_and_costs_nothing_any_more(world: World) -> None:
    listening = [world.node.observer.listening]
    feed, other = subscribe(world), subscribe(world)
    reading = feed.read()
    feed.close()
    assert world.wait(reading) == []
    assert world.wait(feed.read()) == []
    listening.append(world.node.observer.listening)
    other.close()
    world.settle()
    assert listening == [False, True]
    assert not world.node.observer.listening
    sequence = world.node.observer.sequence
    world.start(Worker)
    assert told(world, feed) == []
    assert world.node.observer.sequence == sequence


def test_a_reader_that_lags_too_far_finds_an_overflow_mark_at_the_end(
    simulated: SimulatedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FEED_CHANGES", 4)
    lagging, reading = subscribe(simulated), subscribe(simulated)
    seen = []
    for _ in range(6):
        simulated.start(Worker)
        seen += told(simulated, reading)
    changes = told(simulated, lagging)
    assert [change.kind for change in changes] == [BEGAN] * 4 + [OVERFLOW]
    assert changes[-1].sequence == changes[-2].sequence + 1
    assert simulated.wait(lagging.read()) == []
    assert [change.kind for change in seen] == [BEGAN] * 6
    assert simulated.node.observer.listening


def test_changes_are_numbered_without_a_gap(world: World) -> None:
    feed = subscribe(world)
    pool = pool_of(world, start_tree(world))
    worker_of(world, pool).kill()
    numbers = [change.sequence for change in told(world, feed)]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def follow(pids: set[Any], changes: list[Change], after: int) -> None:
    """Apply changes later than a snapshot to the set of living pids."""
    for change in changes:
        if change.sequence > after:
            if change.kind == BEGAN:
                pids.add(change.pid)
            elif change.kind == ENDED:
                pids.discard(change.pid)


def test_a_snapshot_and_the_changes_after_it_give_the_tree_as_it_is(
    simulated: SimulatedWorld,
) -> None:
    pool = pool_of(simulated, start_tree(simulated, workers=3 * limits.SNAPSHOT_ROWS_PER_SLICE))
    feed = subscribe(simulated)
    worker_of(simulated, pool).kill()
    simulated.settle()
    taking = simulated.node.observer.snapshot()
    for process in list(pool._process._children)[::2]:
        process.ref.kill()
    start_child(pool, "late")
    taken = simulated.wait(taking)
    pids = {row.pid for row in taken.rows}
    follow(pids, told(simulated, feed), taken.sequence)
    assert pids == {row.pid for row in look(simulated).rows}


def test_a_thread_of_ones_own_can_read_a_feed(beside: World) -> None:
    feed = subscribe(beside, BEGAN)
    got: list[Change] = []
    reader = threading.Thread(target=lambda: got.extend(feed.read().get(timeout=PATIENCE_S)))
    reader.start()
    ref = beside.start(Worker)
    reader.join(PATIENCE_S)
    assert [change.pid for change in got] == [ref.pid]
