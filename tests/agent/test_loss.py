"""An instance whose data is gone from its host: told, and made anew only when somebody asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fifo.agent import limits
from fifo.hypervisors.simulated.faults import Fault
from fifo.model.instance import Exit, RestartPolicy
from tests.agent.world import AgentWorld, newer, spec_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.hypervisors.simulated.guest import Guest
    from fifo.model.instance import InstanceSpec

REASON = "its data is no longer on this host"


@pytest.fixture
def world() -> AgentWorld:
    """An agent on a quick host, owned by a session."""
    made = AgentWorld(seed=7)
    made.attach()
    return made


def run(world: AgentWorld, spec: InstanceSpec) -> None:
    """Have it run."""
    world.realise(spec)
    world.await_state(spec.uid, "running")


def stop(world: AgentWorld, spec: InstanceSpec) -> None:
    """Have it run, then stop it."""
    run(world, spec)
    world.realise(newer(spec, wanted="stopped"))
    world.await_state(spec.uid, "stopped")


def halt(world: AgentWorld, spec: InstanceSpec) -> None:
    """Have it run, until its guest ends in order."""
    run(world, spec)
    world.host.end(spec.uid, Exit(at=world.utc(), code=0))
    world.await_state(spec.uid, "stopped")


def back_off(world: AgentWorld, spec: InstanceSpec) -> None:
    """Have it wait for its next start."""
    run(world, spec)
    world.host.end(spec.uid)
    world.await_state(spec.uid, "backing_off")


def begin_to_start(world: AgentWorld, spec: InstanceSpec) -> None:
    """Have its start hang."""
    world.host.faults.add(Fault("start", "hang", times=1))
    world.realise(spec)
    world.await_state(spec.uid, "starting")


def fail(world: AgentWorld, spec: InstanceSpec) -> None:
    """Have its start refused."""
    world.host.faults.add(Fault("start", "error", times=1))
    world.realise(spec)
    world.await_state(spec.uid, "failed")


ROADS = [run, stop, halt, back_off, begin_to_start, fail]


def lose(world: AgentWorld, *, reboot: bool = False) -> dict[str, Guest]:
    """Start the node where nothing of its instances is on the host; gives what is gone."""
    world.crash_agent()
    if reboot:
        world.host.reboot_host()
    gone = dict(world.host.guests)
    world.host.guests.clear()
    world.start_agent()
    world.attach()
    return gone


def story(world: AgentWorld, uid: str) -> list[tuple[str, str]]:
    """List kinds and texts of what was told of an instance since the agent began."""
    world.time.advance(1.0)
    entries = [entry.event for entry in world.reported() if entry.uid == uid]
    return [(event.kind, event.text) for event in entries if event is not None]


@pytest.mark.parametrize("reboot", [False, True])
@pytest.mark.parametrize("bring", ROADS)
def test_what_is_lost_is_failed_until_somebody_asks_for_it(
    world: AgentWorld, bring: Callable[[AgentWorld, InstanceSpec], None], reboot: bool
) -> None:
    spec = spec_of(1, restart=RestartPolicy(first_s=50.0))
    bring(world, spec)
    before = world.status(spec.uid)
    lose(world, reboot=reboot)
    world.time.advance(limits.START_DEADLINE_S + limits.ROUND_S)
    status = world.status(spec.uid)
    assert (status.state, status.reason) == ("failed", REASON)
    assert world.host.guests == {}
    told = story(world, spec.uid)
    assert ("failed", f"{REASON}: start it to have it made anew, empty, or delete it") in told
    assert not {"created", "started", "restarted"} & {kind for kind, _ in told}

    world.crash_agent()
    world.start_agent()
    world.attach()
    world.time.advance(limits.ROUND_S)
    status = world.status(spec.uid)
    assert (status.state, status.reason) == ("failed", REASON)
    assert [kind for kind, _ in story(world, spec.uid)] == []

    world.realise(newer(newer(spec)))
    world.await_state(spec.uid, "running")
    assert world.host.find(spec.uid).start_id > before.start_id
    ((kind, text),) = story(world, spec.uid)
    assert kind == "created"
    assert text.startswith("made anew, without what was lost, and started in ")
    assert world.status(spec.uid).reason == ""
    assert world.crashes() == []


def test_what_vanishes_under_a_living_agent_is_lost_too(world: AgentWorld) -> None:
    run(world, spec_of(1))
    world.host.guests.clear()
    world.until(lambda: world.is_in(spec_of(1).uid, "failed"), limits.ROUND_S + 1.0)
    assert world.status(spec_of(1).uid).reason == REASON


def test_what_was_never_started_has_nothing_to_lose(world: AgentWorld) -> None:
    spec = spec_of(1, wanted="stopped")
    world.realise(spec)
    world.await_state(spec.uid, "stopped")
    lose(world)
    world.await_state(spec.uid, "stopped")
    assert spec.uid in world.host.guests


def test_what_is_lost_and_wanted_down_takes_changes_and_stays_failed(world: AgentWorld) -> None:
    spec = spec_of(1)
    stop(world, spec)
    lose(world)
    world.await_state(spec.uid, "failed")
    changed = newer(newer(spec, wanted="stopped"), max_physical_memory=512)
    world.realise(changed)
    for _ in range(2):
        world.time.advance(limits.ROUND_S)
        status = world.status(spec.uid)
        assert (status.state, status.reason) == ("failed", REASON)
        assert status.generation == changed.generation
        world.crash_agent()
        world.start_agent()
        world.attach()
    assert world.host.guests == {}
    world.realise(newer(changed, wanted="running"))
    world.await_state(spec.uid, "running")
    assert world.host.find(spec.uid).wanted.spec.max_physical_memory == 512


def test_what_is_lost_can_be_deleted(world: AgentWorld) -> None:
    run(world, spec_of(1))
    lose(world)
    assert world.command("remove", spec_of(1).uid).failure is None
    assert world.actor(spec_of(1).uid) is None


@pytest.mark.parametrize("kind", ["lost_reply", "hang"])
def test_a_create_anew_whose_answer_is_lost_goes_on(world: AgentWorld, kind: Any) -> None:
    spec = spec_of(1)
    run(world, spec)
    lose(world)
    world.await_state(spec.uid, "failed")
    world.host.faults.add(Fault("create", kind, times=1))
    world.realise(newer(spec))
    world.time.advance(1.0)
    world.kill_if_there(("instance", spec.uid))
    world.await_state(spec.uid, "running", 1_000.0)


def test_what_is_made_anew_can_be_lost_again(world: AgentWorld) -> None:
    spec = spec_of(1)
    run(world, spec)
    lose(world)
    world.await_state(spec.uid, "failed")
    world.realise(newer(spec))
    world.await_state(spec.uid, "running")
    lose(world)
    world.await_state(spec.uid, "failed")
    assert world.host.guests == {}


def test_what_is_there_again_is_left_as_it_is_until_it_is_started(world: AgentWorld) -> None:
    spec = spec_of(1)
    run(world, spec)
    guest = lose(world)[spec.uid]
    world.await_state(spec.uid, "failed")
    world.crash_agent()
    world.host.guests[spec.uid] = guest
    guest.pid = 0
    world.start_agent()
    world.attach()
    world.time.advance(limits.ROUND_S)
    status = world.status(spec.uid)
    assert status.state == "failed"
    assert status.reason == "its data is on this host again: start it to go on"
    assert [kind for kind, _ in story(world, spec.uid)] == ["adopted"]
    world.realise(newer(spec))
    world.await_state(spec.uid, "running")
    assert world.host.guests == {spec.uid: guest}
    assert guest.start_id == 2


def test_what_runs_again_after_it_was_lost_is_taken_over(world: AgentWorld) -> None:
    spec = spec_of(1)
    run(world, spec)
    guest = lose(world)[spec.uid]
    world.await_state(spec.uid, "failed")
    world.host.guests[spec.uid] = guest
    world.await_state(spec.uid, "running")
    assert world.status(spec.uid).reason == ""
    world.host.guests.clear()
    world.await_state(spec.uid, "failed")


def test_where_nothing_lasts_it_is_made_again_by_itself(world: AgentWorld) -> None:
    spec = spec_of(1)
    run(world, spec)
    world.lasting = False
    lose(world)
    world.await_state(spec.uid, "running")
    assert world.status(spec.uid).start_id == 2
