"""Awaiting what the host cannot await is refused at the await; giving way works everywhere."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from supervisors import AsyncioHost, Future, GenServer
from supervisors.errors import SupervisorsError, WouldDeadlock

if TYPE_CHECKING:
    from tests.supervisors.world import SimulatedWorld, World


class Does(GenServer):
    """Calls what it is sent with itself."""

    def handle_call(self, message: Any, caller: Any) -> Any:
        return message(self)


class Yields:
    """An awaitable that yields something nobody knows."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __await__(self) -> Any:
        return (yield self.value)


@pytest.mark.parametrize("foreign", ["text", 3, object()])
def test_awaiting_something_unknown_is_refused_at_the_await(world: World, foreign: Any) -> None:
    async def wait(_: Any) -> str:
        try:
            await Yields(foreign)
        except SupervisorsError as error:
            return str(error)
        return "waited"

    text = world.call(world.start(Does), wait)
    assert "awaited" in text
    assert repr(foreign) in text


def test_a_server_that_dies_of_awaiting_something_unknown_ends_in_order(world: World) -> None:
    ended: list[Any] = []

    class Careful(GenServer):
        async def handle_cast(self, message: Any) -> None:
            await Yields("text")

        def terminate(self, reason: Any) -> None:
            ended.append(reason)

    ref, bystander = world.start(Careful), world.start(Does)
    ref.cast("go")
    world.settle()
    assert not ref.is_alive()
    (reason,) = ended
    assert isinstance(reason.error, SupervisorsError)
    assert world.call(bystander, lambda _: "alive") == "alive"


def test_an_asyncio_future_can_be_awaited_under_the_asyncio_host_alone(world: World) -> None:
    loop = getattr(world, "loop", None) or asyncio.new_event_loop()

    async def wait(_: Any) -> Any:
        future = loop.create_future()
        if world.kind == "asyncio":
            loop.call_soon(future.set_result, "settled")
        try:
            return await future
        except SupervisorsError as error:
            return str(error)

    told = world.call(world.start(Does), wait, None)
    if world.kind == "asyncio":
        assert told == "settled"
    else:
        loop.close()
        assert f"under the {world.kind} host" in told
        assert "asyncio" in told or "futures of this library" in told


def test_giving_way_to_the_others_works_on_every_host(world: World) -> None:
    log: list[Any] = []

    class GivesWay(GenServer):
        async def init(self, number: int) -> None:
            await Yields(None)
            self.number = number

        async def handle_cast(self, message: Any) -> None:
            for step in range(3):
                log.append((self.number, step))
                await Yields(None)

        async def terminate(self, reason: Any) -> None:
            await Yields(None)
            log.append((self.number, "terminated"))

    refs = [world.start(GivesWay, number) for number in range(2)]

    def cast_both() -> None:
        for ref in refs:
            ref.cast("go")

    world.on_shard(cast_both)
    world.settle()
    assert log == [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2)]
    for ref in refs:
        ref.stop()
    assert sorted(log[6:]) == [(0, "terminated"), (1, "terminated")]


class Sleeper(GenServer):
    """Its init awaits: a second, or for ever."""

    async def init(self, *, for_ever: bool = False) -> None:
        await (Future() if for_ever else self.sleep(1))


def test_start_of_an_init_that_awaits_on_the_loops_own_thread_leaves_nothing_running() -> None:
    async def main() -> None:
        host = AsyncioHost()
        with host.node(log_reports=False) as node:
            with pytest.raises(WouldDeadlock, match="the init of Sleeper awaits"):
                Sleeper.start(name="sleeper")
            assert node.whereis("sleeper") is None
            assert not node.shard.processes
        host.close()

    asyncio.run(main())


def test_start_of_an_init_that_awaits_for_ever_leaves_nothing_running(
    simulated: SimulatedWorld,
) -> None:
    with pytest.raises(WouldDeadlock, match="the init of Sleeper awaits"):
        Sleeper.start(for_ever=True, name="sleeper")
    assert simulated.node.whereis("sleeper") is None
    assert not simulated.node.shard.processes
