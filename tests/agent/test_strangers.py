"""The gateway: what the fleet's store does not know, and what the agent can tell it of that."""

from __future__ import annotations

import msgspec
import pytest

from fifo.hypervisors.driver import Wanted
from fifo.hypervisors.simulated.faults import Fault
from tests.agent.world import AgentWorld, claim_of, newer, spec_of, uid_of


@pytest.fixture
def world() -> AgentWorld:
    """An agent on a quick host, owned by a session."""
    made = AgentWorld()
    made.attach()
    return made


def test_a_foreign_instance_is_listed_and_left_alone() -> None:
    world = AgentWorld()
    spec = spec_of(5)
    guest = world.host.make(Wanted(spec, claim_of(spec)))
    guest.whole = True
    world.host.boot(guest, 1)
    world.crash_agent()
    world.start_agent()
    world.realise(spec_of(1))
    world.time.advance(60.0)
    assert world.attach().foreign == (spec.uid,)
    assert guest.running


def test_a_foreign_instance_that_is_realised_is_taken_over_as_it_is() -> None:
    world = AgentWorld()
    spec = spec_of(5)
    guest = world.host.make(Wanted(spec, claim_of(spec)))
    guest.whole = True
    world.host.boot(guest, 3)
    world.crash_agent()
    world.start_agent()
    world.realise(spec)
    world.await_state(spec.uid, "running")
    assert (guest.start_id, world.status(spec.uid).start_id) == (3, 3)
    assert world.attach().foreign == ()
    world.time.advance(1.0)
    told = [entry.event.kind for entry in world.reported() if entry.event is not None]
    assert "adopted" in told
    assert "started" not in told


def test_what_was_accepted_last_is_told_and_outlives_the_agent(world: AgentWorld) -> None:
    spec = newer(spec_of(1), alias="second")
    world.realise(spec_of(1))
    world.realise(spec)
    expected = {"spec": msgspec.to_builtins(spec), "claim": msgspec.to_builtins(claim_of(spec))}
    assert world.command("describe", spec.uid).value == expected
    world.crash_agent()
    world.start_agent()
    assert world.command("describe", spec.uid).value == expected


def test_what_nobody_accepted_or_what_goes_is_not_told(world: AgentWorld) -> None:
    unknown = world.command("describe", uid_of(9)).failure
    assert unknown is not None
    assert unknown.kind == "NotFound"
    world.realise(spec_of(1))
    world.await_state(uid_of(1), "running")
    world.host.faults.add(Fault("delete", "hang"))
    world.send("remove", uid_of(1))
    going = world.command("describe", uid_of(1)).failure
    assert going is not None
    assert (going.kind, going.what) == ("WrongState", "it is being removed")


def test_the_latest_status_is_reported_once_more_when_it_is_asked_for(world: AgentWorld) -> None:
    world.realise(spec_of(1))
    world.await_state(uid_of(1), "running")
    world.time.advance(1.0)
    told = world.reported()
    answer = {"operation": "op-again"}
    assert world.command("tell", uid_of(1), **answer).failure is None
    assert world.command("tell", uid_of(1), **answer).repeated
    (again,) = world.reported()[len(told) :]
    assert (again.status, again.event) == (world.status(uid_of(1)), None)
    assert again.sequence == told[-1].sequence + 1
    assert world.command("tell", uid_of(9)).failure is None
    assert world.reported()[-1] == again


def test_a_foreign_instance_that_was_removed_is_listed_no_more() -> None:
    world = AgentWorld()
    spec = spec_of(5)
    world.host.make(Wanted(spec, claim_of(spec))).whole = True
    world.crash_agent()
    world.start_agent()
    world.time.advance(1.0)
    assert world.attach().foreign == (spec.uid,)
    assert world.command("remove", spec.uid).failure is None
    assert world.attach().foreign == ()
