"""Awaiting anything for no longer than so many seconds."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from supervisors import Future, GenServer
from supervisors.deadline import within
from supervisors.errors import CallTimeout, SupervisorsError, WouldDeadlock

if TYPE_CHECKING:
    from tests.supervisors.world import World


class Does(GenServer):
    """Calls what it is sent with itself, and awaits it."""

    async def handle_call(self, message: Any, caller: Any) -> Any:
        return await message(self)


class Slow(GenServer):
    async def handle_call(self, message: Any, caller: Any) -> Any:
        await self.sleep(message)
        return message


def run(world: World, function: Any) -> Any:
    """Run a coroutine function in a handler and give what it returns."""
    return world.call(world.start(Does), function, None)


async def told(awaitable: Any) -> Any:
    """Give a result, or the type of the error."""
    try:
        return await awaitable
    except Exception as error:  # noqa: BLE001 - what was raised is the result
        return type(error)


@pytest.mark.parametrize(("takes_s", "limit_s"), [(1.0, 2.0), (2.0, 1.0)])
def test_a_call_is_awaited_until_the_deadline(world: World, takes_s: float, limit_s: float) -> None:
    slow = world.start(Slow)
    expected: Any = takes_s if takes_s < limit_s else CallTimeout
    assert run(world, lambda _: told(within(limit_s, slow.call(takes_s)))) == expected
    assert min(takes_s, limit_s) <= world.now_s() < min(takes_s, limit_s) + 0.5


def test_a_future_that_is_settled_already_is_had_at_once(world: World) -> None:
    future = Future[int]()
    future.set(3)
    assert run(world, lambda _: within(0.001, future)) == 3
    assert world.now_s() == 0


def test_a_mapped_future_has_a_deadline_as_well(world: World) -> None:
    slow = world.start(Slow)
    assert run(world, lambda _: told(within(2.0, slow.call(1.0).map(str)))) == "1.0"
    assert run(world, lambda _: told(within(2.0, slow.call(3.0).map(str)))) is CallTimeout


def test_an_error_before_the_deadline_is_raised(world: World) -> None:
    future = Future[int]()
    future.set_exception((LookupError, LookupError("lost"), None))
    assert run(world, lambda _: told(within(1.0, future))) is LookupError


def test_the_deadline_covers_a_coroutine_as_a_whole(world: World) -> None:
    steps: list[int] = []

    async def three_sleeps(does: Does) -> str:
        for step in range(3):
            await does.sleep(1.0)
            steps.append(step)
        return "slept"

    assert run(world, lambda does: told(within(3.5, three_sleeps(does)))) == "slept"
    assert run(world, lambda does: told(within(2.5, three_sleeps(does)))) is CallTimeout
    assert steps == [0, 1, 2, 0, 1]


def test_a_coroutine_meets_the_deadline_where_it_stands_and_may_clean_up(world: World) -> None:
    log: list[str] = []

    async def careful(does: Does) -> str:
        try:
            await does.sleep(9.0)
        except CallTimeout:
            log.append("timeout")
            await does.sleep(0.5)
            return "recovered"
        finally:
            log.append("cleaned")
        return "slept"

    assert run(world, lambda does: within(1.0, careful(does))) == "recovered"
    assert log == ["timeout", "cleaned"]


def test_deadlines_nest_and_the_shorter_one_counts(world: World) -> None:
    slow = world.start(Slow)
    assert run(world, lambda _: told(within(9.0, within(1.0, slow.call(5.0))))) is CallTimeout
    assert world.now_s() < 2
    assert run(world, lambda _: told(within(1.0, within(9.0, slow.call(9.0))))) is CallTimeout


def test_the_future_itself_is_left_alone(world: World) -> None:
    future = Future[int]()
    assert run(world, lambda _: told(within(1.0, future))) is CallTimeout
    future.set(3)
    assert run(world, lambda _: told(within(1.0, future))) == 3


def test_giving_way_again_and_again_meets_the_deadline(world: World) -> None:
    class GiveWay:
        def __await__(self) -> Any:
            yield

    async def forever(does: Does) -> None:
        await does.sleep(2.0)
        while True:
            await GiveWay()

    assert run(world, lambda does: told(within(1.0, forever(does)))) is CallTimeout


def test_a_process_that_is_killed_meanwhile_closes_the_coroutine(world: World) -> None:
    log: list[str] = []

    async def careful(does: Does) -> None:
        try:
            await does.sleep(9.0)
        finally:
            log.append("closed")

    ref = world.start(Does)
    ref.call(lambda does: within(5.0, careful(does)), None)
    world.settle()
    ref.kill()
    world.settle()
    assert log == ["closed"]


def test_a_wait_for_oneself_is_still_refused(world: World) -> None:
    async def ask_myself(does: Does) -> Any:
        return await within(1.0, does.ref.ask("x", block=False))

    assert run(world, lambda does: told(ask_myself(does))) is WouldDeadlock


@pytest.mark.parametrize("wrong", [3, None, print, "call"])
def test_what_cannot_be_awaited_is_refused_at_once(wrong: Any) -> None:
    with pytest.raises(TypeError, match="cannot be awaited"):
        within(1.0, wrong)


def test_outside_of_a_handler_a_deadline_has_no_clock() -> None:
    async def outside() -> None:
        await within(1.0, Future[int]())

    with pytest.raises(SupervisorsError, match="in a handler"):
        asyncio.run(outside())


class Yields:
    """An awaitable that yields something nobody knows."""

    def __await__(self) -> Any:
        return (yield "text")


def test_something_unknown_is_refused_at_the_await(world: World) -> None:
    async def wait() -> str:
        try:
            await Yields()
        except SupervisorsError as error:
            return str(error)
        return "waited"

    assert "'text'" in run(world, lambda _: within(1.0, wait()))


def test_an_asyncio_future_is_cancelled_at_the_deadline(world: World) -> None:
    if world.kind != "asyncio":
        assert world.kind in {"simulated", "thread"}  # There it cannot be awaited at all.
        return
    made: list[Any] = []

    async def wait(_: Any) -> Any:
        future = world.loop.create_future()  # type: ignore[attr-defined]
        made.append(future)
        return await told(within(1.0, future))

    assert run(world, wait) is CallTimeout
    assert made[0].cancelled()
