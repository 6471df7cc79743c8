"""What commands do to instances, from the gateway to the host and back as reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fifo.agent.messages import Inside
from fifo.hypervisors.simulated.faults import Fault
from fifo.hypervisors.simulated.settings import HostSettings
from fifo.model.errors import WrongState
from tests.agent.world import AgentWorld, image_of, newer, spec_of

if TYPE_CHECKING:
    from fifo.model.instance import InstanceSpec

SLOW = HostSettings(
    latency_s=dict.fromkeys(("create", "start", "stop", "update", "delete"), (1.0, 1.0))
)


@pytest.fixture
def world() -> AgentWorld:
    """An agent on a quick host, owned by a session."""
    made = AgentWorld()
    made.attach()
    return made


def running(world: AgentWorld, number: int = 1, **more: Any) -> InstanceSpec:
    """Have an instance run."""
    spec = spec_of(number, **more)
    assert world.realise(spec).failure is None
    world.await_state(spec.uid, "running")
    return spec


def told(world: AgentWorld) -> list[tuple[str | None, str | None]]:
    """List states and kinds of events as the session was told them."""
    world.time.advance(1.0)
    return [
        (entry.status.state if entry.status else None, entry.event.kind if entry.event else None)
        for entry in world.reported()
    ]


def test_a_realised_instance_is_created_and_runs(world: AgentWorld) -> None:
    spec = running(world)
    guest = world.host.find(spec.uid)
    assert (guest.running, guest.start_id) == (True, 1)
    status = world.status(spec.uid)
    assert (status.state, status.generation, status.start_id) == ("running", 1, 1)
    assert (status.pid, status.boot_id) == (guest.pid, world.host.boot_id)
    assert told(world) == [("running", "created")]
    assert world.crashes() == []


def test_one_that_is_wanted_stopped_is_created_only(world: AgentWorld) -> None:
    spec = spec_of(1, wanted="stopped")
    world.realise(spec)
    world.await_state(spec.uid, "stopped")
    assert world.host.find(spec.uid).start_id == 0
    assert world.status(spec.uid).generation == 1
    world.realise(newer(spec, wanted="running"))
    world.await_state(spec.uid, "running")
    assert [kind for _, kind in told(world)] == ["created", "started"]


def test_it_is_answered_when_it_is_on_disk_and_not_when_it_is_done() -> None:
    world = AgentWorld(host=SLOW)
    world.attach()
    spec = spec_of(1)
    assert world.realise(spec).failure is None
    assert world.time.now_s < 1.0
    assert spec.uid not in world.host.guests
    world.await_state(spec.uid, "running")
    assert world.time.now_s >= 2.0
    states = [state for state, _ in told(world)]
    assert states == ["provisioning", "starting", "running"]


def test_the_actor_answers_while_an_order_is_under_way() -> None:
    world = AgentWorld(host=SLOW)
    spec = spec_of(1)
    world.realise(spec)
    world.time.advance(0.5)
    assert world.status(spec.uid).state == "provisioning"
    assert world.time.now_s == pytest.approx(0.5, abs=0.01)
    world.time.advance(1.0)
    assert world.status(spec.uid).state == "starting"


def test_a_later_generation_stops_and_starts_it(world: AgentWorld) -> None:
    spec = running(world)
    stopped = newer(spec, wanted="stopped")
    world.realise(stopped)
    world.await_state(spec.uid, "stopped")
    status = world.status(spec.uid)
    assert status.generation == 2
    assert status.exit is not None
    started = newer(stopped, wanted="running")
    world.realise(started)
    world.await_state(spec.uid, "running")
    assert world.status(spec.uid).start_id == 2
    assert world.status(spec.uid).restarts == 0
    assert told(world) == [
        ("running", "created"), ("stopped", "stopped"), ("running", "started")
    ]  # fmt: skip


def test_a_raised_boot_generation_starts_it_anew_once(world: AgentWorld) -> None:
    spec = running(world)
    world.realise(newer(spec, boot_generation=2))
    world.until(lambda: world.host.find(spec.uid).start_id == 2)
    world.await_state(spec.uid, "running")
    world.time.advance(10.0)
    status = world.status(spec.uid)
    assert (status.start_id, status.boot_generation, status.generation) == (2, 2, 2)


def test_an_older_generation_changes_nothing(world: AgentWorld) -> None:
    spec = running(world)
    later = newer(newer(spec), max_physical_memory=512)
    world.realise(later)
    assert world.realise(newer(spec, wanted="stopped")).failure is None
    world.time.advance(5.0)
    assert world.is_in(spec.uid, "running")
    assert world.host.find(spec.uid).wanted.spec == later


def test_an_update_is_live_where_it_can_be_and_pending_where_not(world: AgentWorld) -> None:
    spec = running(world)
    changed = newer(spec, max_physical_memory=512, hostname="renamed")
    world.realise(changed)
    world.until(lambda: world.status(spec.uid).generation == 2)
    assert world.status(spec.uid).pending_reboot == ("hostname",)
    assert world.host.find(spec.uid).start_id == 1
    world.realise(newer(changed, boot_generation=2))
    world.until(lambda: world.host.find(spec.uid).start_id == 2)
    world.await_state(spec.uid, "running")
    assert world.status(spec.uid).pending_reboot == ()


def test_a_refused_update_is_told_and_not_repeated(world: AgentWorld) -> None:
    spec = running(world)
    world.host.faults.add(Fault("update", "error", text="quota is smaller than what is used"))
    world.realise(newer(spec, quota=1))
    world.time.advance(100.0)
    status = world.status(spec.uid)
    assert (status.state, status.generation) == ("running", 1)
    assert "quota is smaller" in status.reason
    assert told(world)[1:] == [("running", "failed")]


def test_what_changes_only_the_wish_does_not_disturb_the_host(world: AgentWorld) -> None:
    spec = running(world)
    world.host.faults.add(Fault("update", "error"))
    world.realise(newer(spec, autoboot=False))
    world.until(lambda: world.status(spec.uid).generation == 2)
    assert world.status(spec.uid).reason == ""


def test_a_removed_instance_leaves_nothing(world: AgentWorld) -> None:
    spec = running(world)
    assert world.command("remove", spec.uid).failure is None
    assert world.host.guests == {}
    world.time.run_ready()
    assert world.actor(spec.uid) is None
    assert told(world)[-1] == ("deleted", "deleted")
    world.crash_agent()
    world.start_agent()
    assert world.attach().statuses == ()


def test_a_removed_uid_can_be_made_again(world: AgentWorld) -> None:
    spec = running(world)
    world.command("remove", spec.uid)
    running(world)
    assert world.host.find(spec.uid).start_id == 1
    assert world.crashes() == []


def test_to_remove_what_is_being_made_leaves_nothing() -> None:
    world = AgentWorld(host=SLOW)
    spec = spec_of(1)
    world.realise(spec)
    world.time.advance(0.5)
    assert world.command("remove", spec.uid).failure is None
    assert world.host.guests == {}


def test_a_stop_that_comes_during_a_start_follows_it() -> None:
    world = AgentWorld(host=SLOW)
    spec = spec_of(1)
    world.realise(spec)
    world.time.advance(1.5)
    assert world.is_in(spec.uid, "starting")
    world.realise(newer(spec, wanted="stopped"))
    world.await_state(spec.uid, "stopped")
    world.time.advance(10.0)
    assert world.is_in(spec.uid, "stopped")
    assert not world.host.find(spec.uid).running


def test_a_guest_that_does_not_listen_is_forced_when_its_patience_is_over(
    world: AgentWorld,
) -> None:
    zone = running(world, 1)
    machine = running(world, 2, brand="kvm")
    world.host.faults.add(Fault("stop", "deaf"))
    for spec, patience_s in ((zone, 60.0), (machine, 180.0)):
        before_s = world.time.now_s
        world.realise(newer(spec, wanted="stopped"))
        world.await_state(spec.uid, "stopped")
        assert world.time.now_s - before_s == pytest.approx(patience_s, abs=0.1)
        status = world.status(spec.uid)
        assert status.exit is not None
        assert status.exit.forced


def test_a_failed_create_is_failed_with_the_hosts_words(world: AgentWorld) -> None:
    world.host.faults.add(Fault("create", "error", text="no such template", times=1))
    spec = spec_of(1)
    world.realise(spec)
    world.await_state(spec.uid, "failed")
    status = world.status(spec.uid)
    assert (status.generation, "no such template" in status.reason) == (1, True)
    assert told(world) == [("failed", "failed")]
    world.realise(newer(spec))
    world.await_state(spec.uid, "running")


@pytest.mark.parametrize("verb", ["create", "start"])
def test_one_that_found_no_room_says_so_in_the_hosts_own_error(
    world: AgentWorld, verb: str
) -> None:
    world.host.faults.add(Fault(verb, "disk_full", times=1))
    spec = spec_of(1)
    world.realise(spec)
    world.await_state(spec.uid, "failed")
    status = world.status(spec.uid)
    assert status.failure is not None
    assert (status.failure.kind, status.failure.remedy) == ("NoRoom", "delete instances or images")
    assert status.reason == status.failure.what
    world.realise(newer(spec))
    world.await_state(spec.uid, "running")
    assert world.status(spec.uid).failure is None


def test_a_failed_start_that_was_asked_for_is_failed_at_once(world: AgentWorld) -> None:
    world.host.faults.add(Fault("start", "error", text="exec format error", times=1))
    spec = spec_of(1)
    world.realise(spec)
    world.await_state(spec.uid, "failed")
    assert "exec format error" in world.status(spec.uid).reason
    world.time.advance(600.0)
    assert world.is_in(spec.uid, "failed")
    world.realise(newer(spec, wanted="stopped"))
    world.await_state(spec.uid, "stopped")


@pytest.mark.parametrize("verb", ["create", "start", "stop", "update", "delete"])
def test_work_whose_reply_was_lost_is_not_done_twice(world: AgentWorld, verb: str) -> None:
    world.host.faults.add(Fault(verb, "lost_reply", times=1))
    spec = running(world)
    world.realise(newer(spec, max_physical_memory=512))
    world.until(lambda: world.status(spec.uid).generation == 2)
    world.realise(newer(newer(spec, max_physical_memory=512), wanted="stopped"))
    world.await_state(spec.uid, "stopped")
    assert world.host.find(spec.uid).start_id == 1
    assert world.command("remove", spec.uid).failure is None
    assert world.host.guests == {}
    assert world.crashes() == []


def test_snapshots_are_listed_in_the_status(world: AgentWorld) -> None:
    spec = running(world)
    for name in ("a", "b"):
        result = world.command("snapshot", spec.uid, argument=name)
        assert result.failure is None
        assert result.value["name"] == name
    assert [one.name for one in world.status(spec.uid).snapshots] == ["a", "b"]
    assert world.command("delete_snapshot", spec.uid, argument="a").failure is None
    assert [one.name for one in world.status(spec.uid).snapshots] == ["b"]
    assert world.is_in(spec.uid, "running")


def test_to_roll_a_running_instance_back_stops_and_starts_it(world: AgentWorld) -> None:
    spec = running(world)
    for name in ("a", "b"):
        world.command("snapshot", spec.uid, argument=name)
    assert world.command("roll_back", spec.uid, argument="a").failure is None
    world.await_state(spec.uid, "running")
    status = world.status(spec.uid)
    assert [one.name for one in status.snapshots] == ["a"]
    assert (status.start_id, status.restarts) == (2, 0)


def test_a_snapshot_that_was_never_taken_is_not_told_as_dropped(world: AgentWorld) -> None:
    spec = running(world)
    world.host.faults.add(Fault("snapshot", "error", times=1))
    assert world.command("snapshot", spec.uid, argument="a").failure is not None
    assert world.command("delete_snapshot", spec.uid, argument="a").failure is None
    assert world.command("snapshot", spec.uid, argument="a").failure is None
    assert world.command("delete_snapshot", spec.uid, argument="a").failure is None
    world.time.advance(1.0)
    texts = [entry.event.text for entry in world.reported() if entry.event is not None]
    assert texts[1:] == ["took snapshot a", "dropped snapshot a"]


def test_a_host_without_snapshots_refuses_with_its_reason() -> None:
    world = AgentWorld(host=HostSettings(unsupported={"snapshot": "a plain directory"}))
    spec = running(world)
    failure = world.command("snapshot", spec.uid, argument="a").failure
    assert failure is not None
    assert (failure.kind, "a plain directory" in failure.what) == ("Unsupported", True)
    assert world.is_in(spec.uid, "running")


def test_an_image_is_made_of_a_stopped_instance_alone(world: AgentWorld) -> None:
    spec = running(world)
    image = image_of(1)
    failure = world.command("capture_image", spec.uid, image=image).failure
    assert failure is not None
    assert failure.kind == "WrongState"
    world.realise(newer(spec, wanted="stopped"))
    world.await_state(spec.uid, "stopped")
    result = world.command("capture_image", spec.uid, image=image)
    assert result.failure is None
    assert result.value["uid"] == image.uid
    assert image.uid in world.host.images


def test_a_console_and_commands_are_had_of_what_runs(world: AgentWorld) -> None:
    spec = running(world, hostname="web")
    actor = world.actor(spec.uid)
    assert actor is not None
    more = {"terminal": False, "environment": {}}
    channel = actor.call(Inside("execute", (("hostname",),), more)).get()
    assert channel.exit_code == 0
    assert actor.call(Inside("logs", (1000,))).get().startswith(b"start 1")
    assert actor.call(Inside("console")).get() is not None
    world.realise(newer(spec, wanted="stopped"))
    world.await_state(spec.uid, "stopped")
    with pytest.raises(WrongState, match="cannot console in state stopped"):
        actor.call(Inside("console")).get()
    assert actor.call(Inside("logs", (1000,))).get().startswith(b"start 1")
