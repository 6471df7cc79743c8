"""The whole chain, from an accepted operation to a running instance and back, in virtual time."""

from __future__ import annotations

import msgspec
import pytest

from fifo.model.instance import Exit, InstanceSpec
from tests.simulation.machine import HYPERVISOR, Machine
from tests.workflows.stage import uid, zone


def bare_zone(number: int = 1) -> InstanceSpec:
    return zone(number, nics=())


def test_an_instance_is_created_runs_and_goes() -> None:
    machine = Machine()
    status = machine.catalog.host_statuses.record(HYPERVISOR)
    assert status is not None
    assert status.condition == "ready"
    ended = machine.run("create_instance", (uid(1),), bare_zone())
    assert ended.state == "done", ended.failure
    instance = machine.catalog.statuses.record(uid(1))
    assert instance is not None
    assert instance.state == "running"
    assert machine.hypervisor.guests[uid(1)].running
    ended = machine.run("delete_instance", (uid(1),))
    assert ended.state == "done", ended.failure
    assert not machine.hypervisor.guests
    assert machine.catalog.specs.get(uid(1)) is None
    assert machine.catalog.statuses.get(uid(1)) is None
    assert machine.catalog.claims.get(uid(1)) is None


def test_a_killed_instance_is_back_within_a_second() -> None:
    machine = Machine()
    machine.run("create_instance", (uid(1),), bare_zone())
    machine.hypervisor.end(uid(1), Exit(at=machine.utc(), signal=9))
    machine.scheduler.advance(1.0)
    instance = machine.catalog.statuses.record(uid(1))
    assert instance is not None
    assert (instance.state, instance.restarts, instance.start_id) == ("running", 1, 2)


@pytest.mark.parametrize("seed", range(5))
def test_a_node_that_is_killed_finds_everything_as_it_left_it(seed: int) -> None:
    machine = Machine(seed)
    for number in range(1, 6):
        machine.run("create_instance", (uid(number),), bare_zone(number))
    starts = {own: guest.start_id for own, guest in machine.hypervisor.guests.items()}
    machine.kill()
    machine.hypervisor.end(uid(3), Exit(at=0.0, code=7))
    machine.start()
    machine.scheduler.advance(5.0)
    now = {own: guest.start_id for own, guest in machine.hypervisor.guests.items()}
    assert {own: now[own] for own in now if own != uid(3)} == {
        own: start for own, start in starts.items() if own != uid(3)
    }
    assert now[uid(3)] == starts[uid(3)] + 1
    third = machine.catalog.statuses.record(uid(3))
    assert third is not None
    assert third.state == "running"


def test_stop_start_reboot_and_update_reach_the_host() -> None:
    machine = Machine()
    machine.run("create_instance", (uid(1),), bare_zone())

    def change(**changed: object) -> InstanceSpec:
        spec = machine.catalog.specs.record(uid(1))
        assert spec is not None
        return msgspec.structs.replace(spec, generation=spec.generation + 1, **changed)

    assert machine.run("stop_instance", (uid(1),), change(wanted="stopped")).state == "done"
    assert not machine.hypervisor.guests[uid(1)].running
    assert machine.run("start_instance", (uid(1),), change(wanted="running")).state == "done"
    started = machine.hypervisor.guests[uid(1)].start_id
    assert machine.run("reboot_instance", (uid(1),), change(boot_generation=2)).state == "done"
    assert machine.hypervisor.guests[uid(1)].start_id == started + 1
    ended = machine.run("update_instance", (uid(1),), change(max_physical_memory=512))
    assert ended.state == "done", ended.failure
    claim = machine.catalog.claims.record(uid(1))
    assert claim is not None
    assert claim.shares.memory == 512
