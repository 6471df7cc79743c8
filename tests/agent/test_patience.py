"""How long a guest that is asked to stop may go on: what a caller said, never more, and only once.

The guests of these tests are deaf: they go on until they are forced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fifo.hypervisors.simulated.faults import Fault
from fifo.model.instance import StopPatience
from tests.agent.world import AgentWorld, newer, spec_of

if TYPE_CHECKING:
    from fifo.model.instance import InstanceSpec

DEAF = Fault("stop", "deaf")
USUAL_S = 60.0


@pytest.fixture
def world() -> AgentWorld:
    """An agent whose guests do not listen."""
    made = AgentWorld()
    made.attach()
    made.host.faults.add(DEAF)
    return made


def running(world: AgentWorld, number: int = 1) -> InstanceSpec:
    """Have a zone run."""
    spec = spec_of(number)
    world.realise(spec)
    world.await_state(spec.uid, "running")
    return spec


def asked(spec: InstanceSpec, seconds: float | None, **changes: Any) -> InstanceSpec:
    """Make the next generation, with what a caller says of its stop."""
    generation = spec.generation + 1
    own = None if seconds is None else StopPatience(generation=generation, seconds=seconds)
    return newer(spec, patience=own, **{"wanted": "stopped", **changes})


def stops_after(world: AgentWorld, uid: str) -> float:
    """Let time pass until a zone has ended; gives the seconds that took."""
    began_s = world.time.now_s
    world.until(lambda: not world.host.find(uid).running, patience_s=5_000.0, step_s=0.05)
    return world.time.now_s - began_s


def is_forced(world: AgentWorld, uid: str) -> bool:
    """Tell how it ended last."""
    end = world.host.find(uid).exit
    return end is not None and end.forced


@pytest.mark.parametrize("seconds", [0.0, 5.0, 3_600.0])
def test_a_guest_has_the_time_that_was_asked_for(world: AgentWorld, seconds: float) -> None:
    spec = running(world)
    world.realise(asked(spec, seconds))
    assert stops_after(world, spec.uid) == pytest.approx(seconds, abs=0.1)
    world.await_state(spec.uid, "stopped")
    assert is_forced(world, spec.uid)
    assert world.crashes() == []


def test_a_guest_that_listens_is_not_forced_however_little_time_it_has() -> None:
    world = AgentWorld()
    spec = running(world)
    world.realise(asked(spec, 1.0))
    world.await_state(spec.uid, "stopped")
    assert not is_forced(world, spec.uid)


def test_a_reboot_has_its_own_patience(world: AgentWorld) -> None:
    spec = running(world)
    world.realise(asked(spec, 5.0, wanted="running", boot_generation=2))
    world.until(lambda: world.host.find(spec.uid).start_id == 2)
    assert world.time.now_s == pytest.approx(5.0, abs=0.1)
    world.await_state(spec.uid, "running")
    assert world.status(spec.uid).boot_generation == 2


def test_patience_is_for_one_stop_and_not_for_the_next(world: AgentWorld) -> None:
    spec = running(world)
    forced = asked(spec, 0.0)
    world.realise(forced)
    world.await_state(spec.uid, "stopped")
    again = newer(forced, wanted="running")
    world.realise(again)
    world.await_state(spec.uid, "running")
    world.realise(newer(again, wanted="stopped"))
    assert stops_after(world, spec.uid) == pytest.approx(USUAL_S, abs=0.2)


def test_what_somebody_starts_by_hand_is_stopped_with_the_usual_patience(
    world: AgentWorld,
) -> None:
    spec = running(world)
    world.realise(asked(spec, 0.0))
    world.await_state(spec.uid, "stopped")
    world.host.boot(world.host.find(spec.uid), 7)
    world.await_state(spec.uid, "stopping")
    assert stops_after(world, spec.uid) == pytest.approx(USUAL_S, abs=0.2)


def test_force_shortens_a_stop_that_is_under_way(world: AgentWorld) -> None:
    spec = running(world)
    slow = asked(spec, 3_600.0)
    world.realise(slow)
    world.await_state(spec.uid, "stopping")
    world.time.advance(10.0)
    world.realise(asked(slow, 0.0))
    assert stops_after(world, spec.uid) == pytest.approx(0.0, abs=0.1)
    world.await_state(spec.uid, "stopped")
    assert is_forced(world, spec.uid)
    status = world.status(spec.uid)
    assert (status.generation, status.exit) == (3, world.host.find(spec.uid).exit)
    kinds = [entry.event.kind for entry in world.reported() if entry.event is not None]
    assert kinds == ["created", "stopped"]
    assert world.crashes() == []


def test_force_shortens_a_reboot_that_is_under_way_and_it_starts_once(world: AgentWorld) -> None:
    spec = running(world)
    slow = asked(spec, None, wanted="running", boot_generation=2)
    world.realise(slow)
    world.await_state(spec.uid, "stopping")
    world.realise(asked(slow, 0.0, wanted="running"))
    world.until(lambda: world.host.find(spec.uid).start_id == 2, patience_s=1.0)
    world.await_state(spec.uid, "running")
    world.time.advance(100.0)
    status = world.status(spec.uid)
    assert (status.start_id, status.boot_generation, status.generation) == (2, 2, 3)


@pytest.mark.parametrize("seconds", [20.0, 3_600.0])
@pytest.mark.parametrize("change", [{}, {"wanted": "running", "boot_generation": 2}])
def test_a_stop_or_reboot_that_nobody_wants_any_more_forces_nobody(
    world: AgentWorld, change: dict[str, Any], seconds: float
) -> None:
    spec = running(world)
    slow = asked(spec, seconds, **change)
    world.realise(slow)
    world.await_state(spec.uid, "stopping")
    world.time.advance(5.0)
    world.realise(newer(slow, wanted="running", boot_generation=1))
    world.await_state(spec.uid, "running", patience_s=1.0)
    world.time.advance(100.0)
    status = world.status(spec.uid)
    assert (status.state, status.start_id, status.generation) == ("running", 1, 3)
    kinds = [entry.event.kind for entry in world.reported() if entry.event is not None]
    assert kinds == ["created"]
    # The next one is another one.
    world.realise(asked(newer(slow), 10.0))
    assert stops_after(world, spec.uid) == pytest.approx(10.0, abs=0.1)
    assert world.crashes() == []


def test_a_guest_that_has_ended_is_started_again_where_its_stop_is_taken_back(
    world: AgentWorld,
) -> None:
    spec = running(world)
    slow = asked(spec, 20.0)
    world.realise(slow)
    world.await_state(spec.uid, "stopping")
    world.host.end(spec.uid)
    world.realise(newer(slow, wanted="running"))
    world.until(lambda: world.host.find(spec.uid).start_id == 2)
    world.await_state(spec.uid, "running")
    assert world.crashes() == []


@pytest.mark.parametrize("seconds", [None, 3_600.0])
def test_a_later_stop_gives_no_more_time(world: AgentWorld, seconds: float | None) -> None:
    spec = running(world)
    first = asked(spec, 20.0)
    world.realise(first)
    world.time.advance(10.0)
    world.realise(asked(first, seconds))
    assert stops_after(world, spec.uid) == pytest.approx(10.0, abs=0.1)


def test_a_removal_does_not_wait_for_a_stop(world: AgentWorld) -> None:
    spec = running(world)
    world.realise(asked(spec, 3_600.0))
    world.await_state(spec.uid, "stopping")
    assert world.command("remove", spec.uid).failure is None
    assert world.time.now_s < 1.0
    assert world.host.guests == {}
    assert world.crashes() == []


def kill_actor(world: AgentWorld, uid: str) -> None:
    """Have an instance's actor begin anew."""
    actor = world.actor(uid)
    assert actor is not None
    actor.kill()
    world.await_state(uid, "stopping", patience_s=1.0)


