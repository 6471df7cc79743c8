"""Tasks: functions as supervised processes, with and without a link, bounded, restarted, ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from supervisors import (
    TRANSIENT,
    Exit,
    Flags,
    Future,
    GenServer,
    Ref,
    count_children,
    terminate_child,
)
from supervisors.errors import (
    CallExit,
    CallTimeout,
    SupervisorsError,
)
from supervisors.reasons import Crash, Shutdown
from supervisors.task import TaskSupervisor, run_task, run_task_nolink, start_task, this_task

if TYPE_CHECKING:
    from tests.supervisors.world import World


class Owner(GenServer):
    """Runs what it is sent, with itself; keeps what it is told."""

    def init(self, *, trap_exit: bool = False) -> None:
        self.trap_exit = trap_exit
        self.infos: list[Any] = []

    async def handle_call(self, message: Any, caller: Any) -> Any:
        return await message(self)

    def handle_info(self, message: Any) -> None:
        self.infos.append(message)


def double(number: int) -> int:
    return 2 * number


async def double_slowly(number: int, delay_s: float = 1.0) -> int:
    await this_task().sleep(delay_s)
    return 2 * number


def fails(*_: Any) -> None:
    raise LookupError("lost")


async def fails_slowly() -> None:
    await this_task().sleep(1.0)
    raise LookupError("lost")


@pytest.fixture
def tasks(world: World) -> Ref[TaskSupervisor]:
    return world.start(TaskSupervisor)


def active(world: World, tasks: Ref[Any]) -> int:
    return world.wait(count_children(tasks))["active"]  # type: ignore[no-any-return]


# --- start_task ----------------------------------------------------------------------------------


@pytest.mark.parametrize("slow", [False, True])
def test_a_plain_or_async_function_is_run_as_a_supervised_process(
    world: World, tasks: Ref[Any], slow: bool
) -> None:
    done: list[Any] = []

    async def work(number: int, *, more: int) -> None:
        await this_task().sleep(1.0)
        done.append(number + more)

    function: Any = work if slow else lambda number, *, more: done.append(number + more)
    ref = world.wait(start_task(tasks, function, 1, more=2))
    assert isinstance(ref, Ref)
    world.advance(2.0)
    assert done == [3]
    assert not ref.is_alive()
    assert active(world, tasks) == 0
    assert world.supervisor_reports() == []


def test_start_task_answers_before_the_function_has_run(world: World, tasks: Ref[Any]) -> None:
    ref = world.wait(start_task(tasks, double_slowly, 1, 1000.0))
    assert ref.is_alive()
    assert active(world, tasks) == 1
    assert world.now_s() < 1


def test_a_crashed_task_is_reported_and_not_run_again(world: World, tasks: Ref[Any]) -> None:
    runs: list[int] = []

    def crash() -> None:
        runs.append(1)
        raise LookupError("lost")

    world.wait(start_task(tasks, crash))
    world.advance(10.0)
    assert runs == [1]
    assert [context for context, _, _ in world.supervisor_reports()] == ["child_terminated"]
    assert tasks.is_alive()


def test_a_transient_task_is_run_again_until_it_succeeds(world: World) -> None:
    tasks = world.start(TaskSupervisor, restart=TRANSIENT, flags=Flags(intensity=5))
    runs: list[int] = []

    def crash_twice(number: int) -> None:
        runs.append(number)
        if len(runs) < 3:
            raise LookupError("lost")

    world.wait(start_task(tasks, crash_twice, 7))
    world.advance(1.0)
    assert runs == [7, 7, 7]
    assert active(world, tasks) == 0


def test_a_task_is_ended_by_its_ref(world: World, tasks: Ref[Any]) -> None:
    cleaned: list[str] = []

    async def work() -> None:
        try:
            await this_task().sleep(1000.0)
        finally:
            cleaned.append("cleaned")

    ref = world.wait(start_task(tasks, work))
    world.wait(terminate_child(tasks, ref))
    assert not ref.is_alive()
    assert cleaned == ["cleaned"]


def test_a_named_supervisor_is_found_by_its_name(world: World) -> None:
    world.start(TaskSupervisor, name="tasks")
    assert world.wait(run_task_nolink("tasks", double, 4)) == 8
    with pytest.raises(CallExit):
        run_task_nolink("nobody", double, 4)


# --- run_task_nolink -----------------------------------------------------------------------------


def test_the_result_comes_as_a_future(world: World, tasks: Ref[Any]) -> None:
    assert world.wait(run_task_nolink(tasks, double, 4)) == 8
    assert world.wait(run_task_nolink(tasks, double_slowly, 4, delay_s=3.0)) == 8
    assert world.now_s() == pytest.approx(3.0, abs=0.01)


@pytest.mark.parametrize("function", [fails, fails_slowly])
def test_a_crash_fails_the_future_with_its_reason(
    world: World, tasks: Ref[Any], function: Any
) -> None:
    with pytest.raises(CallExit) as raised:
        world.wait(run_task_nolink(tasks, function))
    reason = raised.value.reason
    assert isinstance(reason, Crash)
    assert str(reason) == "LookupError: lost"
    assert reason.frames[-1][2] == function.__name__


def test_a_killed_task_fails_the_future(world: World, tasks: Ref[Any]) -> None:
    answer = run_task_nolink(tasks, double_slowly, 1, 1000.0)
    world.settle()
    ((_, ref, _, _),) = world.wait(tasks.call(("which_children",), None))
    ref.kill()
    with pytest.raises(CallExit, match="killed"):
        world.wait(answer)


def test_an_unlinked_task_outlives_its_caller_and_its_crash_harms_nobody(
    world: World, tasks: Ref[Any]
) -> None:
    done: list[str] = []
    caller = world.start(Owner)

    async def work() -> None:
        await this_task().sleep(5.0)
        done.append("done")

    async def run(_: Any) -> Any:
        run_task_nolink(tasks, work)
        with pytest.raises(CallExit):
            await run_task_nolink(tasks, fails)
        return "alive"

    assert world.call(caller, run) == "alive"
    caller.kill()
    world.advance(6.0)
    assert done == ["done"]


def test_a_task_past_its_limit_is_ended_and_the_future_times_out(
    world: World, tasks: Ref[Any]
) -> None:
    with pytest.raises(CallTimeout, match="double_slowly"):
        world.wait(run_task_nolink(tasks, double_slowly, 1, 1000.0, timeout_s=2.0))
    assert world.now_s() == pytest.approx(2.0, abs=0.01)
    assert active(world, tasks) == 0
    assert world.supervisor_reports() == []


def test_a_task_within_its_limit_leaves_no_timer_behind(world: World, tasks: Ref[Any]) -> None:
    assert world.wait(run_task_nolink(tasks, double, 2, timeout_s=60.0)) == 4
    assert world.on_shard(world.node.shard.timers.next_live_s) is None


def test_a_dead_supervisor_fails_the_future(world: World, tasks: Ref[Any]) -> None:
    tasks.kill()
    world.settle()
    with pytest.raises(CallExit, match="noproc"):
        world.wait(run_task_nolink(tasks, double, 1))


# --- run_task ------------------------------------------------------------------------------------


def test_a_linked_task_gives_its_result_and_leaves_no_trace(world: World, tasks: Ref[Any]) -> None:
    owner = world.start(Owner, trap_exit=True)
    assert world.call(owner, lambda _: run_task(tasks, double_slowly, 4)) == 8
    world.settle()
    assert owner._process.infos == []


def test_a_linked_task_that_crashes_takes_its_caller_along(world: World, tasks: Ref[Any]) -> None:
    owner = world.start(Owner)
    with pytest.raises(CallExit, match="lost"):
        world.call(owner, lambda _: run_task(tasks, fails_slowly))
    assert not owner.is_alive()


def test_a_caller_that_traps_exits_survives_a_linked_task(world: World, tasks: Ref[Any]) -> None:
    owner = world.start(Owner, trap_exit=True)

    async def run(_: Any) -> str:
        try:
            await run_task(tasks, fails)
        except CallExit as error:
            return str(error.reason)
        return "no error"

    assert world.call(owner, run) == "LookupError: lost"
    (info,) = owner._process.infos
    assert isinstance(info, Exit)
    assert str(info.reason) == "LookupError: lost"


@pytest.mark.parametrize("reason", ["kill", "boom", "shutdown"])
def test_a_linked_task_ends_with_its_caller(world: World, tasks: Ref[Any], reason: str) -> None:
    owner = world.start(Owner)
    owner.call(lambda _: run_task(tasks, double_slowly, 1, 1000.0), None)
    world.settle()
    assert active(world, tasks) == 1
    owner.exit(reason)
    world.settle()
    assert active(world, tasks) == 0


def test_a_linked_task_past_its_limit_does_not_take_its_caller_along(
    world: World, tasks: Ref[Any]
) -> None:
    async def run(_: Any) -> str:
        try:
            await run_task(tasks, double_slowly, 1, 1000.0, timeout_s=1.0)
        except CallTimeout:
            return "timed out"
        return "no error"

    assert world.call(world.start(Owner), run) == "timed out"


def test_run_task_outside_of_a_handler_says_which_one_to_use(world: World, tasks: Ref[Any]) -> None:
    with pytest.raises(SupervisorsError, match="use run_task_nolink"):
        run_task(tasks, double, 1)


def test_a_task_runs_tasks(world: World, tasks: Ref[Any]) -> None:
    async def outer() -> int:
        return sum([await run_task(tasks, double_slowly, number) for number in range(3)])

    assert world.wait(run_task_nolink(tasks, outer)) == 6


# --- this_task -----------------------------------------------------------------------------------


def test_this_task_is_the_process_that_runs_the_function(world: World, tasks: Ref[Any]) -> None:
    ref = world.wait(run_task_nolink(tasks, lambda: this_task().ref))
    assert ref.actor_class.__name__ == "Task"


def test_this_task_outside_of_tasks_says_so(world: World) -> None:
    with pytest.raises(SupervisorsError, match="runs no task"):
        this_task()

    async def ask(_: Any) -> Any:
        return this_task()

    with pytest.raises(CallExit, match="runs no task"):
        world.call(world.start(Owner), ask)


def test_a_task_ends_itself_with_a_reason(world: World, tasks: Ref[Any]) -> None:
    with pytest.raises(CallExit) as raised:
        world.wait(run_task_nolink(tasks, lambda: this_task().exit(Shutdown("enough"))))
    assert raised.value.reason == Shutdown("enough")


def test_a_future_by_hand_can_be_the_work_of_a_task(world: World, tasks: Ref[Any]) -> None:
    gate = Future[int]()
    answer = run_task_nolink(tasks, lambda: gate)
    world.settle()
    assert not answer.done()
    gate.set(5)
    assert world.wait(answer) == 5
