"""What a host that cannot be asked still owes is told of, by it and by the operation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from fifo.api.resources import hypervisors, operations
from fifo.fleet import limits
from fifo.hypervisors.simulated.faults import Fault
from fifo.hypervisors.simulated.settings import HostSettings
from fifo.model import keys, records
from fifo.model.errors import AlreadyExists
from fifo.model.instance import Cleanup, Exit, RestartPolicy
from fifo.store.contract import Put, Txn
from fifo.v1.operation_pb2 import OperationMetadata
from supervisors import GenServer
from tests.simulation.machine import HYPERVISOR, Machine
from tests.simulation.test_one_machine import bare_zone
from tests.simulation.test_sight import wait_for
from tests.workflows.stage import uid

if TYPE_CHECKING:
    from fifo.fleet.operations import Operations
    from fifo.model.operation import Operation


class Caller(GenServer):
    """Cancels an operation."""

    async def init(self, own: Operations, operation_id: str) -> None:
        await own.cancel(operation_id)


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


def owed_snapshots(machine: Machine) -> list[str]:
    parts = hypervisors.capture(machine.catalog, HYPERVISOR)
    assert parts is not None
    return list(hypervisors.message(machine.catalog, parts).owed_snapshots)


def snapshots(machine: Machine) -> list[str]:
    return [taken.name for taken in machine.hypervisor.guests[uid(1)].snapshots]


def lost_in_snapshots(*names: str) -> tuple[Machine, list[Operation]]:
    """Lose a host while snapshots are taken, which it goes on with and tells nobody of."""
    machine = Machine(settings=HostSettings(latency_s={"snapshot": (5.0, 5.0)}))
    machine.run("create_instance", (uid(1),), bare_zone(1))
    machine.hypervisor.faults.add(Fault("snapshot", "lost_reply"))
    ended = []
    for name in names:
        operation = machine.submit("create_snapshot", (uid(1),), {"snapshot": name})
        machine.scheduler.advance(1.0)
        machine.hypervisor.faults.add(Fault("probe", "hang"))
        machine.hypervisor.break_events("the keeper is gone")
        ended.append(machine.finish(operation, 900.0))
    return machine, ended


def test_a_snapshot_that_was_taken_as_its_host_was_lost_is_owed_and_dropped() -> None:
    machine, (ended,) = lost_in_snapshots("before")
    assert (ended.state, ended.owed) == ("failed", (0,))
    assert snapshots(machine) == ["before"], "it is on the host, and nobody was told"
    assert owed(machine) == []
    assert owed_snapshots(machine) == [f"orgs/default/instances/{uid(1)}/snapshots/before"]
    (told,) = owed_of(machine, ended)
    assert told.endswith("still has to remove orgs/default/instances/web-1/snapshots/before")
    with pytest.raises(AlreadyExists, match="host-1 still has to remove a snapshot of this name"):
        machine.submit("create_snapshot", (uid(1),), {"snapshot": "before"})
    machine.hypervisor.faults.clear()
    wait_for(machine, "ready", 120.0)
    machine.scheduler.advance(10.0)
    assert snapshots(machine) == owed_snapshots(machine) == owed_of(machine, ended) == []
    assert machine.hypervisor.guests[uid(1)].running
    assert machine.catalog.claims.get(uid(1)) is not None
    again = machine.run("create_snapshot", (uid(1),), {"snapshot": "before"})
    assert again.state == "done", again.failure
    assert snapshots(machine) == ["before"]


def test_a_snapshot_that_is_owed_of_an_instance_that_is_gone_is_owed_no_more() -> None:
    machine, _ = lost_in_snapshots("before")
    assert machine.run("delete_instance", (uid(1),)).state == "failed"
    assert (owed(machine), len(owed_snapshots(machine))) == ([uid(1)], 1)
    machine.hypervisor.faults.clear()
    wait_for(machine, "ready", 120.0)
    machine.scheduler.advance(2 * limits.SETTLE_AGAIN_S)
    assert (owed(machine), owed_snapshots(machine)) == ([], [])
    assert not machine.hypervisor.guests


def test_a_snapshot_that_is_cancelled_while_its_instance_backs_off_is_owed() -> None:
    machine = Machine()
    patient = RestartPolicy(first_s=200.0, most_s=200.0)
    made = msgspec.structs.replace(bare_zone(1), restart=patient)
    machine.run("create_instance", (uid(1),), made)
    machine.hypervisor.end(uid(1), Exit(at=machine.utc(), signal=9))
    operation = machine.submit("create_snapshot", (uid(1),), {"snapshot": "before"})
    machine.scheduler.advance(2.0)
    machine.node.start(Caller, machine.operations, operation.id).get()
    ended = machine.finish(operation)
    assert (ended.state, ended.owed, ended.refused) == ("cancelled", (0,), ())
    assert len(owed_snapshots(machine)) == 1
    machine.scheduler.advance(200.0 + 2 * limits.SETTLE_AGAIN_S)
    assert machine.hypervisor.guests[uid(1)].running
    assert owed_snapshots(machine) == snapshots(machine) == []


def test_several_snapshots_that_are_owed_of_one_instance_are_each_dropped() -> None:
    machine, _ = lost_in_snapshots("one")
    catalog = machine.catalog
    machine.hypervisor.guests[uid(1)].snapshots *= 2
    first, second = machine.hypervisor.guests[uid(1)].snapshots
    machine.hypervisor.guests[uid(1)].snapshots = (
        first, msgspec.structs.replace(second, name="two"),
    )  # fmt: skip
    debt = Cleanup(
        uid=uid(1), host=HYPERVISOR, operation="op-x", since=0.0, what="snapshot", snapshot="two"
    )
    put = Put(keys.cleanup(HYPERVISOR, uid(1), "two"), records.encode(debt))
    assert catalog.store.txn(Txn(then=(put,))).get().succeeded
    machine.hypervisor.faults.clear()
    wait_for(machine, "ready", 120.0)
    machine.scheduler.advance(10.0)
    assert owed_snapshots(machine) == []
    assert snapshots(machine) == []
