"""The clean-up of a handler whose process is ended while it awaits: it alone fails, if it does."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from supervisors import ChildSpec, Flags, GenServer, Supervisor, limits, terminate_child
from supervisors.errors import CallExit, WouldDeadlock
from tests.supervisors.probe import Probe, do, exit_reason, seen

if TYPE_CHECKING:
    from collections.abc import Callable

    from supervisors import Ref
    from tests.supervisors.world import World


class Careful(GenServer):
    """Awaits in a cast, and cleans up by what the cast says when it is ended meanwhile."""

    def init(self) -> None:
        self.did: list[Any] = []

    async def handle_cast(self, clean_up: Callable[[Any], Any]) -> None:
        try:
            await self.sleep(100)
        finally:
            self.did.append("began")
            waiting = clean_up(self)
            if waiting is not None:
                await waiting
            self.did.append("done")

    async def handle_call(self, clean_up: Callable[[Any], Any], caller: Any) -> None:
        await self.handle_cast(clean_up)


def fail(_: Any) -> None:
    raise OSError("the disk is full")


async def wait_twice(self: Any) -> None:
    try:
        await self.sleep(1)
    finally:
        await self.sleep(1)


CLEAN_UPS: dict[str, Callable[[Any], Any]] = {
    "raises": fail,
    "awaits": lambda self: self.sleep(1),
    "awaits twice": wait_twice,
}


def crashes(world: World) -> list[str]:
    """Give the errors of the crash reports so far."""
    return [type(one.reason.error).__name__ for one in world.reports if one.kind == "crash"]


def parked(world: World, clean_up: Callable[[Any], Any], **options: Any) -> Ref[Any]:
    """Start a server whose handler awaits."""
    ref = world.start(Careful, **options)
    ref.cast(clean_up)
    world.settle()
    return ref


@pytest.mark.parametrize("kind", CLEAN_UPS)
def test_a_clean_up_that_fails_or_awaits_is_reported_and_everyone_else_is_told(
    world: World, kind: str
) -> None:
    watcher, linked = world.start(Probe), world.start(Probe, trap=True)
    ref = world.start(Careful)
    serving, waiting = ref.call(CLEAN_UPS[kind], None), ref.call("waits", None)
    do(world, watcher, lambda self: self.monitor(ref) and None)
    do(world, linked, lambda self: self.link(ref))
    world.settle()
    ref.kill()
    for call in (serving, waiting):
        with pytest.raises(CallExit) as caught:
            world.wait(call)
        assert caught.value.reason == "killed"
    assert exit_reason(world, ref) == "killed"
    assert [one.reason for one in seen(world, watcher)] == ["killed"]
    assert [one.reason for one in seen(world, linked)] == ["killed"]
    assert ref._process.did == ["began"]
    assert crashes(world) == ["OSError" if kind == "raises" else "SupervisorsError"]
    assert world.call(world.start(Probe), "still there") == "still there"


@pytest.mark.parametrize("kind", CLEAN_UPS)
def test_a_supervisor_stops_a_child_whose_clean_up_fails_and_goes_on(
    world: World, kind: str
) -> None:
    specs = [ChildSpec(name, (Careful,), name=name) for name in ("one", "other")]
    supervisor = world.start(Supervisor, Flags(), specs)
    one, other = world.node.address("one"), world.node.address("other")
    one.cast(CLEAN_UPS[kind])
    world.settle()
    world.wait(terminate_child(supervisor, "one"))
    assert exit_reason(world, one) == "shutdown"
    assert supervisor.is_alive()
    assert world.node.address("other") == other


def test_a_clean_up_that_awaits_in_a_loop_is_left(world: World) -> None:
    async def stubborn(self: Any) -> None:
        for _ in range(limits.CLEAN_UP_AWAITS):
            with suppress(GeneratorExit):
                await self.sleep(1)
        self.did.append("collected")  # as garbage, by nobody's turn

    ref = parked(world, stubborn)
    ref.kill()
    assert exit_reason(world, ref) == "killed"
    assert crashes(world) == ["SupervisorsError"]
    assert world.call(world.start(Probe), "still there") == "still there"


def test_a_dead_process_may_clean_up_with_whatever_it_has(world: World) -> None:
    """By messages, to its killer too; it cannot be told of anything any more."""
    killer, other = world.start(Probe), world.start(Probe)

    def clean_up(self: Any) -> None:
        killer.cast("bye")
        self.did.append(killer.call("from the grave"))
        self.monitor(other)
        self.link(other)
        self.unlink(other)
        self.demonitor(self.monitor("nobody"))
        self.send_after(1, "never")
        other.exit("with me")
        with pytest.raises(WouldDeadlock):
            self.ref.call("myself")

    ref = parked(world, clean_up)
    do(world, killer, lambda _: ref.kill())
    assert exit_reason(world, ref) == "killed"
    assert exit_reason(world, other) == "with me"
    assert seen(world, killer) == ["bye"]
    began, answer, done = ref._process.did
    assert (began, done) == ("began", "done")
    assert world.wait(answer) == "from the grave"
    world.advance(2)
    assert crashes(world) == []
    assert not world.node.dead_letters.causes


def test_who_is_ended_by_a_clean_up_that_he_caused_ends_after_his_turn(world: World) -> None:
    killer = world.start(Probe)
    ref = parked(world, lambda _: killer.kill())

    def kill(self: Probe) -> str:
        ref.kill()
        return "alive until the end of the turn"

    waiting = killer.call(kill, None)
    with pytest.raises(CallExit) as caught:
        world.wait(waiting)
    assert caught.value.reason == "killed"
    assert exit_reason(world, killer) == exit_reason(world, ref) == "killed"


def test_a_reason_that_is_nothing_is_kept_whatever_the_clean_up_wants(world: World) -> None:
    ref = parked(world, lambda self: self.node.groups.join("too late", self))
    ref.exit(None)
    world.settle()
    assert not ref.is_alive()
    assert ref.exit_reason is None
    assert world.node.groups.members("too late") == []


def test_a_chain_of_links_ends_whole_whatever_one_of_them_does(world: World) -> None:
    refs = [world.start(Careful) for _ in range(5)]
    for one, next_one in pairwise(refs):
        world.on_shard(partial(one._process.link, next_one))
    for one in refs[1:]:
        one.cast(fail)
    world.settle()
    refs[0].exit("boom")
    world.settle()
    assert [exit_reason(world, ref) for ref in refs] == ["boom"] * 5
    assert crashes(world) == ["OSError"] * 4
