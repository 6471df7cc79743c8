"""A function over many items, a bounded number of tasks at a time."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from supervisors import GenServer, Ref, count_children
from supervisors.errors import CallExit, CallTimeout, SupervisorsError, TaskOverload
from supervisors.task import TaskSupervisor, stream_tasks, this_task

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.supervisors.world import World


class Reader(GenServer):
    """Reads a stream in its handler: `options` make it, `most` outcomes are taken."""

    async def handle_call(self, message: Any, caller: Any) -> Any:
        stream, most = message()
        outcomes = []
        async for outcome in stream:
            outcomes.append(outcome)
            if len(outcomes) == most:
                break
        stream.close()
        return outcomes


class Work:
    """Sleeps for as many seconds as the item says and notes how many did so at once."""

    def __init__(self) -> None:
        self.running = 0
        self.most = 0
        self.ended: list[Any] = []

    async def __call__(self, item: float) -> float:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await this_task().sleep(abs(item))
            if item < 0:
                raise LookupError(item)
            return 10 * item
        finally:
            self.running -= 1
            self.ended.append(item)


class Case:
    """A task supervisor, a reader and the work."""

    def __init__(self, world: World, **options: Any) -> None:
        self.world = world
        self.work = Work()
        self.tasks: Ref[Any] = world.start(TaskSupervisor, **options)
        self.reader: Ref[Any] = world.start(Reader)

    def ask(self, items: Any, most: int = -1, **options: Any) -> Any:
        return self.reader.call(
            lambda: (stream_tasks(self.tasks, self.work, items, **options), most), None
        )

    def read(self, items: Any, most: int = -1, **options: Any) -> list[Any]:
        return self.world.wait(self.ask(items, most, **options))  # type: ignore[no-any-return]

    def active(self) -> int:
        return self.world.wait(count_children(self.tasks))["active"]  # type: ignore[no-any-return]


@pytest.fixture
def case(world: World) -> Case:
    return Case(world)


def test_outcomes_come_in_the_order_of_the_items(case: Case) -> None:
    outcomes = case.read([3.0, 1.0, 2.0])
    assert [(outcome.item, outcome.get()) for outcome in outcomes] == [
        (3.0, 30.0), (1.0, 10.0), (2.0, 20.0),
    ]  # fmt: skip
    assert case.world.now_s() == pytest.approx(3.0, abs=0.01)


def test_unordered_outcomes_come_as_they_are_ready(case: Case) -> None:
    assert [outcome.item for outcome in case.read([3.0, 1.0, 2.0], ordered=False)] == [1, 2, 3]


def test_no_items_give_no_outcomes(case: Case) -> None:
    assert case.read([]) == []
    assert case.read([], ordered=False) == []


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("width", [1, 3])
def test_no_more_tasks_run_at_once_than_asked_for(case: Case, width: int, ordered: bool) -> None:
    outcomes = case.read([1.0] * 9, max_concurrency=width, ordered=ordered)
    assert len(outcomes) == 9
    assert case.work.most == width
    assert case.world.now_s() == pytest.approx(9 / width, abs=0.1)


def test_items_are_taken_as_tasks_are_free(case: Case) -> None:
    taken: list[int] = []

    def source() -> Iterator[float]:
        for number in count():
            taken.append(number)
            yield 1.0

    assert len(case.read(source(), most=4, max_concurrency=2)) == 4
    assert len(taken) <= 6


@pytest.mark.parametrize("ordered", [True, False])
def test_a_crash_is_one_outcome_among_others(case: Case, ordered: bool) -> None:
    outcomes = case.read([1.0, -2.0, 3.0], ordered=ordered)
    assert [outcome.value for outcome in outcomes] == [10.0, None, 30.0]
    assert [type(outcome.error) for outcome in outcomes] == [type(None), CallExit, type(None)]
    with pytest.raises(CallExit, match="LookupError"):
        outcomes[1].get()
    assert case.reader.is_alive()


def test_each_task_has_a_limit_of_its_own(case: Case) -> None:
    outcomes = case.read([1.0, 100.0, 1.0], max_concurrency=1, timeout_s=2.0)
    assert [type(outcome.error) for outcome in outcomes] == [type(None), CallTimeout, type(None)]
    assert case.world.now_s() == pytest.approx(4.0, abs=0.1)
    assert case.active() == 0


def test_what_the_supervisor_refuses_is_an_outcome(world: World) -> None:
    case = Case(world, max_tasks=1)
    outcomes = case.read([1.0, 1.0], max_concurrency=2)
    assert [type(outcome.error) for outcome in outcomes] == [type(None), TaskOverload]


@pytest.mark.parametrize("reason", ["kill", "shutdown", "boom"])
def test_the_tasks_end_with_their_reader(case: Case, reason: str) -> None:
    case.ask([100.0] * 3, max_concurrency=2)
    case.world.settle()
    assert case.active() == 2
    case.reader.exit(reason)
    case.world.settle()
    assert case.active() == 0
    assert case.work.running == 0
    assert case.world.supervisor_reports() == []


def test_a_stream_that_is_closed_ends_its_tasks(case: Case) -> None:
    outcomes = case.read([1.0, 100.0, 100.0], most=1, max_concurrency=3)
    assert [outcome.item for outcome in outcomes] == [1.0]
    case.world.settle()
    assert case.active() == 0
    assert case.world.now_s() < 2


def test_a_stream_closed_before_its_tasks_began_runs_none(case: Case) -> None:
    def open_and_close() -> Any:
        stream = stream_tasks(case.tasks, case.work, [1.0])
        stream._fill()
        stream.close()
        return stream, -1

    assert case.world.wait(case.reader.call(open_and_close, None)) == []
    case.world.advance(5.0)
    assert case.work.most == 0


def test_a_reader_that_has_ended_leaves_no_watch_behind(case: Case) -> None:
    case.read([1.0] * 5)
    assert not case.reader._process.extras.watchers


@pytest.mark.parametrize("width", [0, -3])
def test_a_stream_without_width_is_refused(case: Case, width: int) -> None:
    with pytest.raises(ValueError, match=f"max_concurrency={width} must be at least 1"):
        stream_tasks(case.tasks, case.work, [1.0], max_concurrency=width)


def test_a_stream_is_read_in_a_handler(case: Case) -> None:
    with pytest.raises(SupervisorsError, match="read it in a handler"):
        stream_tasks(case.tasks, case.work, [1.0])
