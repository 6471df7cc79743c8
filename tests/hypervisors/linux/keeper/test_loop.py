from __future__ import annotations

import os
import signal
from functools import partial
from typing import TYPE_CHECKING

import pytest

from fifo.hypervisors.linux.keeper.loop import READ, Loop

if TYPE_CHECKING:
    from collections.abc import Iterator


class World:
    """A loop whose clock a test moves, and what it logged."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.logged: list[str] = []
        self.loop = Loop(lambda: self.now_s, self.logged.append)


@pytest.fixture
def world() -> Iterator[World]:
    """Give a loop; the process's signal handling is as before at the end."""
    before = {number: signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGUSR2)}
    yield World()
    wake = signal.set_wakeup_fd(-1)
    os.close(wake)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_timers_fire_in_order_of_time_then_of_making(world: World) -> None:
    fired: list[str] = []
    for name, delay_s in (("c", 2.0), ("a", 1.0), ("b", 1.0)):
        world.loop.after(delay_s, partial(fired.append, name))
    world.loop.after(1.5, lambda: fired.append("never")).cancel()
    world.loop.after(3.0, world.loop.stop)
    world.now_s = 5.0
    world.loop.run()
    assert fired == ["a", "b", "c"]


def test_a_signal_calls_whoever_waits_for_it(world: World) -> None:
    seen: list[int] = []
    world.loop.on_signal(signal.SIGUSR2, lambda: seen.append(2))
    world.loop.on_signal(signal.SIGUSR1, world.loop.stop)
    for number in (signal.SIGUSR2, signal.SIGUSR1):
        os.kill(os.getpid(), number)
    world.loop.run()
    assert seen == [2]


def test_a_callback_that_raises_is_logged_and_its_descriptor_left_alone(
    world: World, pipe: tuple[int, int]
) -> None:
    reader, writer = pipe

    def fail(_: int) -> None:
        raise RuntimeError("broken console")

    world.loop.watch(reader, READ, fail)
    os.write(writer, b"x")
    world.loop.after(0.0, lambda: world.loop.after(0.0, world.loop.stop))
    world.loop.run()
    assert len(world.logged) == 1
    assert "broken console" in world.logged[0]


def test_a_descriptor_that_was_closed_in_the_same_turn_is_not_called(world: World) -> None:
    pairs = [os.pipe(), os.pipe()]
    called: list[int] = []

    def close_the_other(mine: int, _: int) -> None:
        called.append(mine)
        for reader, _ in pairs:
            world.loop.forget(reader)
        world.loop.stop()

    for number, (reader, writer) in enumerate(pairs):
        world.loop.watch(reader, READ, partial(close_the_other, number))
        os.write(writer, b"x")
    world.loop.run()
    assert len(called) == 1
    for ends in pairs:
        for end in ends:
            os.close(end)
