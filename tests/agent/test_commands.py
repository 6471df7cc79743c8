"""The gateway: fences, repeats, deadlines, strangers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fifo.agent import limits, names
from fifo.agent.messages import Lookup
from fifo.agent.sampling import LATEST, Fresh
from fifo.hypervisors.driver import Wanted
from fifo.hypervisors.simulated.faults import Fault
from fifo.hypervisors.simulated.settings import HostSettings
from fifo.model import keys
from fifo.model.errors import Conflict, DriverFailed, NotFound
from fifo.store.contract import Delete, Put, Txn
from tests.agent.world import HOST, AgentWorld, claim_of, newer, spec_of, uid_of

if TYPE_CHECKING:
    from fifo.model.link import Verb


@pytest.fixture
def world() -> AgentWorld:
    """An agent on a quick host, owned by a session."""
    made = AgentWorld()
    made.attach()
    return made


# -- fences ---------------------------------------------------------------------------------------


def test_a_lower_fence_is_refused_and_changes_nothing(world: AgentWorld) -> None:
    world.realise(spec_of(1), fence=7)
    failure = world.realise(spec_of(2), fence=6).failure
    assert failure is not None
    assert failure.kind == "Conflict"
    world.time.advance(1.0)
    assert set(world.host.guests) == {uid_of(1)}


def test_a_fence_outlives_the_agent(world: AgentWorld) -> None:
    world.realise(spec_of(1), fence=7)
    world.crash_agent()
    world.start_agent()
    failure = world.realise(spec_of(2), fence=6).failure
    assert failure is not None
    assert failure.kind == "Conflict"
    with pytest.raises(Conflict, match="fence 1 is lower than 7"):
        world.attach()
    world.fence = 7
    assert world.attach().highest_fence == 7


def test_a_fence_that_is_nobodys_is_refused_by_a_host_that_has_seen_none() -> None:
    world = AgentWorld()
    world.time.advance(1.0)
    failure = world.realise(spec_of(1), fence=0).failure
    assert failure is not None
    assert (failure.kind, failure.what) == ("Conflict", "fence 0 is no owner's")
    world.fence = 0
    with pytest.raises(Conflict, match="fence 0 is no owner's"):
        world.attach()
    world.time.advance(1.0)
    assert world.host.guests == {}


def test_a_newer_session_takes_the_reports_over(world: AgentWorld) -> None:
    world.realise(spec_of(1))
    world.await_state(uid_of(1), "running")
    world.time.advance(1.0)
    former = world.session
    assert len(world.reported()) == 1
    world.fence = 2
    world.attach()
    world.realise(spec_of(2))
    world.await_state(uid_of(2), "running")
    world.time.advance(1.0)
    assert [entry.uid for entry in world.reported()] == [uid_of(2)]
    assert former is not None
    assert len(former.call("entries").get()) == 1


# -- repeats --------------------------------------------------------------------------------------


def test_a_repeat_is_answered_from_the_record(world: AgentWorld) -> None:
    spec = spec_of(1)
    world.realise(spec)
    world.await_state(spec.uid, "running")
    first = world.command("snapshot", spec.uid, argument="a", operation="op")
    world.host.faults.add(Fault("snapshot", "error"))
    again = world.command("snapshot", spec.uid, argument="a", operation="op")
    assert (first.repeated, again.repeated) == (False, True)
    assert again.value == first.value
    world.crash_agent()
    world.start_agent()
    assert world.command("snapshot", spec.uid, argument="a", operation="op") == again


@pytest.mark.parametrize("stored", [b"no record", None])
def test_a_repeat_whose_record_cannot_be_read_is_answered_so(
    world: AgentWorld, stored: bytes | None
) -> None:
    world.realise(spec_of(1), operation="op")
    key = keys.result("op", "step", uid_of(1))
    change = Delete(key) if stored is None else Put(key, stored)
    world.stores[-1].txn(Txn(then=(change,))).get()
    failure = world.realise(spec_of(1), operation="op").failure
    assert failure is not None
    assert failure.kind == "Unavailable"
    assert "its record cannot be read" in failure.what
    assert world.crashes() == []


def test_a_refusal_is_repeated_too_and_a_not_now_is_tried_again(world: AgentWorld) -> None:
    spec = spec_of(1)
    world.realise(spec)
    world.await_state(spec.uid, "running")
    world.host.faults.add(Fault("snapshot", "error", times=1))
    refused = world.command("snapshot", spec.uid, argument="a", operation="one")
    assert refused.failure is not None
    assert world.command("snapshot", spec.uid, argument="a", operation="one").repeated
    world.host.faults.clear()
    world.host.faults.add(Fault("snapshot", "lost_reply", times=1))
    not_now = world.command("snapshot", spec.uid, argument="a", operation="two")
    assert not_now.failure is not None
    assert not_now.failure.kind == "Unavailable"
    again = world.command("snapshot", spec.uid, argument="a", operation="two")
    assert (again.failure, again.repeated) == (None, False)


def test_repeats_during_the_work_wait_for_its_one_answer() -> None:
    world = AgentWorld(host=HostSettings(latency_s={"delete": (5.0, 5.0)}))
    spec = spec_of(1)
    world.realise(spec)
    world.await_state(spec.uid, "running")
    answers = [world.send("remove", spec.uid, operation="op") for _ in range(3)]
    assert len({answer.get() for answer in answers}) == 1
    assert world.host.guests == {}


def test_records_are_dropped_in_the_end(world: AgentWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RESULT_S", 4 * limits.SWEEP_S)
    spec = spec_of(1)
    world.realise(spec, operation="op")
    world.time.advance(limits.RESULT_S / 2)
    assert world.realise(spec, operation="op").repeated
    world.time.advance(limits.RESULT_S / 2 + 2 * limits.SWEEP_S)
    assert not world.realise(spec, operation="op").repeated


def test_a_command_that_comes_too_late_is_not_obeyed(world: AgentWorld) -> None:
    failure = world.realise(spec_of(1), until=world.utc() - 1.0).failure
    assert failure is not None
    assert failure.kind == "DeadlineExceeded"
    world.time.advance(1.0)
    assert world.host.guests == {}


def test_an_incomplete_command_says_what_it_lacks(world: AgentWorld) -> None:
    verbs: tuple[Verb, ...] = ("realise", "fetch_image")
    for verb in verbs:
        failure = world.command(verb, uid_of(1)).failure
        assert failure is not None
        assert failure.kind == "InvalidInput"


# -- strangers ------------------------------------------------------------------------------------


def test_what_nobody_knows_is_not_found(world: AgentWorld) -> None:
    failure = world.command("snapshot", uid_of(9), argument="a").failure
    assert failure is not None
    assert failure.kind == "NotFound"
    with pytest.raises(NotFound):
        world.node.address(names.gateway(HOST)).call(Lookup(uid_of(9))).get()


def test_an_actor_is_found_by_its_uid(world: AgentWorld) -> None:
    world.realise(spec_of(1))
    world.time.run_ready()
    found = world.node.address(names.gateway(HOST)).call(Lookup(uid_of(1))).get()
    assert found == world.actor(uid_of(1))


def test_a_new_instance_is_known_not_to_be_there_by_the_inventory_alone(world: AgentWorld) -> None:
    world.host.faults.add(Fault("inspect", "error"))
    world.realise(spec_of(1))
    world.await_state(uid_of(1), "running")


def test_what_was_ordered_about_before_is_looked_for_on_the_host(world: AgentWorld) -> None:
    world.realise(spec_of(1))
    world.await_state(uid_of(1), "running")
    world.host.faults.add(Fault("inspect", "error", times=1))
    world.kill_if_there(names.instance(HOST, uid_of(1)))
    world.time.advance(1.0)
    assert world.host.faults.strike("inspect") is None, "it was asked"
    world.await_state(uid_of(1), "running")


def test_a_stranger_is_removed_when_somebody_says_so(world: AgentWorld) -> None:
    spec = spec_of(5)
    world.host.make(Wanted(spec, claim_of(spec)))
    assert world.command("remove", spec.uid).failure is None
    assert world.host.guests == {}


def test_a_removal_that_the_host_refuses_is_answered_so_and_can_be_repeated(
    world: AgentWorld,
) -> None:
    spec = spec_of(1)
    world.realise(spec)
    world.await_state(spec.uid, "running")
    world.host.faults.add(Fault("delete", "error", text="device busy", times=1))
    failure = world.command("remove", spec.uid).failure
    assert failure is not None
    assert "device busy" in failure.what
    assert world.is_in(spec.uid, "deleting")
    assert world.command("remove", spec.uid).failure is None
    assert world.host.guests == {}


def test_nothing_is_wanted_of_what_is_being_removed(world: AgentWorld) -> None:
    spec = spec_of(1)
    world.realise(spec)
    world.await_state(spec.uid, "running")
    world.host.faults.add(Fault("delete", "hang", times=1))
    world.send("remove", spec.uid)
    world.time.advance(1.0)
    for failure in (
        world.command("snapshot", spec.uid, argument="a").failure,
        world.realise(newer(spec)).failure,
    ):
        assert failure is not None
        assert failure.kind == "WrongState"


# -- figures --------------------------------------------------------------------------------------


def test_running_instances_are_measured_at_an_interval(world: AgentWorld) -> None:
    world.realise(spec_of(1))
    world.await_state(uid_of(1), "running")
    sampling = world.node.address(names.sampling(HOST))
    world.time.advance(limits.SAMPLE_S + 1.0)
    first = sampling.call(LATEST).get()
    world.time.advance(limits.SAMPLE_S + 1.0)
    second = sampling.call(LATEST).get()
    assert second.at > first.at
    assert second.by_uid[uid_of(1)].cpu_seconds > first.by_uid[uid_of(1)].cpu_seconds
    world.host.faults.add(Fault("stats", "error"))
    world.time.advance(limits.SAMPLE_S + 1.0)
    third = sampling.call(LATEST).get()
    assert (third.at, third.by_uid) == (second.at, second.by_uid)
    assert third.error is not None


def test_numbers_asked_for_are_measured_now_but_once_for_a_crowd(world: AgentWorld) -> None:
    world.realise(spec_of(1))
    world.await_state(uid_of(1), "running")
    sampling = world.node.address(names.sampling(HOST))
    world.time.advance(2.0)
    latest = sampling.call(LATEST).get()
    crowd = [sampling.call(Fresh(uid_of(1))) for _ in range(50)]
    found = [future.get() for future in crowd]
    assert found[0].at > latest.at
    assert all(sample is found[0] for sample in found)
    assert sampling.call(Fresh(uid_of(1))).get() is found[0], "a second has not passed"
    world.time.advance(limits.SAMPLE_FRESH_S)
    assert sampling.call(Fresh(uid_of(1))).get().at > found[0].at


def test_calls_of_the_driver_are_counted_by_verb_and_outcome(world: AgentWorld) -> None:
    world.realise(spec_of(1))
    world.await_state(uid_of(1), "running")
    world.host.faults.add(Fault("start", "error"))
    world.realise(spec_of(2))
    world.await_state(uid_of(2), "failed")
    calls = world.settings.calls
    assert calls.counts["create", "ok"] == 2
    assert calls.counts["start", "ok"] == calls.counts["start", "failed"] == 1
    assert sum(calls.latencies["start"].counts) == 2


def test_who_asks_for_numbers_is_told_that_they_cannot_be_had(world: AgentWorld) -> None:
    sampling = world.node.address(names.sampling(HOST))
    world.time.advance(2.0)
    world.host.faults.add(Fault("stats", "error", times=1))
    with pytest.raises(DriverFailed):
        sampling.call(Fresh(uid_of(1))).get()
    assert sampling.call(Fresh(uid_of(1))).get().error is None, "the next measuring is a new one"
