"""An instance's actor, killed in each of its states: back from the host's truth in a second.

The table of `fifo.model.instance_states` is walked; a state that is missing here fails the walk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from fifo.hypervisors.simulated.faults import GUEST, Fault
from fifo.model.instance import RestartPolicy
from fifo.model.instance_states import STATES
from tests.agent.world import AgentWorld, newer, spec_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.hypervisors.driver import Observed
    from fifo.model.instance import InstanceSpec

SLOWLY = RestartPolicy(when="always", first_s=50.0)


class Road(NamedTuple):
    """How an instance is brought into a state, and what is wanted of it on the way."""

    faults: tuple[Fault, ...] = ()
    spec: InstanceSpec = spec_of(1)
    then: Callable[[AgentWorld, InstanceSpec], object] = lambda _world, _spec: None


def stop(world: AgentWorld, spec: InstanceSpec) -> None:
    """Want it stopped."""
    world.await_state(spec.uid, "running")
    world.realise(newer(spec, wanted="stopped"))


def remove(world: AgentWorld, spec: InstanceSpec) -> None:
    """Want it gone."""
    world.await_state(spec.uid, "running")
    world.send("remove", spec.uid)


ROADS = {
    "provisioning": (Road((Fault("create", "hang"),)),),
    "stopped": (
        Road(spec=spec_of(1, wanted="stopped")),
        Road(then=stop),
        Road((Fault(GUEST, "exit", after_s=1.0, code=0),)),
    ),
    "starting": (Road((Fault("start", "hang"),)),),
    "running": (Road(), Road(spec=spec_of(1, brand="kvm"))),
    "stopping": (
        Road((Fault("stop", "hang"),), then=stop),
        Road((Fault("stop", "deaf"),), then=stop),
    ),
    "backing_off": (Road((Fault(GUEST, "exit", after_s=1.0),), spec_of(1, restart=SLOWLY)),),
    "failed": (
        Road((Fault("create", "error"),)),
        Road((Fault("start", "error"),)),
        Road(
            (Fault(GUEST, "exit", after_s=0.1),),
            spec_of(1, restart=RestartPolicy(attempts=3)),
        ),
    ),
    "deleting": (Road((Fault("delete", "hang"),), then=remove),),
}
ON_RETURN = {
    "nothing": (),
    "a look that fails": (Fault("inspect", "error", times=2),),
    "a look whose answer is lost": (Fault("inspect", "lost_reply", times=1),),
    "an order that fails": tuple(
        Fault(verb, "error", times=1) for verb in ("stats", "images", "probe")
    ),
}
CASES = [
    pytest.param(state, road, faults, id=f"{state}-{number}-{fault}")
    for state, roads in ROADS.items()
    for number, road in enumerate(roads)
    for fault, faults in ON_RETURN.items()
]


def truth(world: AgentWorld) -> list[tuple[Observed, bool]]:
    """Say what is on the host."""
    return [(guest.observed(), guest.whole) for guest in world.host.guests.values()]


def test_every_state_has_a_road_to_it() -> None:
    assert set(ROADS) == set(STATES) - {"deleted"}, "of what is deleted there is no actor"


@pytest.mark.parametrize(("state", "road", "faults"), CASES)
def test_a_killed_actor_is_back_within_a_second_and_touches_nothing(
    state: str, road: Road, faults: tuple[Fault, ...]
) -> None:
    world = AgentWorld(seed=1)
    world.attach()
    for fault in road.faults:
        world.host.faults.add(fault)
    world.realise(road.spec)
    road.then(world, road.spec)
    uid = road.spec.uid
    world.await_state(uid, state)
    before, status = truth(world), world.status(uid)
    for fault in faults:
        world.host.faults.add(fault)
    former = world.actor(uid)
    assert former is not None
    former.kill()
    world.until(lambda: world.is_in(uid, state), patience_s=1.0)
    assert world.actor(uid) != former
    assert truth(world) == before
    after = world.status(uid)
    assert (after.state, after.generation) == (status.state, status.generation)
    # A start that nobody knows the outcome of has used its number up.
    assert after.start_id - status.start_id == (1 if state == "starting" else 0)
    world.time.advance(1.0)
    assert truth(world) == before or state == "stopping"
    kinds = [entry.event.kind for entry in world.reported() if entry.event is not None]
    assert "actor_restarted" in kinds
    assert world.crashes() == []


@pytest.mark.parametrize("state", sorted(ROADS))
def test_the_whole_agent_comes_back_the_same(state: str) -> None:
    road = ROADS[state][0]
    world = AgentWorld(seed=2)
    for fault in road.faults:
        world.host.faults.add(fault)
    world.realise(road.spec)
    road.then(world, road.spec)
    uid = road.spec.uid
    world.await_state(uid, state)
    before = truth(world)
    world.crash_agent()
    world.start_agent()
    world.until(lambda: world.is_in(uid, state), patience_s=1.0)
    assert truth(world) == before
    assert world.crashes() == []


@pytest.mark.parametrize("state", sorted(ROADS))
def test_what_hung_goes_on_when_the_actor_was_killed_meanwhile(state: str) -> None:
    road = ROADS[state][0]
    world = AgentWorld(seed=3)
    for fault in road.faults:
        world.host.faults.add(fault._replace(times=1) if fault.kind == "hang" else fault)
    world.realise(road.spec)
    road.then(world, road.spec)
    uid = road.spec.uid
    world.await_state(uid, state)
    actor = world.actor(uid)
    assert actor is not None
    actor.kill()
    ends = {"provisioning": "running", "starting": "running", "stopping": "stopped"}
    if state == "deleting":
        world.until(lambda: world.actor(uid) is None and not world.host.guests, 1_000.0, 1.0)
        return
    world.until(lambda: world.is_in(uid, ends.get(state, state)), 1_000.0, 1.0)
    guest = world.host.guests.get(uid)
    assert guest is None or guest.start_id <= 3
    assert world.crashes() == []
