"""When the asyncio host gives its loop back: after so many turns, or as soon as time is up."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from supervisors import GenServer, SimulatedHost, limits
from tests.supervisors.world import AsyncioWorld

if TYPE_CHECKING:
    from collections.abc import Iterator

SLOW_S = limits.SLICE_S / 2
FAST_S = 1e-6
COLD = limits.MESSAGES_BEFORE_CLOCK_CHECK


@pytest.fixture
def looped() -> Iterator[AsyncioWorld]:
    """A node in an asyncio loop whose clock only the handlers move."""
    made = AsyncioWorld()
    with made.node:
        yield made
    made.close()


class Busy(GenServer):
    """Takes as long as a cast says, on the world's clock, and notes in which slice it did."""

    def init(self, world: AsyncioWorld, slices: list[int]) -> None:
        self.clock = world.clock
        self.slices = slices

    def handle_cast(self, duration_s: float) -> None:
        self.clock.now_s += duration_s
        self.slices.append(self.node.shard.slices)


def slices(world: AsyncioWorld, processes: int, messages: int, duration_s: float) -> list[int]:
    """Give how many messages each slice took that came to processes all at once."""
    handled: list[int] = []
    refs = [world.start(Busy, world, handled) for _ in range(processes)]

    def send() -> None:
        for ref in refs:
            for _ in range(messages):
                ref.cast(duration_s)

    world.on_shard(send)
    world.settle()
    assert len(handled) == processes * messages
    return list(Counter(handled).values())


@pytest.mark.parametrize(("processes", "messages"), [(1, 64), (64, 1), (8, 8)])
def test_slow_messages_keep_the_loop_waiting_for_a_slice_and_no_longer(
    looped: AsyncioWorld, processes: int, messages: int
) -> None:
    first, *others = slices(looped, processes, messages, SLOW_S)
    assert first <= COLD
    assert max(others) <= limits.SLICE_S / SLOW_S
    assert max(slices(looped, processes, messages, SLOW_S)) <= limits.SLICE_S / SLOW_S


def test_fast_messages_are_not_torn_apart(looped: AsyncioWorld) -> None:
    slices(looped, 1, 64, SLOW_S)
    assert slices(looped, 4, 64, FAST_S) == [4 * 64]


def test_a_process_with_a_long_mailbox_is_not_cut_short_on_other_hosts() -> None:
    host = SimulatedHost()
    with host.node() as node:
        handled: list[int] = []

        class Slow(GenServer):
            def handle_cast(self, message: int) -> None:
                host.now_s += 1
                handled.append(message)

        ref = Slow.start()
        for number in range(limits.MESSAGES_PER_TURN):
            ref.cast(number)
        node.shard.run_slice(1)
    assert handled == list(range(limits.MESSAGES_PER_TURN))
