"""One loop for all tests of the API: gRPC's own threads belong to the loop that first used it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from tests.api.stage import serving

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator

    from fifo.hypervisors.simulated.settings import HostSettings
    from tests.api.stage import Stage

    Scene = Callable[[Stage], Awaitable[None]]


@pytest.fixture(scope="session")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as made:
        yield made


@pytest.fixture
def run(runner: asyncio.Runner) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Run a coroutine on the loop of all tests."""
    return runner.run


@pytest.fixture
def play(runner: asyncio.Runner) -> Callable[..., None]:
    """Play a scene against a node of its own, for at most half a minute."""

    def played(scene: Scene, host: HostSettings | None = None, **settings: Any) -> None:
        async def whole() -> None:
            async with serving(host, **settings) as stage, asyncio.timeout(30):
                await scene(stage)

        runner.run(whole())

    return played
