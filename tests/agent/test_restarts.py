"""What happens when guests end by themselves, and when the whole host does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fifo.hypervisors.driver import Ended
from fifo.hypervisors.simulated.driver import SimulatedDriver
from fifo.hypervisors.simulated.faults import GUEST, Fault
from fifo.hypervisors.simulated.settings import HostSettings
from fifo.model.errors import Unavailable
from fifo.model.instance import Exit, RestartPolicy
from tests.agent.world import AgentWorld, newer, spec_of, uid_of

if TYPE_CHECKING:
    from fifo.hypervisors.driver import Observed, Wanted
    from fifo.model.instance import InstanceSpec

QUICK = RestartPolicy(when="on_failure", first_s=0.1, most_s=1.0, attempts=5, window_s=60.0)


@pytest.fixture
def world() -> AgentWorld:
    """An agent on a quick host, owned by a session."""
    made = AgentWorld(seed=5)
    made.attach()
    return made


def running(world: AgentWorld, number: int = 1, **more: Any) -> InstanceSpec:
    """Have an instance run."""
    spec = spec_of(number, **{"restart": QUICK, **more})
    world.realise(spec)
    world.await_state(spec.uid, "running")
    return spec


def kinds(world: AgentWorld, uid: str) -> list[str]:
    """List the kinds of an instance's events."""
    world.time.advance(1.0)
    entries = [entry for entry in world.reported() if entry.uid == uid]
    return [entry.event.kind for entry in entries if entry.event is not None]


def test_a_killed_guest_runs_again_within_a_second(world: AgentWorld) -> None:
    spec = running(world)
    world.host.end(spec.uid)
    world.until(lambda: world.host.find(spec.uid).running, patience_s=1.0)
    world.await_state(spec.uid, "running")
    status = world.status(spec.uid)
    assert (status.start_id, status.restarts) == (2, 1)
    assert status.exit == Exit(at=status.exit.at if status.exit else 0.0, signal=9)
    assert kinds(world, spec.uid) == ["created", "ended", "restarted"]


@pytest.mark.parametrize(
    ("when", "code", "comes_back"),
    [
        ("never", 0, False),
        ("never", 1, False),
        ("on_failure", 0, False),
        ("on_failure", 1, True),
        ("always", 0, True),
        ("always", 1, True),
    ],
)
def test_the_policy_decides(world: AgentWorld, when: Any, code: int, comes_back: bool) -> None:
    spec = running(world, restart=RestartPolicy(when=when))
    world.host.end(spec.uid, Exit(at=world.utc(), code=code))
    world.time.advance(30.0)
    assert world.host.find(spec.uid).running == comes_back
    status = world.status(spec.uid)
    assert status.state == ("running" if comes_back else "stopped")
    assert status.exit is not None
    assert status.exit.code == code


