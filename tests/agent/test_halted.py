"""A guest that a full disk of its host holds up says so, once each way, and goes on by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fifo.agent import limits, names
from fifo.agent.messages import Halted
from fifo.agent.telling import GOES_ON, HALTED
from fifo.hypervisors.simulated.driver import SimulatedDriver
from tests.agent.world import HOST, AgentWorld, newer, spec_of

if TYPE_CHECKING:
    from fifo.hypervisors.driver import Driver, Stats
    from fifo.model.instance import InstanceSpec

LASTS_S = limits.SAMPLES_MISSED * (limits.SAMPLE_S + limits.STATS_DEADLINE_S)


class CrampedWorld(AgentWorld):
    """A world whose host has no room on its disk for what some guests write."""

    cramped: frozenset[str] = frozenset()

    def driver(self) -> Driver:
        """Give one that measures with that."""
        world = self

        class Cramped(SimulatedDriver):
            async def stats(self) -> tuple[Stats, ...]:
                return tuple(
                    each._replace(halted=each.uid in world.cramped)
                    for each in await super().stats()
                )

        return Cramped(self.host)


@pytest.fixture
def world() -> CrampedWorld:
    made = CrampedWorld()
    made.attach()
    return made


def halted(world: CrampedWorld) -> InstanceSpec:
    """Have a guest run, and then be halted."""
    spec, beside = spec_of(1), spec_of(2)
    world.realise_all([spec, beside])
    for each in (spec, beside):
        world.await_state(each.uid, "running")
    world.cramped = frozenset({spec.uid})
    world.until(lambda: world.status(spec.uid).reason)
    assert world.status(beside.uid).reason == ""
    return spec


def story(world: CrampedWorld, spec: InstanceSpec) -> list[str]:
    told = (entry.event for entry in world.reported())
    return [each.text for each in told if each and each.kind == "halted" and each.uid == spec.uid]


def test_what_is_halted_says_so_while_it_lasts_and_once_in_its_story(world: CrampedWorld) -> None:
    spec = halted(world)
    world.time.advance(3 * LASTS_S)
    status = world.status(spec.uid)
    assert (status.state, status.reason) == ("running", HALTED)
    assert story(world, spec) == [HALTED]
    world.cramped = frozenset()
    world.until(lambda: not world.status(spec.uid).reason, 2 * limits.SAMPLE_S)
    world.time.advance(3 * LASTS_S)
    assert story(world, spec) == [HALTED, GOES_ON]


def test_an_actor_that_begins_anew_tells_it_no_second_time(world: CrampedWorld) -> None:
    spec = halted(world)
    world.kill_if_there(names.instance(HOST, spec.uid))
    world.await_state(spec.uid, "running")
    assert world.status(spec.uid).reason == HALTED
    world.time.advance(3 * LASTS_S)
    assert story(world, spec) == [HALTED]


def test_a_word_that_is_not_said_again_counts_no_more(world: CrampedWorld) -> None:
    spec = halted(world)
    # Who measures has begun anew, and knows nothing of it.
    world.cramped = frozenset()
    world.kill_if_there(names.sampling(HOST))
    world.time.advance(1.0)
    world.attach()
    world.time.advance(2 * LASTS_S)
    assert world.status(spec.uid).reason == ""
    assert story(world, spec)[-1] == GOES_ON


def test_what_was_halted_and_is_stopped_has_no_such_reason(world: CrampedWorld) -> None:
    spec = halted(world)
    actor = world.actor(spec.uid)
    assert actor is not None
    world.realise(newer(spec, wanted="stopped"))
    world.await_state(spec.uid, "stopped")
    actor.send(Halted(halted=True))
    world.time.advance(2 * LASTS_S)
    assert world.status(spec.uid).reason == ""
    assert story(world, spec) == [HALTED]
