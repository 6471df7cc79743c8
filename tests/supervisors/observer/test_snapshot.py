"""What a snapshot of the tree holds, and what taking it costs the others."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from supervisors import (
    ChildSpec,
    Flags,
    GenServer,
    SimulatedHost,
    Supervisor,
    limits,
    start_child,
    terminate_child,
)
from supervisors.errors import CallExit
from supervisors.observe.footprint import footprint_bytes
from supervisors.observe.snapshot import describe
from supervisors.reasons import Crash, Shutdown
from tests.supervisors.observer.stage import (
    SLOW,
    FailingAgain,
    Starter,
    Worker,
    look,
    pool_of,
    pool_spec,
    row_of,
    start_tree,
    worker_of,
)

if TYPE_CHECKING:
    from tests.supervisors.world import SimulatedWorld, World


def test_a_snapshot_lists_the_tree_level_by_level_with_supervisors_first(world: World) -> None:
    world.start(Worker, name="alone")
    start_tree(world)
    taken = look(world)
    listed = [(row.depth, row.child_id or row.name, row.class_name) for row in taken.rows]
    assert listed == [
        (0, "root", "Supervisor"),
        (0, "alone", "Worker"),
        (1, "solo", "Worker"),
        (1, "pool", "DynamicSupervisor"),
        (2, None, "Worker"),
        (2, None, "Worker"),
        (2, None, "Worker"),
    ]
    assert taken.processes == 7
    assert taken.roots == 2
    assert (taken.node, taken.creation) == (world.node.name, world.node.creation)


def test_each_row_knows_its_parent_its_children_and_its_links(world: World) -> None:
    root = start_tree(world)
    taken = look(world)
    top, solo, pool = (row_of(taken, name) for name in ("root", "solo", "pool"))
    assert (top.pid, top.parent, top.children, top.links) == (root.pid, None, 2, 2)
    assert (solo.parent, solo.children, solo.links) == (root.pid, 0, 1)
    assert (pool.parent, pool.children, pool.links) == (root.pid, 3, 4)
    assert {row.parent for row in taken.rows if row.depth == 2} == {pool.pid}


def test_restarts_and_the_last_crash_are_kept_per_child(world: World) -> None:
    root = start_tree(world)
    for _ in range(2):
        solo = world.node.whereis("solo")
        assert solo is not None
        solo.cast("crash")
        world.settle()
    taken = look(world)
    solo_row = row_of(taken, "solo")
    assert solo_row.restarts == 2
    assert solo_row.last_crash is not None
    assert solo_row.last_crash.reason == "ValueError: boom"
    top = row_of(taken, "root").supervision
    assert top is not None
    assert (top.strategy, top.intensity, top.used, top.restarts) == ("one_for_one", 10, 2, 2)
    assert row_of(taken, "pool").restarts == 0
    assert root.pid == row_of(taken, "root").pid


def test_the_time_of_a_crash_is_the_nodes(simulated: SimulatedWorld) -> None:
    start_tree(simulated)
    simulated.advance(12.0)
    solo = simulated.node.whereis("solo")
    assert solo is not None
    solo.cast("crash")
    simulated.settle()
    simulated.advance(3.0)
    taken = look(simulated)
    crash = row_of(taken, "solo").last_crash
    assert crash is not None
    assert (crash.at_s, taken.at_s) == (12.0, 15.0)


def test_a_dynamic_supervisor_keeps_restarts_of_all_its_children_together(world: World) -> None:
    pool = pool_of(world, start_tree(world))
    worker_of(world, pool).kill()
    world.settle()
    row = row_of(look(world), "pool")
    assert row.supervision is not None
    assert row.supervision.strategy == "simple_one_for_one"
    assert row.supervision.restarts == 1
    assert row.supervision.last_crash is not None
    assert row.supervision.last_crash.reason == "killed"
    assert row.children == 3
    workers = [row for row in look(world).rows if row.depth == 2]
    assert [worker.restarts for worker in workers] == [None, None, None]


def test_a_group_restart_counts_for_every_child_it_starts_again(world: World) -> None:
    specs = [ChildSpec(name, (Worker,), name=name) for name in ("a", "b")]
    world.start(Supervisor, Flags("one_for_all"), specs)
    first = world.node.whereis("a")
    assert first is not None
    first.kill()
    world.settle()
    taken = look(world)
    assert [row_of(taken, name).restarts for name in ("a", "b")] == [1, 1]
    assert [row_of(taken, name).last_crash is None for name in ("a", "b")] == [False, True]


def test_children_that_are_down_are_rows_too(world: World) -> None:
    specs = [
        ChildSpec("off", (Worker,)),
        ChildSpec("waits", (Worker,), backoff=SLOW, name="waits"),
    ]
    root = world.start(Supervisor, Flags(intensity=5), specs)
    world.wait(terminate_child(root, "off"))
    waits = world.node.whereis("waits")
    assert waits is not None
    waits.kill()
    world.settle()
    taken = look(world)
    assert [
        (row.child_id, row.pid, row.state, row.class_name) for row in taken.rows if row.depth == 1
    ] == [("off", None, "undefined", "Worker"), ("waits", None, "backing_off", "Worker")]


def test_dynamic_children_that_wait_for_a_restart_are_rows_too(world: World) -> None:
    root = world.start(Supervisor, Flags(intensity=5), [pool_spec(backoff=SLOW)])
    pool = pool_of(world, root)
    world.wait(start_child(pool))
    worker_of(world, pool).kill()
    world.settle()
    (row,) = [row for row in look(world).rows if row.depth == 2]
    assert (row.pid, row.state, row.child_id) == (None, "backing_off", "worker")
    assert row_of(look(world), "pool").children == 1


def test_a_child_whose_restart_fails_says_why(simulated: SimulatedWorld) -> None:
    tries: list[int] = []
    spec = ChildSpec("again", (FailingAgain, (tries,)), name="again", backoff=SLOW)
    simulated.start(Supervisor, Flags(intensity=3), [spec])
    again = simulated.node.whereis("again")
    assert again is not None
    again.kill()
    simulated.advance(10.0)
    row = row_of(look(simulated), "again")
    assert row.state == "backing_off"
    assert row.last_crash is not None
    assert row.last_crash.reason == "broken"


def test_a_process_started_by_one_that_is_no_supervisor_stands_below_it(world: World) -> None:
    starter = world.start(Starter)
    rows = look(world).rows
    assert [(row.depth, row.class_name) for row in rows] == [(0, "Starter"), (1, "Worker")]
    assert rows[1].parent == starter.pid


def test_an_adopted_process_is_no_root_any_more(world: World) -> None:
    async def start(supervisor: Any) -> Any:
        return await supervisor.node.start(Worker)

    world.start(Supervisor, Flags(), [ChildSpec("adopted", (start,))])
    taken = look(world)
    assert [(row.depth, row.class_name) for row in taken.rows] == [(0, "Supervisor"), (1, "Worker")]
    assert taken.roots == 1


def test_states_and_mailboxes_are_as_the_scheduler_has_them(world: World) -> None:
    ref = world.start(Worker, name="busy")
    ref.call("wait", None)
    ref.cast("x")
    ref.cast("y")
    world.settle()
    row = row_of(look(world), "busy")
    assert (row.state, row.mailbox) == ("parked", 2)
    assert row.reductions >= 1


@pytest.mark.parametrize("by", ["ref", "pid", "name"])
def test_a_snapshot_can_begin_anywhere(world: World, by: str) -> None:
    root = start_tree(world)
    pool = pool_of(world, root)
    wanted: Any = {"ref": pool, "pid": pool.pid, "name": "solo"}[by]
    taken = look(world, wanted)
    assert taken.rows[0].depth == 0
    assert taken.rows[0].child_id is None
    assert len(taken.rows) == (1 if by == "name" else 4)


def test_a_snapshot_of_what_is_not_there_fails_with_noproc(world: World) -> None:
    with pytest.raises(CallExit) as refused:
        look(world, "nobody")
    assert refused.value.reason == "noproc"


def test_depth_children_rows_and_what_is_opened_bound_a_snapshot(world: World) -> None:
    root = start_tree(world, workers=5)
    assert len(look(world, depth=1).rows) == 1
    assert [row.depth for row in look(world, depth=2).rows] == [0, 1, 1]
    few = look(world, children=2)
    assert [row.depth for row in few.rows] == [0, 1, 1, 2, 2]
    assert row_of(few, "pool").children == 5
    assert len(look(world, rows=4).rows) == 4
    assert [row.depth for row in look(world, opened={root.pid}).rows] == [0, 1, 1]
    assert [row.depth for row in look(world, opened=()).rows] == [0]


def test_bounds_beyond_the_limits_are_cut(simulated: SimulatedWorld) -> None:
    pool = pool_of(simulated, start_tree(simulated, workers=0))
    for number in range(limits.SNAPSHOT_CHILDREN + 1):
        start_child(pool, number)
    simulated.settle()
    taken = look(simulated, pool, children=10**9, rows=10**9, depth=10**9)
    assert len(taken.rows) == 1 + limits.SNAPSHOT_CHILDREN
    assert taken.rows[0].children == limits.SNAPSHOT_CHILDREN + 1


def test_others_get_their_turns_while_a_snapshot_is_taken(simulated: SimulatedWorld) -> None:
    start_tree(simulated, workers=10 * limits.SNAPSHOT_ROWS_PER_SLICE)
    solo = simulated.node.whereis("solo")
    assert solo is not None
    taken = simulated.node.observer.snapshot()
    told = solo.call("hello")
    slices = 0
    while not told.done():
        simulated.node.shard.run_slice(100)
        slices += 1
    assert slices == 1
    assert not taken.done()
    assert len(simulated.wait(taken).rows) == 3 + 10 * limits.SNAPSHOT_ROWS_PER_SLICE


def test_what_ends_while_a_snapshot_is_taken_is_left_out(simulated: SimulatedWorld) -> None:
    root = start_tree(simulated, workers=2 * limits.SNAPSHOT_ROWS_PER_SLICE)
    pool = pool_of(simulated, root)
    taken = simulated.node.observer.snapshot()
    pool.kill()
    rows = simulated.wait(taken).rows
    assert len(rows) < 3 + 2 * limits.SNAPSHOT_ROWS_PER_SLICE
    assert row_of(simulated.wait(taken), "root").children == 2


def test_only_so_many_roots_are_listed_and_supervisors_have_room_of_their_own(
    simulated: SimulatedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SNAPSHOT_ROOTS", 2)
    for _ in range(3):
        simulated.start(Worker)
    simulated.start(Supervisor, Flags(), [])
    taken = look(simulated)
    assert [row.class_name for row in taken.rows] == ["Supervisor", "Worker", "Worker"]
    assert taken.processes == 4


def test_a_dead_root_is_forgotten(world: World) -> None:
    ref = world.start(Worker)
    ref.kill()
    world.settle()
    assert look(world).rows == ()
    assert look(world).roots == 0


def test_a_name_of_any_kind_becomes_a_bounded_text(simulated: SimulatedWorld) -> None:
    simulated.start(Worker, name=("disk", 7))
    simulated.start(Worker, name="x" * 10_000)
    names = [row.name for row in look(simulated).rows]
    assert names[0] == "('disk', 7)"
    assert names[1] is not None
    assert len(names[1]) == limits.SNAPSHOT_CHARACTERS


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("killed", "killed"),
        (Shutdown(("failed", 3)), "shutdown: ('failed', 3)"),
        (Crash(ValueError("boom")), "ValueError: boom"),
        (
            Crash(UnspeakableError()),
            "UnspeakableError: unprintable, RuntimeError in its repr",
        ),
        (list(range(100)), "[0, 1, 2, 3, 4, 5, ...]"),
    ],
)
def test_a_reason_becomes_a_text_and_never_an_error(reason: Any, text: str) -> None:
    assert describe(reason) == text


def test_an_object_that_cannot_be_shown_is_named_by_its_class() -> None:
    assert describe(UnspeakableError()).startswith("<UnspeakableError instance at ")


# -- the memory estimate ----------------------------------------------------------------------


class Holder(GenServer):
    def init(self, held: Any = None) -> None:
        self.held = held


def footprint(held: Any) -> int:
    """Estimate a process that holds a value, less one that holds nothing."""
    node = SimulatedHost().node()
    process, empty = (node.start(Holder, value).get()._process for value in (held, None))
    return footprint_bytes(process) - footprint_bytes(empty)


def test_the_estimate_counts_the_values_a_process_holds() -> None:
    assert footprint(b"x" * 10_000) == sys.getsizeof(b"x" * 10_000)
    assert footprint(["abc", "de"]) == sum(map(sys.getsizeof, (["abc", "de"], "abc", "de")))
    assert footprint({"key": b"x" * 500}) >= sys.getsizeof(b"x" * 500)


def test_the_estimate_leaves_out_what_may_be_shared_and_code_of_the_user() -> None:
    class Lying:
        def __sizeof__(self) -> int:
            raise AssertionError("must not be asked")

    assert footprint(Lying()) == 0
    assert footprint(sys) == 0


def test_the_estimate_looks_at_so_many_values_and_no_more() -> None:
    blocks = [b"x" * 1_000 for _ in range(10 * limits.FOOTPRINT_VALUES)]
    assert footprint(blocks) <= sys.getsizeof(blocks) + limits.FOOTPRINT_VALUES * 1_100


def test_the_estimate_grows_with_the_mailbox(simulated: SimulatedWorld) -> None:
    ref = simulated.start(Worker)
    before = footprint_bytes(ref._process)
    ref.call("wait", None)
    simulated.settle()
    for _ in range(1_000):
        ref.cast(b"x" * 100)
    assert footprint_bytes(ref._process) - before > 1_000 * 200


def test_the_estimate_makes_no_dict_for_an_object_that_had_none() -> None:
    process = SimulatedHost().node().start(Holder).get()._process
    assert footprint_bytes(process) == footprint_bytes(process)
    before = footprint_bytes(process)
    assert process.__dict__ == {"held": None}
    assert footprint_bytes(process) > before
