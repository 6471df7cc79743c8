"""Claims of a bare wire: the ledger holds one address once, whatever names it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from fifo.model import keys, limits, records, wires
from fifo.model.errors import AlreadyExists, Conflict, WrongState
from fifo.model.instance import Claim, InstanceSpec, Nic, Shares
from fifo.model.wires import is_wire, make_mac, own_macs, wire_of
from fifo.store.contract import Put
from tests.fleet.asking import NOTHING, ask, claimed, client, held, settled
from tests.workflows.stage import HOST, Stage, uid, zone

if TYPE_CHECKING:
    from fifo.model.network import Network

WIRE = wire_of("external", 9)
LATER = "00000000-0000-4000-8000-00000000b009"


def on_wire(number: int, *ips: str, mac: str = "", vlan_id: int = 9) -> InstanceSpec:
    nic = Nic(
        interface="net0",
        mac=mac or make_mac(uid(number), 0),
        nic_tag="external",
        vlan_id=vlan_id,
        ips=ips,
    )
    return zone(number, nics=(nic,))


def test_two_that_ask_at_once_for_one_address_of_a_wire_are_told_apart() -> None:
    stage = Stage()
    one, other = settled(
        stage, ask(stage, on_wire(1, "10.9.0.5/24")), ask(stage, on_wire(2, "10.9.0.5/16"))
    )
    assert one[uid(1)].claim.networks == {make_mac(uid(1), 0): WIRE}
    assert isinstance(other[uid(2)].error, AlreadyExists)
    assert held(stage)[1] == claimed(stage)
    settled(stage, client(stage).release((uid(1),)))
    assert held(stage) == NOTHING


def test_an_instance_does_not_have_one_address_of_a_wire_twice() -> None:
    stage = Stage()
    spec = on_wire(1, "10.9.0.5/24")
    (nic,) = spec.nics
    twin = msgspec.structs.replace(nic, interface="net1", mac=make_mac(uid(1), 1))
    spec = msgspec.structs.replace(spec, nics=(nic, twin))
    (answer,) = settled(stage, ask(stage, spec))
    assert isinstance(answer[uid(1)].error, AlreadyExists)
    assert held(stage) == NOTHING


def test_a_change_exchanges_addresses_of_a_wire_and_keeps_what_stays() -> None:
    stage = Stage()
    settled(stage, ask(stage, on_wire(1, "10.9.0.5/24", "10.9.0.6/24")))
    wider = on_wire(1, "10.9.0.6/24", "10.9.0.7/24")
    (changed,) = settled(stage, client(stage).resize(wider))
    assert list(changed.claim.addresses.values()) == [("10.9.0.6/24", "10.9.0.7/24")]
    assert held(stage)[1] == claimed(stage)
    (again,) = settled(stage, ask(stage, on_wire(2, "10.9.0.5/24")))
    assert again[uid(2)].error is None
    (moved,) = settled(stage, client(stage).resize(on_wire(1, "10.9.0.6/24", vlan_id=8)))
    assert moved.error is None
    assert held(stage)[1] == claimed(stage)


def made_later(stage: Stage) -> Network:
    """Make a network on the wire."""
    (entry,) = stage.catalog.networks
    pool = msgspec.structs.replace(
        entry.record.pools[0], subnet="10.9.0.0/24", first="10.9.0.5", last="10.9.0.9", gateway=""
    )
    network = msgspec.structs.replace(
        entry.record, uid=LATER, id="later", nic_tag="external", vlan_id=9, pools=(pool,)
    )
    stage.write(Put(keys.by_uid(keys.NETWORK, LATER), records.encode(network)))
    return network


def test_what_was_claimed_of_a_wire_goes_over_to_the_network_that_was_made_on_it() -> None:
    stage = Stage()
    settled(stage, ask(stage, on_wire(1, "10.9.0.5/24")))
    network = made_later(stage)
    (taken,) = settled(stage, ask(stage, on_wire(2, "10.9.0.5/24")))
    assert isinstance(taken[uid(2)].error, AlreadyExists)
    (changed,) = settled(stage, client(stage).resize(on_wire(1, "10.9.0.5/24")))
    assert set(changed.claim.networks.values()) == {LATER}
    assert held(stage)[1] == claimed(stage)
    closed = msgspec.structs.replace(network, closed=True)
    stage.write(Put(keys.by_uid(keys.NETWORK, LATER), records.encode(closed)))
    (answer,) = settled(stage, ask(stage, on_wire(3, "10.9.0.6/24")))
    assert isinstance(answer[uid(3)].error, Conflict)


def test_a_claim_of_a_wire_is_adopted_unless_another_has_the_address() -> None:
    stage = Stage()
    claim = Claim(
        uid=uid(5), host=HOST, shares=Shares(memory=100), networks={"m": WIRE},
        addresses={"m": ("10.9.0.5/24",)}, operation="op-adopt",
    )  # fmt: skip
    place = client(stage)
    settled(stage, ask(stage, on_wire(1, "10.9.0.5/24")))
    assert isinstance(settled(stage, place.adopt(claim))[0].error, WrongState)
    settled(stage, place.release((uid(1),)))
    assert settled(stage, place.adopt(claim))[0].error is None
    settled(stage, place.disown(uid(5), "op-adopt"))
    (entry,) = stage.catalog.addresses
    assert (entry.record.network, entry.record.stranger) == (WIRE, uid(5))
    assert settled(stage, place.adopt(claim))[0].error is None


def test_a_claim_of_a_wire_is_not_adopted_where_a_network_has_given_the_address() -> None:
    stage = Stage()
    network = made_later(stage)
    nic = Nic(interface="net0", mac=make_mac(uid(1), 0), network=network.uid)
    (given,) = settled(stage, ask(stage, zone(1, nics=(nic,))))
    assert list(given[uid(1)].claim.addresses.values()) == [("10.9.0.5/24",)]
    stage.write(Put(keys.by_uid(keys.INSTANCE_SPEC, uid(1)), records.encode(zone(1))))
    claim = Claim(
        uid=uid(5), host=HOST, shares=Shares(memory=100), networks={"m": WIRE},
        addresses={"m": ("10.9.0.5/24",)}, operation="op-adopt",
    )  # fmt: skip
    error = settled(stage, client(stage).adopt(claim))[0].error
    assert isinstance(error, WrongState)
    assert "orgs/default/instances/web-1 has it" in error.what


@pytest.mark.parametrize("ips", [(), ("10.9.0.6/24",)])
def test_a_chosen_hardware_address_is_held_once_and_given_back(ips: tuple[str, ...]) -> None:
    stage = Stage()
    mac = "02:aa:bb:cc:dd:01"
    settled(stage, ask(stage, on_wire(1, "10.9.0.5/24", mac=mac)))
    (refused,) = settled(stage, ask(stage, on_wire(2, *ips, mac=mac, vlan_id=3)))
    assert isinstance(refused[uid(2)].error, AlreadyExists)
    settled(stage, client(stage).resize(on_wire(1, "10.9.0.5/24")))
    assert not stage.catalog.macs.entries
    (taken,) = settled(stage, ask(stage, on_wire(2, *ips, mac=mac, vlan_id=3)))
    assert taken[uid(2)].error is None
    settled(stage, client(stage).release((uid(1), uid(2))))
    assert held(stage) == NOTHING
    assert not stage.catalog.macs.entries


def test_a_wire_is_told_from_a_network_and_stands_in_a_key() -> None:
    assert is_wire(WIRE)
    assert not is_wire(uid(1))
    assert "/" not in wire_of("sdc_overlay/1234", 0)
    assert wire_of("a/b", 0) != wire_of("a_b", 0) != wire_of("a-b", 0)


@pytest.mark.parametrize(("own", "hashes"), [("", 1), ("02:00:00:00:00:aa", 1 + limits.NICS)])
def test_a_placement_asks_once_which_hardware_addresses_were_chosen(
    monkeypatch: pytest.MonkeyPatch, own: str, hashes: int
) -> None:
    stage, spec, asked = Stage(), on_wire(1, "10.9.0.5/24", mac=own), []

    def counted(uid: str, index: int) -> str:
        asked.append(index)
        return make_mac(uid, index)

    monkeypatch.setattr(wires, "make_mac", counted)
    (answer,) = settled(stage, ask(stage, spec))
    assert answer[uid(1)].error is None
    assert len(asked) == hashes


def test_a_made_hardware_address_stays_made_when_an_interface_before_it_goes() -> None:
    spec = on_wire(1, mac=make_mac(uid(1), 3))
    assert own_macs(spec) == ()
    assert own_macs(on_wire(1, mac=make_mac(uid(2), 0))) == (make_mac(uid(2), 0),)
