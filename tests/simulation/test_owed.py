"""What a host that cannot be asked still owes is told of, by it and by the operation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fifo.api.resources import hypervisors, operations
from fifo.hypervisors.simulated.faults import Fault
from fifo.v1.operation_pb2 import OperationMetadata
from tests.simulation.machine import HYPERVISOR, Machine
from tests.simulation.test_one_machine import bare_zone
from tests.simulation.test_sight import wait_for
from tests.workflows.stage import uid

if TYPE_CHECKING:
    from fifo.model.operation import Operation


def owed(machine: Machine) -> list[str]:
    parts = hypervisors.capture(machine.catalog, HYPERVISOR)
    assert parts is not None
    return list(hypervisors.message(machine.catalog, parts).owed_cleanups)


def owed_of(machine: Machine, operation: Operation) -> list[str]:
    metadata = OperationMetadata()
    operations.of_record(machine.catalog, operation).metadata.Unpack(metadata)
    return list(metadata.owed_cleanups)


def test_what_a_lost_host_owes_is_told_until_it_has_done_it() -> None:
    machine = Machine()
    for number in (1, 2):
        machine.run("create_instance", (uid(number),), bare_zone(number))
    assert owed(machine) == []
    machine.hypervisor.faults.add(Fault("probe", "hang"))
    machine.hypervisor.break_events("the keeper is gone")
    wait_for(machine, "unreachable", 20.0)
    ended = machine.run("delete_instance", (uid(1),))
    assert ended.state == "failed"
    assert owed(machine) == [uid(1)]
    (told,) = owed_of(machine, ended)
    assert told.startswith("hypervisors/host-1 still has to remove ")
    assert machine.catalog.claims.get(uid(1)) is not None, "its claim stays held"
    machine.hypervisor.faults.clear()
    wait_for(machine, "ready", 120.0)
    machine.scheduler.advance(10.0)
    assert owed(machine) == owed_of(machine, ended) == []
    assert machine.catalog.claims.get(uid(1)) is None
    assert set(machine.hypervisor.guests) == {uid(2)}


def test_a_host_that_was_lost_in_a_snapshot_keeps_the_instance() -> None:
    machine = Machine()
    machine.run("create_instance", (uid(1),), bare_zone(1))
    machine.hypervisor.faults.add(Fault("snapshot", "hang"))
    operation = machine.submit("create_snapshot", (uid(1),), {"snapshot": "before"})
    machine.scheduler.advance(1.0)
    machine.hypervisor.faults.add(Fault("probe", "hang"))
    machine.hypervisor.break_events("the keeper is gone")
    assert machine.finish(operation, 900.0).state == "failed"
    assert owed(machine) == [], "its removal was never asked for"
    machine.hypervisor.faults.clear()
    wait_for(machine, "ready", 120.0)
    machine.scheduler.advance(60.0)
    assert set(machine.hypervisor.guests) == {uid(1)}
    assert machine.catalog.claims.get(uid(1)) is not None
