"""Links by birth: starters, parents, and supervisors with the links their tables imply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from supervisors import (
    IGNORE,
    ChildSpec,
    Exit,
    Flags,
    GenServer,
    Stop,
    Supervisor,
    start_child,
    terminate_child,
)  # fmt: skip
from supervisors.errors import StartError
from tests.supervisors.probe import Probe, do, end, exit_reason, seen, unlink

if TYPE_CHECKING:
    from supervisors import Ref
    from tests.supervisors.world import World


class Failing(GenServer):
    def init(self, answer: Any) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer


class Slow(GenServer):
    async def init(self) -> None:
        await self.sleep(100)


def test_a_failed_start_link_ends_a_starter_that_does_not_trap(world: World) -> None:
    starter = world.start(Probe)
    starter.cast(lambda self: self.start_link(Failing, Stop("boom")))
    assert exit_reason(world, starter) == "boom"


def test_a_failed_start_link_tells_a_starter_that_traps_twice(world: World) -> None:
    starter = world.start(Probe, trap=True)

    async def begin(self: Probe) -> Any:
        try:
            await self.start_link(Failing, Stop("boom"), name="taken")
        except StartError as error:
            return error.reason, self.node.whereis("taken")

    assert do(world, starter, begin) == ("boom", None)
    ((_, reason),) = seen(world, starter)
    assert reason == "boom"


@pytest.mark.parametrize("trap", [False, True])
def test_a_start_link_that_takes_too_long_ends_nobody_and_sends_no_exit(
    world: World, trap: bool
) -> None:
    starter = world.start(Probe, trap=trap)

    async def begin(self: Probe) -> Any:
        try:
            await self.start_link(Slow, name="slow", timeout_s=1)
        except StartError as error:
            return error.reason, self.node.whereis("slow")

    assert do(world, starter, begin) == ("timeout", None)
    assert starter.is_alive()
    assert seen(world, starter) == []


def test_an_ignored_start_link_ends_nobody(world: World) -> None:
    starter = world.start(Probe)

    async def begin(self: Probe) -> Any:
        try:
            await self.start_link(Failing, IGNORE)
        except StartError as error:
            return error.ignored

    assert do(world, starter, begin) is True
    assert starter.is_alive()


def test_the_exit_of_the_parent_ends_a_process_that_traps_by_its_terminate(world: World) -> None:
    parent = world.start(Probe)
    child = do(world, parent, lambda self: self.start_link(Probe, trap=True))
    other = do(world, parent, lambda self: self.start_link(Probe))
    end(world, parent, "boom")
    assert exit_reason(world, child) == "boom"
    assert child._process.terminated == "boom"
    assert exit_reason(world, other) == "boom"
    assert other._process.terminated is None


def test_a_parent_that_ends_normally_ends_its_child_that_traps_alone(world: World) -> None:
    parent = world.start(Probe)
    child = do(world, parent, lambda self: self.start_link(Probe, trap=True))
    other = do(world, parent, lambda self: self.start_link(Probe))
    end(world, parent, "normal")
    assert exit_reason(world, child) == "normal"
    assert other.is_alive()


# -- the implied links of supervisors


def supervised(world: World, **options: Any) -> tuple[Ref[Any], Ref[Any]]:
    """Start a supervisor with one probe."""
    spec = ChildSpec("probe", (Probe, (), options), "temporary")
    supervisor = world.start(Supervisor, Flags(), [spec])
    (child,) = supervisor._process._by_process
    return supervisor, child.ref


def test_a_killed_supervisor_takes_its_children_along(world: World) -> None:
    supervisor, child = supervised(world)
    _, trapping = supervised(world, trap=True)
    trapping._process._parent.ref.kill()
    supervisor.kill()
    assert exit_reason(world, child) == "killed"
    assert exit_reason(world, trapping) == "killed"
    assert trapping._process.terminated == "killed"


def test_a_child_that_unlinked_itself_outlives_its_killed_supervisor(world: World) -> None:
    for trap in (False, True):
        supervisor, child = supervised(world, trap=trap)
        unlink(world, child, supervisor)
        supervisor.kill()
        world.settle()
        assert child.is_alive()
        assert seen(world, child) == []


def test_an_adopted_process_gets_one_exit_of_its_supervisor(world: World) -> None:
    outsider = world.start(Probe, trap=True)
    supervisor = world.start(Supervisor, Flags(), [ChildSpec("out", (lambda _: outsider,))])
    supervisor.kill()
    assert seen(world, outsider) == [Exit(supervisor, "killed")]


class SlowInit(GenServer):
    async def init(self) -> None:
        await self.sleep(5)


async def start_slow(supervisor: Any) -> Any:
    return await supervisor.start_link(SlowInit)


@pytest.mark.parametrize("start", [SlowInit, start_slow])
def test_a_child_whose_init_still_runs_ends_with_its_killed_supervisor(
    world: World, start: Any
) -> None:
    supervisor = world.start(Supervisor, Flags())
    asked = start_child(supervisor, ChildSpec("slow", (start,)))
    world.settle()
    supervisor.kill()
    world.settle()
    assert asked.done()
    assert world.on_shard(lambda: len(world.node.shard.processes)) == 0


def test_a_second_process_that_a_start_function_links_ends_with_the_supervisor(
    world: World,
) -> None:
    pair: list[Ref[Any]] = []

    async def start_two(supervisor: Any) -> Any:
        pair.extend([await supervisor.start_link(Probe) for _ in range(2)])
        return pair[0]

    supervisor = world.start(Supervisor, Flags(), [ChildSpec("two", (start_two,))])
    world.wait(terminate_child(supervisor, "two"))
    assert [ref.is_alive() for ref in pair] == [False, True]
    supervisor.kill()
    assert exit_reason(world, pair[1]) == "killed"


def test_a_parent_may_unlink_its_child(world: World) -> None:
    parent = world.start(Probe)
    child = do(world, parent, lambda self: self.start_link(Probe))
    unlink(world, parent, child)
    end(world, parent, "boom")
    assert child.is_alive()
