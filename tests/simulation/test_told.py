"""What the API tells of work that goes on, and of work that a host still owes, in virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from fifo.api.resources import hypervisors, instances, operations
from fifo.hypervisors.simulated.faults import Fault
from fifo.hypervisors.simulated.settings import HostSettings
from fifo.model.errors import AlreadyExists
from fifo.model.instance import Exit, RestartPolicy
from tests.simulation.machine import HYPERVISOR, Machine
from tests.simulation.test_one_machine import bare_zone
from tests.workflows.stage import uid

if TYPE_CHECKING:
    from fifo.model.operation import Operation

LATENT_S = 2.0
AWAY_S = 600.0
JITTER = 0.2
"""By so much a wait may be longer, so that instances that ended together do not start so."""


def host(machine: Machine) -> hypervisors.Message:
    parts = hypervisors.capture(machine.catalog, HYPERVISOR)
    assert parts is not None
    return hypervisors.message(machine.catalog, parts)


def instance(machine: Machine) -> instances.Message:
    parts = instances.capture(machine.catalog, uid(1))
    assert parts is not None
    return instances.message(machine.catalog, parts)


def wait_until(machine: Machine, *, reconciling: bool, patience_s: float = 60.0) -> str:
    """Let time pass until an instance is told of so; gives its state then."""
    until_s = machine.scheduler.now_s + patience_s
    while instance(machine).reconciling is not reconciling:
        assert machine.scheduler.now_s < until_s, instance(machine)
        machine.scheduler.advance(0.05)
    return instances.Message.State.Name(instance(machine).state)


def told_of(machine: Machine, operation: Operation) -> operations.Metadata:
    record = machine.catalog.operations.record(operation.id)
    assert record is not None
    return operations.metadata(machine.catalog, record)


def test_what_a_host_owes_is_told_with_it_and_with_the_operation_until_it_is_done() -> None:
    machine = Machine()
    assert list(host(machine).owed_cleanups) == []
    machine.hypervisor.faults.add(Fault("create", "hang", times=1))
    operation = machine.submit("create_instance", (uid(1),), bare_zone())
    machine.scheduler.advance(2.0)
    machine.hypervisor.faults.add(Fault("probe", "hang"))
    machine.hypervisor.break_events("its wire was cut")
    ended = machine.finish(operation, patience_s=AWAY_S)
    assert (ended.state, ended.owed) == ("failed", (0,))
    assert list(host(machine).owed_cleanups) == [uid(1)]
    assert host(machine).state == hypervisors.Message.UNREACHABLE
    (debt,) = told_of(machine, ended).owed_cleanups
    assert debt.startswith("hypervisors/host-1 still has to remove ")
    assert host(machine).instance_count == 1, "the claim is held as long as it is owed"
    with pytest.raises(AlreadyExists, match="host-1 still has to remove"):
        machine.run("create_instance", (uid(1),), bare_zone())
    machine.hypervisor.faults.clear()
    machine.scheduler.advance(AWAY_S)
    assert host(machine).state == hypervisors.Message.READY
    assert list(host(machine).owed_cleanups) == []
    assert (host(machine).instance_count, machine.hypervisor.guests) == (0, {})
    assert machine.run("create_instance", (uid(1),), bare_zone()).state == "done"


def test_an_instance_is_reconciling_while_work_goes_on_and_at_no_other_time() -> None:
    latency = dict.fromkeys(("create", "start", "stop"), (LATENT_S, LATENT_S))
    machine = Machine(settings=HostSettings(latency_s=latency))
    machine.submit("create_instance", (uid(1),), bare_zone())
    assert instance(machine).reconciling
    assert wait_until(machine, reconciling=False) == "RUNNING"
    machine.hypervisor.end(uid(1), Exit(at=machine.utc(), code=1))
    began_s = machine.scheduler.now_s
    assert wait_until(machine, reconciling=True) != "RUNNING"
    assert wait_until(machine, reconciling=False) == "RUNNING"
    assert machine.scheduler.now_s - began_s >= LATENT_S


@pytest.mark.parametrize(
    ("policy", "waits_s"),
    [
        (RestartPolicy(when="always", first_s=4.0, most_s=20.0, factor=2.0, attempts=9),
         (4.0, 8.0, 16.0, 20.0)),
        (RestartPolicy(when="always", first_s=3.0, most_s=3.0, factor=2.0, attempts=9),
         (3.0, 3.0, 3.0, 3.0)),
    ],
)  # fmt: skip
def test_restarts_wait_as_the_policy_that_is_told_says(
    policy: RestartPolicy, waits_s: tuple[float, ...]
) -> None:
    machine = Machine()
    spec = msgspec.structs.replace(bare_zone(), restart=policy)
    machine.run("create_instance", (uid(1),), spec)
    told = instance(machine).restart_policy
    assert told.first_wait.ToTimedelta().total_seconds() == policy.first_s
    assert told.longest_wait.ToTimedelta().total_seconds() == policy.most_s
    for number, wait_s in enumerate(waits_s, 2):
        machine.hypervisor.end(uid(1), Exit(at=machine.utc(), code=1))
        began_s = machine.scheduler.now_s
        while machine.hypervisor.guests[uid(1)].start_id != number:
            assert machine.scheduler.now_s - began_s < 60.0
            machine.scheduler.advance(0.05)
        waited_s = machine.scheduler.now_s - began_s
        assert wait_s <= waited_s <= wait_s * (1 + JITTER) + 0.1
