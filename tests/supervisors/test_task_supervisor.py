"""The task supervisor: how many tasks it runs, which it refuses, and how they end with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from supervisors import BRUTAL_KILL, TRANSIENT, GenServer, count_children, start_child
from supervisors.errors import CallExit, ChildError, StartError, TaskOverload
from supervisors.task import TaskSupervisor, run_task, run_task_nolink, start_task, this_task

if TYPE_CHECKING:
    from supervisors import Ref
    from tests.supervisors.world import World


class Owner(GenServer):
    async def handle_call(self, message: Any, caller: Any) -> Any:
        return await message(self)


def double(number: int) -> int:
    return 2 * number


async def double_slowly(number: int, delay_s: float = 1.0) -> int:
    await this_task().sleep(delay_s)
    return 2 * number


@pytest.fixture
def tasks(world: World) -> Ref[TaskSupervisor]:
    return world.start(TaskSupervisor)


def test_more_tasks_than_the_bound_are_refused_at_once(world: World) -> None:
    tasks = world.start(TaskSupervisor, max_tasks=2)
    running = [run_task_nolink(tasks, double_slowly, number, 100.0) for number in range(2)]
    world.settle()
    with pytest.raises(TaskOverload, match="max_tasks=2 are running"):
        world.wait(run_task_nolink(tasks, double, 1))
    with pytest.raises(TaskOverload):
        world.wait(start_task(tasks, double, 1))
    assert [world.wait(answer) for answer in running] == [0, 2]
    assert world.wait(run_task_nolink(tasks, double, 1)) == 2


@pytest.mark.parametrize("bound", [0, -1])
def test_a_bound_that_lets_nothing_run_is_refused(world: World, bound: int) -> None:
    with pytest.raises(StartError, match=f"max_tasks={bound} must be at least 1"):
        world.start(TaskSupervisor, max_tasks=bound)


def test_a_result_is_promised_for_temporary_tasks_alone(world: World) -> None:
    tasks = world.start(TaskSupervisor, restart=TRANSIENT)
    with pytest.raises(ChildError, match="it could answer twice"):
        world.wait(run_task_nolink(tasks, double, 1))


def test_start_child_by_hand_is_told_what_to_use(world: World, tasks: Ref[Any]) -> None:
    with pytest.raises(ChildError, match="use start_task or run_task"):
        world.wait(start_child(tasks, double))


ENDS: dict[str, dict[str, Any]] = {
    "shutdown at once": {},
    "brutal": {"shutdown": BRUTAL_KILL, "graceful": True},
    "graceful": {"graceful": True},
    "graceful, too slow": {"graceful": True, "shutdown": 1000},
}


@pytest.mark.parametrize("how", sorted(ENDS))
def test_at_the_end_of_the_supervisor_tasks_end_as_they_were_made(world: World, how: str) -> None:
    log: list[str] = []
    tasks = world.start(TaskSupervisor, **ENDS[how])

    async def work() -> None:
        try:
            await this_task().sleep(3.0)
            log.append("done")
        finally:
            log.append("closed")

    answer = run_task_nolink(tasks, work)
    world.settle()
    stopped = tasks.stop(block=False)
    assert world.wait(stopped) is True
    assert log == (["done", "closed"] if how == "graceful" else ["closed"])
    expected = {"brutal": 0.0, "graceful": 3.0, "graceful, too slow": 1.0}.get(how, 0.0)
    assert world.now_s() == pytest.approx(expected, abs=0.01)
    if how == "graceful":
        assert world.wait(answer) is None
    else:
        with pytest.raises(CallExit):
            world.wait(answer)


def test_a_graceful_task_finishes_though_its_caller_ended(world: World) -> None:
    tasks = world.start(TaskSupervisor, graceful=True)
    log: list[str] = []

    async def work() -> None:
        await this_task().sleep(3.0)
        log.append("done")

    owner = world.start(Owner)
    owner.call(lambda _: run_task(tasks, work), None)
    world.settle()
    owner.exit("boom")
    world.advance(4.0)
    assert log == ["done"]
    assert world.wait(count_children(tasks))["active"] == 0
