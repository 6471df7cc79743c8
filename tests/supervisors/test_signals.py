"""Exit signals and links: OTP's rules, rule by rule."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from supervisors import Exit
from tests.supervisors.probe import REASONS, Probe, do, end, exit_reason, link, seen, unlink

if TYPE_CHECKING:
    from supervisors import Ref
    from tests.supervisors.world import World


def send_exit(world: World, sender: Ref[Any], target: Ref[Any], reason: Any) -> None:
    """Let one probe send an exit signal to another."""
    do(world, sender, lambda _: target.exit(reason))
    world.settle()


# -- exit/2


@pytest.mark.parametrize("reason", REASONS, ids=str)
def test_a_signal_to_a_process_that_traps_becomes_a_message(world: World, reason: Any) -> None:
    sender, target = world.start(Probe), world.start(Probe, trap=True)
    send_exit(world, sender, target, reason)
    assert seen(world, target) == [Exit(sender, reason)]
    assert target.is_alive()


def test_kill_cannot_be_trapped_and_the_reason_is_killed(world: World) -> None:
    sender, target = world.start(Probe), world.start(Probe, trap=True)
    send_exit(world, sender, target, "kill")
    assert exit_reason(world, target) == "killed"
    assert target._process.seen == []


@pytest.mark.parametrize("reason", REASONS[1:], ids=str)
def test_a_signal_ends_a_process_that_does_not_trap(world: World, reason: Any) -> None:
    sender, target = world.start(Probe), world.start(Probe)
    send_exit(world, sender, target, reason)
    assert exit_reason(world, target) == reason


def test_normal_from_another_is_ignored_by_a_process_that_does_not_trap(world: World) -> None:
    sender, target = world.start(Probe), world.start(Probe)
    send_exit(world, sender, target, "normal")
    assert target.is_alive()
    assert seen(world, target) == []


def test_normal_from_itself_ends_a_process_that_does_not_trap(world: World) -> None:
    target = world.start(Probe)
    target.cast(lambda self: self.ref.exit("normal"))
    assert exit_reason(world, target) == "normal"


def test_normal_from_itself_is_a_message_to_a_process_that_traps(world: World) -> None:
    target = world.start(Probe, trap=True)
    target.cast(lambda self: self.ref.exit("normal"))
    assert seen(world, target) == [Exit(target, "normal")]


def test_a_signal_from_outside_of_all_processes_has_no_sender(world: World) -> None:
    target = world.start(Probe, trap=True)
    target.exit("boom")
    assert seen(world, target) == [Exit(None, "boom")]


def test_a_signal_to_a_dead_process_is_nothing(world: World) -> None:
    target = world.start(Probe)
    end(world, target, "first")
    target.exit("second")
    assert exit_reason(world, target) == "first"


def test_a_signal_ends_a_process_ahead_of_its_mailbox(world: World) -> None:
    target = world.start(Probe)

    def burst(_: Any) -> None:
        for number in range(5):
            target.cast(number)
        target.exit("boom")

    do(world, world.start(Probe), burst)
    assert exit_reason(world, target) == "boom"
    assert target._process.seen == []


def test_a_parked_process_is_killed_at_once_and_its_coroutine_unwound(world: World) -> None:
    unwound = []

    async def wait(self: Probe) -> None:
        try:
            await self.sleep(3600)
        finally:
            unwound.append(self)

    target = world.start(Probe, trap=True)
    target.cast(wait)
    world.settle()
    target.kill()
    assert exit_reason(world, target) == "killed"
    assert unwound == [target._process]
    assert world.now_s() == 0


def test_a_trapped_signal_waits_while_the_process_is_parked(world: World) -> None:
    target = world.start(Probe, trap=True)
    target.cast(lambda self: self.sleep(10))
    world.settle()
    target.exit("boom")
    assert seen(world, target) == []
    world.advance(10)
    assert seen(world, target) == [Exit(None, "boom")]


# -- links


def linked(world: World, *, trap: bool) -> tuple[Ref[Any], Ref[Any]]:
    """Start two probes linked to each other, of which the first traps exits or not."""
    first, second = world.start(Probe, trap=trap), world.start(Probe)
    link(world, first, second)
    return first, second


@pytest.mark.parametrize("reason", [*REASONS, "kill"], ids=str)
def test_a_link_tells_the_one_that_traps_why_the_other_ended(world: World, reason: Any) -> None:
    trapping, other = linked(world, trap=True)
    end(world, other, reason)
    assert seen(world, trapping) == [Exit(other, reason)]
    assert trapping.is_alive()


@pytest.mark.parametrize("reason", REASONS[1:], ids=str)
def test_a_link_ends_the_one_that_does_not_trap_for_the_same_reason(
    world: World, reason: Any
) -> None:
    first, second = linked(world, trap=False)
    end(world, first, reason)
    assert exit_reason(world, second) == reason


def test_a_normal_end_does_not_end_a_linked_process(world: World) -> None:
    first, second = linked(world, trap=False)
    end(world, first, "normal")
    assert second.is_alive()


def test_links_of_a_killed_process_see_killed_and_may_trap_it(world: World) -> None:
    trapping, victim = linked(world, trap=True)
    other = world.start(Probe)
    link(world, victim, other)
    victim.kill()
    assert seen(world, trapping) == [Exit(victim, "killed")]
    assert exit_reason(world, other) == "killed"


def test_links_are_idempotent(world: World) -> None:
    trapping, other = linked(world, trap=True)
    for _ in range(3):
        link(world, trapping, other)
        link(world, other, trapping)
    end(world, other, "boom")
    assert seen(world, trapping) == [Exit(other, "boom")]
    trapping, other = linked(world, trap=True)
    link(world, trapping, other)
    unlink(world, trapping, other)
    end(world, other, "boom")
    assert seen(world, trapping) == []


@pytest.mark.parametrize("unlinking", [0, 1])
def test_either_side_can_undo_a_link_for_both(world: World, unlinking: int) -> None:
    for ending in (0, 1):
        pair = linked(world, trap=False)
        unlink(world, pair[unlinking], pair[1 - unlinking])
        end(world, pair[ending], "boom")
        assert pair[1 - ending].is_alive()


def test_unlink_drops_an_exit_that_waits_in_the_mailbox(world: World) -> None:
    trapping, other = linked(world, trap=True)
    third = world.start(Probe)
    link(world, trapping, third)

    async def unlink_late(self: Probe) -> None:
        await self.sleep(10)
        self.unlink(other)

    trapping.cast(unlink_late)
    world.settle()
    end(world, other, "boom")
    end(world, third, "bang")
    world.advance(10)
    assert seen(world, trapping) == [Exit(third, "bang")]


def test_linking_to_a_dead_process_sends_noproc(world: World) -> None:
    dead = world.start(Probe)
    end(world, dead)
    trapping, plain = world.start(Probe, trap=True), world.start(Probe)
    link(world, trapping, dead)
    assert seen(world, trapping) == [Exit(dead, "noproc")]
    plain.cast(lambda self: self.link(dead))
    assert exit_reason(world, plain) == "noproc"


def test_linking_to_itself_is_nothing(world: World) -> None:
    ref = world.start(Probe, trap=True)
    do(world, ref, lambda self: self.link(self.ref))
    end(world, ref, "boom")
    assert ref._process.seen == []


def test_a_chain_of_ten_thousand_links_ends_as_one(world: World) -> None:
    chain = [world.node.start(Probe) for _ in range(10_000)]
    refs = [world.wait(one) for one in chain]

    def tie() -> None:
        for one, other in pairwise(refs):
            one._process.link(other)

    world.on_shard(tie)
    refs[5_000].exit("boom")
    world.settle()
    assert {ref._process.exit_reason for ref in refs} == {"boom"}


def test_a_ring_of_links_with_one_that_traps_leaves_that_one(world: World) -> None:
    ring = [world.start(Probe, trap=number == 0) for number in range(10)]
    for number, ref in enumerate(ring):
        link(world, ref, ring[(number + 1) % len(ring)])
    ring[5].kill()
    world.settle()
    assert [ref.is_alive() for ref in ring] == [True] + [False] * 9
    assert {told.sender for told in seen(world, ring[0])} == {ring[1], ring[-1]}
