"""Instances of before wires were claimed: what they have is claimed when a node starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from fifo.fleet.placement import PlacementClient
from fifo.model import keys, records
from fifo.model.errors import AlreadyExists, Unavailable
from fifo.model.hypervisor import Allocation
from fifo.model.instance import Claim, Shares
from fifo.model.wires import make_mac, wire_of
from fifo.store.contract import Put
from supervisors import Future
from tests.fleet.asking import NOTHING, ask, claimed, client, held, settled
from tests.fleet.test_wires import LATER, WIRE, made_later, on_wire
from tests.workflows.cases import operation
from tests.workflows.stage import HOST, NETWORK, Stage, uid, zone

if TYPE_CHECKING:
    import pytest

    from fifo.model.instance import InstanceSpec
    from fifo.workflows.world import Unclaimable

MAC = "02:aa:bb:cc:dd:01"
ROOM = Shares(cpu=0, memory=256, disk=10)


def old(stage: Stage, *specs: InstanceSpec, **networks: str) -> None:
    """Write instances as they were before: what names no network has claimed nothing."""
    used = Shares(memory=ROOM.memory * len(specs), disk=ROOM.disk * len(specs))
    allocation = Allocation(host=HOST, used=used, instances=len(specs))
    puts = [Put(keys.by_uid(keys.ALLOCATION, HOST), records.encode(allocation))]
    for spec in specs:
        claim = Claim(uid=spec.uid, host=HOST, shares=ROOM, networks=networks)
        puts += [
            Put(keys.by_uid(keys.INSTANCE_SPEC, spec.uid), records.encode(spec)),
            Put(keys.by_uid(keys.CLAIM, spec.uid), records.encode(claim)),
        ]
    stage.write(*puts)


def restart(stage: Stage) -> None:
    stage.crash()
    stage.start()
    stage.host.run_ready()


def claim_of(stage: Stage, number: int) -> Claim:
    claim = stage.catalog.claims.record(uid(number))
    assert claim is not None
    return claim


def test_what_an_old_instance_has_of_a_wire_is_claimed_when_the_node_starts() -> None:
    stage = Stage()
    spec = on_wire(1, "10.9.0.5/24", "10.9.0.6/24", mac=MAC)
    old(stage, spec)
    restart(stage)
    assert claim_of(stage, 1).networks == {MAC: WIRE}
    assert claim_of(stage, 1).addresses == {MAC: ("10.9.0.5/24", "10.9.0.6/24")}
    assert held(stage)[1] == claimed(stage)
    (other,) = settled(stage, ask(stage, on_wire(2, "10.9.0.6/24")))
    assert isinstance(other[uid(2)].error, AlreadyExists)
    (other,) = settled(stage, ask(stage, on_wire(2, "10.9.0.9/24", mac=MAC)))
    assert isinstance(other[uid(2)].error, AlreadyExists)
    before = stage.content()
    restart(stage)
    assert stage.content() == before
    (changed,) = settled(stage, client(stage).resize(spec))
    assert changed.claim == claim_of(stage, 1)
    settled(stage, client(stage).release((uid(1),)))
    assert held(stage) == NOTHING
    assert not stage.catalog.macs.entries


def test_it_stays_off_the_network_that_its_wire_has_by_now_until_it_is_changed() -> None:
    stage = Stage()
    old(stage, on_wire(1, "10.9.0.5/24"))
    made_later(stage)
    restart(stage)
    assert set(claim_of(stage, 1).networks.values()) == {WIRE}
    (changed,) = settled(stage, client(stage).resize(on_wire(1, "10.9.0.5/24")))
    assert set(changed.claim.networks.values()) == {LATER}


def test_of_two_old_ones_with_one_address_both_are_kept_and_it_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = Stage()
    twin = msgspec.structs.replace(on_wire(2, "10.9.0.5/24"), create_time=-1.0)
    old(stage, on_wire(1, "10.9.0.5/24"), twin, on_wire(3, "10.9.0.7/24"))
    before = claim_of(stage, 1)
    restart(stage)
    assert claim_of(stage, 1) == before
    assert set(claim_of(stage, 2).networks.values()) == {WIRE}
    assert set(claim_of(stage, 3).networks.values()) == {WIRE}
    assert held(stage)[1] == claimed(stage)
    assert "orgs/default/instances/web-1 " in caplog.text
    assert "10.9.0.5/24: the address is taken: orgs/default/instances/web-2 has it" in caplog.text
    settled(stage, client(stage).release((uid(1), uid(2), uid(3))))
    assert held(stage) == NOTHING


def test_a_hardware_address_chosen_on_a_network_is_claimed_and_its_addresses_stay() -> None:
    stage = Stage()
    spec = zone(1)
    settled(stage, ask(stage, spec))
    (nic,) = spec.nics
    stage.write(Put(keys.by_uid(keys.INSTANCE_SPEC, uid(1)), records.encode(spec)))
    before = claim_of(stage, 1)
    stage.store.delete(keys.MAC + nic.mac.encode())
    restart(stage)
    assert set(stage.catalog.macs.entries) == {nic.mac}
    assert claim_of(stage, 1) == before
    assert before.networks == {nic.mac: NETWORK}


def test_what_an_operation_is_about_is_left_to_that() -> None:
    stage = Stage()
    old(stage, on_wire(1, "10.9.0.5/24"))
    change = msgspec.structs.replace(on_wire(1, "10.9.0.5/24"), generation=2)
    stage.truth.silent = True
    stage.submit(operation("stop_instance", (uid(1),), change))
    restart(stage)
    assert claim_of(stage, 1).networks == {}


def test_what_is_no_address_is_passed_over() -> None:
    stage = Stage()
    old(stage, on_wire(1, "10.9.0.500/24"), on_wire(2, "dhcp"), on_wire(3, "10.9.0.5/24"))
    restart(stage)
    assert [claim_of(stage, number).networks for number in (1, 2)] == [{}, {}]
    assert claim_of(stage, 3).networks == {make_mac(uid(3), 0): wire_of("external", 9)}


def test_a_claim_that_cannot_be_read_and_a_placement_that_is_busy_stop_nothing(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage()
    old(stage, on_wire(1, "10.9.0.5/24"), on_wire(2, "10.9.0.6/24"))
    stage.write(Put(keys.by_uid(keys.CLAIM, uid(2)), b"{"))
    busy: Future[Unclaimable] = Future()
    busy.fail(Unavailable("too many wait", "placement"))
    with monkeypatch.context() as patch:
        patch.setattr(PlacementClient, "backfill", lambda self, uids: busy)
        restart(stage)
    assert f"What {uid(2)} has is not looked at" in caplog.text
    assert "were not all made: placement: too many wait" in caplog.text
    (placed,) = settled(stage, ask(stage, on_wire(3, "10.9.0.7/24")))
    assert placed[uid(3)].error is None
    restart(stage)
    assert set(claim_of(stage, 1).networks.values()) == {WIRE}