def test_the_story_of_one_that_ends_before_its_start_is_answered_is_whole(
    world: AgentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = SimulatedDriver.start

    async def late(driver: SimulatedDriver, wanted: Wanted, start_id: int) -> Observed:
        observed = await start(driver, wanted, start_id)
        if start_id < 3:
            answered = driver.host.clockwork.future()
            driver.host.finish(driver.host.find(wanted.spec.uid), Exit(at=1.0, code=3))
            driver.host.clockwork.after(0.1, lambda: answered.reply(None))
            await answered
        return observed

    monkeypatch.setattr(SimulatedDriver, "start", late)
    spec = spec_of(1, restart=QUICK)
    world.realise(spec)
    world.until(lambda: world.host.find(spec.uid).start_id == 3)
    assert kinds(world, spec.uid) == [
        "created", "ended", "restarted", "ended", "restarted"
    ]  # fmt: skip


def test_what_stays_down_does_so_until_a_later_generation_asks(world: AgentWorld) -> None:
    spec = running(world)
    world.host.end(spec.uid, Exit(at=world.utc(), code=0))
    world.await_state(spec.uid, "stopped")
    actor = world.actor(spec.uid)
    assert actor is not None
    actor.kill()
    world.time.advance(10.0)
    world.crash_agent()
    world.start_agent()
    world.realise(spec)
    world.time.advance(10.0)
    assert world.is_in(spec.uid, "stopped")
    world.realise(newer(spec))
    world.await_state(spec.uid, "running")


def test_a_crash_loop_ends_as_failed_with_its_reason(world: AgentWorld) -> None:
    world.host.faults.add(Fault(GUEST, "exit", after_s=0.2, code=3))
    spec = spec_of(1, restart=QUICK)
    world.realise(spec)
    world.await_state(spec.uid, "failed")
    status = world.status(spec.uid)
    assert "5 ends within 60 s, the last: exit code 3" in status.reason
    assert (status.start_id, status.restarts) == (5, 4)
    assert kinds(world, spec.uid)[-1] == "crash_loop"
    world.time.advance(3_600.0)
    assert world.host.find(spec.uid).start_id == 5
    world.host.faults.clear()
    world.realise(newer(spec))
    world.await_state(spec.uid, "running")
    assert world.status(spec.uid).reason == ""


def test_a_crash_loop_harms_no_neighbour(world: AgentWorld) -> None:
    good = [running(world, number) for number in range(1, 21)]
    before = [world.host.find(spec.uid).observed() for spec in good]
    actors = [world.actor(spec.uid) for spec in good]
    world.host.faults.add(Fault(GUEST, "exit", image="bad", after_s=0.05))
    for number in range(30, 40):
        world.realise(spec_of(number, image="bad", restart=QUICK))
    for number in range(30, 40):
        world.await_state(uid_of(number), "failed")
    assert [world.host.find(spec.uid).observed() for spec in good] == before
    assert [world.actor(spec.uid) for spec in good] == actors
    assert world.crashes() == []
    fresh = running(world, 50)
    assert world.status(fresh.uid).state == "running"


def test_waits_grow_and_are_kept_over_a_restart_of_the_agent(world: AgentWorld) -> None:
    policy = RestartPolicy(when="always", first_s=10.0, most_s=100.0)
    spec = running(world, restart=policy)
    waits = []
    for turn in range(3):
        world.host.end(spec.uid)
        ended_s = world.time.now_s
        world.time.advance(4.0)
        if turn == 1:
            world.crash_agent()
            world.start_agent()
        world.until(lambda: world.host.find(spec.uid).running)
        waits.append(world.time.now_s - ended_s)
    for wait_s, least_s in zip(waits, (10.0, 20.0, 40.0), strict=True):
        assert least_s <= wait_s <= 1.2 * least_s + 0.2


def test_an_end_is_counted_once_however_often_it_is_told(world: AgentWorld) -> None:
    spec = running(world)
    actor = world.actor(spec.uid)
    assert actor is not None
    world.host.end(spec.uid)
    end = world.host.find(spec.uid).exit
    assert end is not None
    for _ in range(5):
        actor.send(Ended(spec.uid, 1, end))
    world.await_state(spec.uid, "running")
    assert world.status(spec.uid).restarts == 1


def test_an_end_during_the_agents_absence_is_found_with_its_exit_status(world: AgentWorld) -> None:
    spec = running(world)
    other = running(world, 2)
    world.crash_agent()
    world.host.end(spec.uid, Exit(at=world.utc(), code=42))
    world.host.end(other.uid, Exit(at=world.utc(), code=0))
    world.start_agent()
    world.attach()
    world.await_state(spec.uid, "running")
    world.await_state(other.uid, "stopped")
    status = world.status(spec.uid)
    assert status.exit is not None
    assert (status.exit.code, status.restarts, status.start_id) == (42, 1, 2)
    assert kinds(world, spec.uid)[-2:] == ["ended", "restarted"]


def test_a_restart_of_the_node_adds_nothing_to_the_stories_of_what_runs_on(
    world: AgentWorld,
) -> None:
    spec = running(world)
    for _ in range(3):
        world.crash_agent()
        world.start_agent()
        world.attach()
        world.await_state(spec.uid, "running")
        assert kinds(world, spec.uid) == [], "a story is bounded, and nothing has happened to it"


@pytest.mark.parametrize("which", ["node", "actor"])
def test_what_ended_unseen_is_not_told_as_started_once_more(world: AgentWorld, which: str) -> None:
    spec = running(world, restart=RestartPolicy(when="never"))
    before = len(kinds(world, spec.uid))
    if which == "node":
        world.crash_agent()
        world.host.end(spec.uid)
        world.start_agent()
        world.attach()
        before = 0
    else:
        actor = world.actor(spec.uid)
        assert actor is not None
        actor.kill()
        world.host.end(spec.uid)
    world.await_state(spec.uid, "stopped")
    told = kinds(world, spec.uid)[before:]
    assert [kind for kind in told if kind != "actor_restarted"] == ["ended"]


@pytest.mark.parametrize("lasts_s", [0.0, 5.0])
@pytest.mark.parametrize("ends", [False, True])
def test_a_start_whose_answer_died_with_the_node_is_told_when_it_is_found(
    world: AgentWorld, monkeypatch: pytest.MonkeyPatch, ends: bool, lasts_s: float
) -> None:
    start = SimulatedDriver.start

    async def deaf(driver: SimulatedDriver, wanted: Wanted, start_id: int) -> Observed:
        await start(driver, wanted, start_id)
        raise Unavailable("its answer was lost", wanted.spec.uid)

    monkeypatch.setattr(SimulatedDriver, "start", deaf)
    spec = spec_of(1, restart=RestartPolicy(when="never"))
    world.realise(spec)
    world.until(lambda: spec.uid in world.host.guests and world.host.find(spec.uid).running)
    world.host.faults.add(Fault("inspect", "error"))
    world.time.advance(lasts_s)
    world.crash_agent()
    world.host.faults.clear()
    if ends:
        world.host.end(spec.uid)
    world.start_agent()
    world.attach()
    world.await_state(spec.uid, "stopped" if ends else "running")
    assert kinds(world, spec.uid) == (["started", "ended"] if ends else ["started"])


def test_a_stop_during_the_wait_ends_it(world: AgentWorld) -> None:
    spec = running(world, restart=RestartPolicy(when="always", first_s=50.0))
    world.host.end(spec.uid)
    world.await_state(spec.uid, "backing_off")
    stopped = newer(spec, wanted="stopped")
    world.realise(stopped)
    world.await_state(spec.uid, "stopped")
    world.time.advance(200.0)
    assert not world.host.find(spec.uid).running
    world.realise(newer(stopped, wanted="running"))
    world.await_state(spec.uid, "running", patience_s=1.0)


def test_a_newer_generation_does_not_wait(world: AgentWorld) -> None:
    spec = running(world, restart=RestartPolicy(when="always", first_s=50.0))
    world.host.end(spec.uid)
    world.await_state(spec.uid, "backing_off")
    world.realise(newer(spec))
    world.await_state(spec.uid, "running", patience_s=1.0)


def test_a_start_that_fails_after_an_end_counts_as_one_and_is_told_as_that(
    world: AgentWorld,
) -> None:
    spec = running(world)
    world.host.faults.add(Fault("start", "error", times=2, text="no runtime works"))
    world.host.end(spec.uid)
    world.until(lambda: world.host.find(spec.uid).running)
    world.await_state(spec.uid, "running")
    assert world.status(spec.uid).restarts == 3
    events = (entry.event for entry in world.reported())
    ends = [event.text for event in events if event is not None and event.kind == "ended"]
    assert [text.partition(";")[0] for text in ends] == [
        "killed by signal 9", *["it could not be started: start: no runtime works"] * 2
    ]  # fmt: skip


# -- the host -------------------------------------------------------------------------------------


def test_lost_sight_is_found_again_and_ends_meanwhile_are_dealt_with(world: AgentWorld) -> None:
    spec = running(world)
    other = running(world, 2)
    world.host.break_events("the keeper is gone")
    world.host.end(spec.uid)
    world.until(lambda: world.host.find(spec.uid).running, patience_s=60.0)
    world.await_state(spec.uid, "running")
    assert world.status(spec.uid).restarts == 1
    assert world.status(other.uid).restarts == 0


def test_after_a_reboot_two_hundred_instances_start_a_few_at_a_time() -> None:
    world = AgentWorld(host=HostSettings(latency_s={"start": (0.5, 1.5)}), seed=3)
    specs = [spec_of(number) for number in range(200)]
    kept_down = newer(specs[0], autoboot=False)
    stopped = newer(specs[1], wanted="stopped")
    world.realise_all([kept_down, stopped, *specs[2:]])
    for spec in specs:
        world.await_state(spec.uid, "stopped" if spec.uid == stopped.uid else "running")
    world.crash_agent()
    world.host.reboot_host()
    world.start_agent()
    world.attach()
    gate = world.watch_starts()
    for spec in specs[2:]:
        world.await_state(spec.uid, "running")
    assert max(gate) == world.settings.boot_starts
    world.time.advance(60.0)
    assert world.is_in(kept_down.uid, "stopped")
    assert world.is_in(stopped.uid, "stopped")
    for spec in specs[2:5]:
        status = world.status(spec.uid)
        assert (status.restarts, status.start_id) == (0, 2)
        assert status.boot_id == world.host.boot_id
    assert kinds(world, specs[2].uid) == ["created", "ended", "started"]
    world.realise(newer(kept_down))
    world.await_state(kept_down.uid, "running")


def test_a_reboot_under_a_living_agent_is_noticed(world: AgentWorld) -> None:
    spec = running(world)
    halted = running(world, 2)
    world.host.end(halted.uid, Exit(at=world.utc(), code=0))
    world.await_state(halted.uid, "stopped")
    world.host.reboot_host()
    world.until(lambda: world.host.find(spec.uid).running, patience_s=60.0)
    world.await_state(spec.uid, "running")
    assert world.status(spec.uid).restarts == 0
    world.time.advance(10.0)
    assert world.is_in(halted.uid, "stopped")


def test_a_failed_instance_does_not_start_with_the_host(world: AgentWorld) -> None:
    world.host.faults.add(Fault(GUEST, "exit", after_s=0.1))
    spec = spec_of(1, restart=QUICK)
    world.realise(spec)
    world.await_state(spec.uid, "failed")
    world.crash_agent()
    world.host.reboot_host()
    world.start_agent()
    world.time.advance(30.0)
    assert world.is_in(spec.uid, "failed")
    assert not world.host.find(spec.uid).running
