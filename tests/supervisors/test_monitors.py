"""Monitors, and the order of what one process sends another, as OTP has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from supervisors import Down, Exit, Stop
from tests.supervisors.probe import REASONS, Probe, do, end, seen

if TYPE_CHECKING:
    from supervisors import Ref
    from tests.supervisors.world import World


def monitor(world: World, watcher: Ref[Any], target: Any) -> Any:
    """Let a probe monitor a ref or a name."""
    return do(world, watcher, lambda self: self.monitor(target))


@pytest.mark.parametrize("reason", [*REASONS, "kill"], ids=str)
def test_a_monitor_tells_the_true_reason_once(world: World, reason: Any) -> None:
    watcher, target = world.start(Probe), world.start(Probe)
    made = monitor(world, watcher, target)
    end(world, target, reason)
    assert seen(world, watcher) == [Down(made, target, reason)]
    assert watcher.is_alive()


def test_a_monitor_is_one_way(world: World) -> None:
    watcher, target = world.start(Probe), world.start(Probe)
    monitor(world, watcher, target)
    end(world, watcher, "boom")
    assert target.is_alive()
    assert seen(world, target) == []


def test_each_of_several_monitors_has_its_own_down(world: World) -> None:
    watcher, target = world.start(Probe), world.start(Probe)
    monitors = [monitor(world, watcher, target) for _ in range(3)]
    do(world, watcher, lambda self: self.demonitor(monitors[1]))
    target.kill()
    assert seen(world, watcher) == [Down(monitors[n], target, "killed") for n in (0, 2)]


def test_a_monitor_of_a_dead_process_or_an_unknown_name_tells_noproc_at_once(
    world: World,
) -> None:
    watcher, dead = world.start(Probe), world.start(Probe)
    end(world, dead)
    by_ref = monitor(world, watcher, dead)
    by_name = monitor(world, watcher, "nobody")
    assert seen(world, watcher) == [
        Down(by_ref, dead, "noproc"),
        Down(by_name, "nobody", "noproc"),
    ]


def test_a_monitor_by_name_tells_the_name(world: World) -> None:
    watcher, target = world.start(Probe), world.start(Probe, name="somebody")
    made = monitor(world, watcher, "somebody")
    end(world, target, "boom")
    assert seen(world, watcher) == [Down(made, "somebody", "boom")]


def test_demonitor_leaves_a_down_that_waits_unless_it_is_flushed(world: World) -> None:
    for flush in (False, True):
        watcher, target = world.start(Probe), world.start(Probe)
        first, second = (monitor(world, watcher, target) for _ in range(2))

        async def let_go(self: Probe, made: Any = first, flush: bool = flush) -> None:
            await self.sleep(10)
            self.demonitor(made, flush=flush)

        watcher.cast(let_go)
        world.settle()
        target.kill()
        world.advance(10)
        kept = [second] if flush else [first, second]
        assert seen(world, watcher) == [Down(one, target, "killed") for one in kept]


def test_demonitor_is_harmless_when_the_down_was_handled(world: World) -> None:
    watcher, target = world.start(Probe), world.start(Probe)
    made = monitor(world, watcher, target)
    target.kill()
    assert len(seen(world, watcher)) == 1
    do(world, watcher, lambda self: self.demonitor(made, flush=True))
    assert watcher.is_alive()


def test_a_process_that_monitors_itself_leaves_nothing_behind(world: World) -> None:
    ref = world.start(Probe)
    monitor(world, ref, ref)
    ref.kill()
    world.settle()
    assert not ref.is_alive()
    assert not world.node.dead_letters.causes


def test_all_that_one_process_sends_another_arrives_in_the_order_sent(world: World) -> None:
    sender, target = world.start(Probe), world.start(Probe, trap=True)
    monitor(world, target, sender)

    def burst(self: Probe) -> Stop:
        target.cast(1)
        target.exit("one")
        target.send(2)
        self.link(target)
        target.exit("two")
        target.cast(3)
        return Stop("boom")

    sender.cast(burst)
    world.settle()
    got = seen(world, target)
    assert got[:5] == [1, Exit(sender, "one"), 2, Exit(sender, "two"), 3]
    assert {type(one) for one in got[5:]} == {Exit, Down}
    assert len(got) == 7
