"""What counts as a stranger on a host: what the store neither knows nor has owed."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest

from fifo.agent import names as agent_names
from fifo.fleet.placement import PlacementClient
from fifo.fleet.strangers import strangers
from fifo.model import keys, records
from fifo.model.errors import AlreadyExists, Unavailable
from fifo.model.hypervisor import Probe
from fifo.model.instance import Cleanup, Nic, Shares
from fifo.model.link import Hello
from fifo.store.contract import Put
from fifo.workflows.strangers import foreign
from supervisors import Future
from tests.fleet.test_settling import go_back
from tests.simulation.machine import HYPERVISOR, Machine
from tests.workflows.stage import HOST, Stage, uid, zone

if TYPE_CHECKING:
    from fifo.model.instance import Claim, Owed
    from fifo.workflows.world import Placed


@pytest.mark.parametrize(
    ("what", "snapshot", "listed"),
    [("instance", "", ()), ("snapshot", "before", (uid(1),)), ("image", "", (uid(1),))],
)
def test_what_is_owed_as_a_whole_is_no_stranger(
    what: Owed, snapshot: str, listed: tuple[str, ...]
) -> None:
    stage = Stage()
    debt = Cleanup(uid=uid(1), host=HOST, operation="op-x", since=0.0, what=what, snapshot=snapshot)
    stage.write(Put(keys.cleanup(HOST, uid(1), snapshot), records.encode(debt)))
    probe = Probe(driver="simulated", brands=("lx",), capacity=Shares())
    hello = Hello(
        host=HOST, probe=probe, version="1", highest_fence=0, first_unacknowledged=1,
        next_sequence=1, statuses=(), foreign=(uid(1),),
    )  # fmt: skip
    assert strangers(stage.catalog, hello) == listed


def on_wire(number: int) -> Nic:
    """Give an interface with an address of a bare wire: the same for every number."""
    mac = f"02:00:00:00:00:{number:02x}"
    return Nic(interface="net0", mac=mac, nic_tag="external", ips=("10.9.9.7/24",))


def kept(machine: Machine) -> list[tuple[str, str]]:
    """Give the addresses that are taken, hardware's too, and the stranger that each is kept for."""
    taken = (*machine.catalog.addresses, *machine.catalog.macs)
    return [(entry.record.address, entry.record.stranger) for entry in taken]


def greet_again(machine: Machine) -> None:
    """Have the host's agent end, and its session find the next one."""
    agent = machine.node.whereis(agent_names.gateway(HYPERVISOR))
    assert agent is not None
    agent.kill()
    machine.scheduler.advance(10.0)


def test_a_greeting_during_an_adoption_that_fails_takes_nothing_from_the_stranger(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine()
    backup = copy.deepcopy(machine.disk)
    backup.taken = False
    made = machine.run("create_instance", (uid(1),), zone(1, nics=(on_wire(1),)))
    assert made.state == "done"
    go_back(machine, backup)
    before = kept(machine)
    assert len(before) == 2

    def full(client: PlacementClient, claim: Claim) -> Future[Placed]:
        del client, claim
        busy: Future[Placed] = Future()
        busy.fail(Unavailable("too many placements wait", "placement"))
        return busy

    monkeypatch.setattr(PlacementClient, "adopt", full)
    asked = {"host": HYPERVISOR, "id": ""}
    adoption = machine.submit("adopt_foreign_instance", (uid(1),), asked)
    machine.scheduler.advance(2.0)
    assert machine.catalog.specs.get(uid(1)) is not None
    assert foreign(machine.catalog, HYPERVISOR) == ()
    greet_again(machine)
    assert kept(machine) == before
    assert machine.finish(adoption).state == "failed"
    assert foreign(machine.catalog, HYPERVISOR) == (uid(1),)
    assert kept(machine) == before
    with pytest.raises(AlreadyExists, match="foreign"):
        machine.submit("create_instance", (uid(1),), zone(1, nics=()))
    other = machine.run("create_instance", (uid(2),), zone(2, nics=(on_wire(2),)))
    assert other.state == "failed"
    monkeypatch.undo()
    again = machine.run("adopt_foreign_instance", (uid(1),), asked)
    assert (again.state, again.failures) == ("done", {})
    greet_again(machine)
    status = machine.catalog.host_statuses.record(HYPERVISOR)
    assert status is not None
    assert status.foreign == ()
    assert {stranger for _, stranger in kept(machine)} == {""}