def kill_agent(world: AgentWorld, uid: str) -> None:
    """Have the whole agent begin anew, as after `kill -9` of its node."""
    world.crash_agent()
    world.start_agent()
    world.attach()
    world.await_state(uid, "stopping", patience_s=1.0)


@pytest.mark.parametrize("kill", [kill_actor, kill_agent])
@pytest.mark.parametrize(("seconds", "whole_s"), [(100.0, 100.0), (None, USUAL_S)])
def test_a_life_that_ends_in_the_middle_gives_a_guest_no_more_time(
    world: AgentWorld, kill: Any, seconds: float | None, whole_s: float
) -> None:
    spec = running(world)
    world.realise(asked(spec, seconds))
    world.await_state(spec.uid, "stopping")
    for _ in range(3):
        world.time.advance(15.0)
        kill(world, spec.uid)
    world.await_state(spec.uid, "stopped")
    assert world.time.now_s == pytest.approx(whole_s, abs=1.0)
    assert is_forced(world, spec.uid)


@pytest.mark.parametrize("kill", [kill_actor, kill_agent])
def test_force_is_heard_by_a_later_life_too(world: AgentWorld, kill: Any) -> None:
    spec = running(world)
    slow = asked(spec, 3_600.0)
    world.realise(slow)
    world.await_state(spec.uid, "stopping")
    kill(world, spec.uid)
    world.realise(asked(slow, 0.0))
    assert stops_after(world, spec.uid) == pytest.approx(0.0, abs=0.1)
    world.await_state(spec.uid, "stopped")
    assert world.crashes() == []


def test_force_that_was_on_disk_when_the_agent_was_killed_is_done_by_the_next(
    world: AgentWorld,
) -> None:
    spec = running(world)
    slow = asked(spec, 3_600.0)
    world.realise(slow)
    world.await_state(spec.uid, "stopping")
    actor = world.actor(spec.uid)
    assert actor is not None
    actor.kill()
    world.send("realise", spec.uid, spec=asked(slow, 0.0), claim=world.claim(spec))
    world.time.run_ready()
    world.crash_agent()
    world.start_agent()
    world.await_state(spec.uid, "stopped", patience_s=5.0)


def test_a_stop_after_one_that_failed_has_its_own_patience(world: AgentWorld) -> None:
    spec = running(world)
    world.host.faults.clear()
    world.host.faults.add(Fault("stop", "error", times=1))
    failed = asked(spec, 5.0)
    world.realise(failed)
    world.await_state(spec.uid, "running")
    world.time.advance(30.0)
    world.host.faults.add(DEAF)
    world.realise(asked(failed, 20.0))
    assert stops_after(world, spec.uid) == pytest.approx(20.0, abs=0.1)


def test_guests_that_hang_keep_no_other_from_being_forced_or_removed(world: AgentWorld) -> None:
    hanging = [running(world, number) for number in range(1, 301)]
    world.realise_all([asked(spec, 3_600.0) for spec in hanging])
    other, gone = running(world, 1_001), running(world, 1_002)
    world.realise(asked(other, 0.0))
    assert world.command("remove", gone.uid).failure is None
    world.await_state(other.uid, "stopped")
    assert world.time.now_s < 10.0
