"""Processes and trees that the tests of the observer look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from supervisors import (
    SIMPLE_ONE_FOR_ONE,
    Backoff,
    ChildSpec,
    DynamicSupervisor,
    Flags,
    GenServer,
    Ref,
    Stop,
    Supervisor,
    start_child,
    which_children,
)

if TYPE_CHECKING:
    from supervisors.observe.snapshot import Row, Snapshot
    from tests.supervisors.world import World


class Worker(GenServer):
    """Dies when told to."""

    def init(self, *args: Any) -> None:
        self.args = args

    def handle_cast(self, message: Any) -> Any:
        if message == "crash":
            raise ValueError("boom")
        if message == "leave":
            return Stop("normal")
        return None

    async def handle_call(self, message: Any, caller: Any) -> Any:
        if message == "wait":
            await self.sleep(1_000)
        return message


class Starter(GenServer):
    """Starts a linked process of its own, though it is no supervisor."""

    async def init(self) -> None:
        self.child = await self.start_link(Worker)


class FailingAgain(GenServer):
    """Starts once and never again; `tries` is shared by the lives."""

    def init(self, tries: list[int]) -> Any:
        tries.append(1)
        return None if len(tries) == 1 else Stop("broken")


def pool_spec(flags: Flags | None = None, **options: Any) -> ChildSpec:
    """Make the spec of a dynamic supervisor of workers."""
    flags = flags or Flags(SIMPLE_ONE_FOR_ONE, intensity=100)
    worker = ChildSpec("worker", (Worker,), **options)
    return ChildSpec("pool", (DynamicSupervisor, (flags, [worker])), type="supervisor")


def start_tree(world: World, workers: int = 3) -> Ref[Any]:
    """Start a root with a named worker `solo` and a pool of workers."""
    specs = [ChildSpec("solo", (Worker,), name="solo"), pool_spec()]
    root = world.start(Supervisor, Flags(intensity=10), specs, name="root")
    for number in range(workers):
        world.wait(start_child(pool_of(world, root), number))
    return root


def pool_of(world: World, root: Ref[Any]) -> Ref[Any]:
    """Find the pool of a tree."""
    found = {child_id: ref for child_id, ref, _, _ in world.wait(which_children(root))}
    pool: Ref[Any] = found["pool"]
    return pool


def worker_of(world: World, pool: Ref[Any]) -> Ref[Any]:
    """Find any worker of a pool."""
    worker: Ref[Any] = world.wait(which_children(pool))[0][1]
    return worker


def look(world: World, root: Any = None, **bounds: Any) -> Snapshot:
    """Take a snapshot."""
    taken: Snapshot = world.wait(world.node.observer.snapshot(root, **bounds))
    return taken


def row_of(snapshot: Snapshot, named: str) -> Row:
    """Find the row of a child id or a name."""
    (found,) = [row for row in snapshot.rows if named in (row.child_id, row.name)]
    return found


SLOW = Backoff(min_s=10.0, max_s=10.0, jitter=0.0)
