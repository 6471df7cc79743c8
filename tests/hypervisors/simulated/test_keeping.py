"""A simulated host that is written and read is the host that it was."""

from __future__ import annotations

import pytest

from fifo.hypervisors.simulated import keeping
from fifo.hypervisors.simulated.host import SimulatedHost
from fifo.model.errors import DataLoss
from tests.simulation.machine import Machine
from tests.workflows.stage import uid, zone


def test_a_host_that_is_written_down_is_read_as_it_was() -> None:
    machine = Machine()
    for number in (1, 2):
        machine.run("create_instance", (uid(number),), zone(number, nics=()))
    before = machine.hypervisor
    after = SimulatedHost(before.clockwork, before.settings)
    keeping.read(after, keeping.write(before))
    assert {own: guest.observed() for own, guest in after.guests.items()} == {
        own: guest.observed() for own, guest in before.guests.items()
    }
    assert after.boot_id == before.boot_id
    assert after.used == before.used


def test_other_bytes_are_refused() -> None:
    machine = Machine()
    with pytest.raises(DataLoss):
        keeping.read(machine.hypervisor, b'{"type": "claim/1"}')
