"""IP addresses of one transaction in the making: whose they are, taken, kept and given back.

Each is claimed of a network, or of the bare wire where no network has it (`fifo.model.wires`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from fifo.fleet.refusals import being_changed, holder
from fifo.fleet.strangers import kept_for
from fifo.model import address_pool, keys, names
from fifo.model.errors import AlreadyExists, FifoError, WrongState
from fifo.model.network import AddressClaim
from fifo.model.wires import is_wire, wire_of

if TYPE_CHECKING:
    from fifo.fleet.addresses import Addresses
    from fifo.fleet.write_set import WriteSet
    from fifo.model.instance import Nic
    from fifo.store.catalog import Catalog


class Ips:
    """The addresses of one transaction in the making; its ledger's."""

    def __init__(
        self, writes: WriteSet, catalog: Catalog, addresses: Addresses, now: float
    ) -> None:
        self._writes = writes
        self._catalog = catalog
        self._addresses = addresses
        self._now = now

    def held(self, network: str, text: str) -> AddressClaim | None:
        """Give who has an address of a network or a wire, as it will be; None if nobody has."""
        return self._writes.read(self._catalog.addresses, _path(network, text))

    def refuse_taken(self, network: str, text: str) -> AlreadyExists:
        """Say that an address is taken, and by whom."""
        held = self.held(network, text)
        who = (
            f": {holder(self._catalog, held.uid or held.stranger)} has it"
            if held is not None
            else ""
        )
        return AlreadyExists(f"the address is taken{who}", text, "choose another, or none")

    def refuse_strangers(self, network: str, text: str, uid: str) -> FifoError | None:
        """Say why an address cannot be a stranger's own; None if it can."""
        if is_wire(network):
            return self._refuse_others(network, text, uid) or self._refuse_networks(
                network, text, uid
            )
        found = self._catalog.networks.record(network)
        if found is None:
            told = "its network is not in the store"
            remedy = f"create the network with the uid {network}, or remove the instance"
            return WrongState(told, names.instance_name(uid), remedy, reason="NO_NETWORK")
        if found.closed:
            return being_changed(found)
        return self._refuse_others(network, text, uid) or (
            self._refuse_others(wire_of(found.nic_tag, found.vlan_id), text, uid)
        )

    def _refuse_others(self, network: str, text: str, uid: str) -> FifoError | None:
        held = self.held(network, text)
        if held is not None and held.stranger == uid:
            return None
        if not self._addresses.is_taken(network, text):
            return None
        who = holder(self._catalog, held.uid or held.stranger) if held is not None else "another"
        return WrongState(
            f"its address {text} was given to another meanwhile: {who} has it",
            names.instance_name(uid),
            "have that one give it back, or remove this one",
            reason="ADDRESS_TAKEN",
        )

    def _refuse_networks(self, wire: str, text: str, uid: str) -> FifoError | None:
        """Say why an address of a wire cannot be a stranger's, for a network that is there now."""
        for entry in self._catalog.networks:
            own = entry.record
            if wire_of(own.nic_tag, own.vlan_id) == wire and (
                (error := self._refuse_others(own.uid, text, uid)) is not None
            ):
                return error
        return None

    # -- taking ------------------------------------------------------------------------------

    def take(self, network: str, text: str, uid: str, mac: str) -> None:
        """Claim an address for an instance's interface; the transaction expects its network."""
        bare = address_pool.bare(text)
        claim = AddressClaim(network=network, address=bare, uid=uid, mac=mac, since=self._now)
        self._write(network, text, claim)
        self._expect_network(network)

    def _expect_network(self, network: str) -> None:
        """Have the claim lost to who deletes its network, or closes it, which comes first."""
        if is_wire(network):
            return
        held = self._catalog.networks.get(network)
        assert held is not None
        self._writes.expect(held)

    def expect_no_network(self, nic: Nic) -> None:
        """Have the claim lost to who makes the first network of its wire meanwhile."""
        guard = keys.wire_guard(nic.nic_tag, nic.vlan_id)
        if guard not in self._catalog.ids:
            self._writes.expect_absent(guard)

    def keep(self, network: str, text: str, uid: str) -> None:
        """Keep an address for a stranger; the transaction expects its network."""
        kept = msgspec.structs.replace(
            kept_for(uid, self._now), network=network, address=address_pool.bare(text)
        )
        self._write(network, text, kept)
        self._expect_network(network)

    def _write(self, network: str, text: str, claim: AddressClaim) -> None:
        path = _path(network, text)
        self._writes.write(self._catalog.addresses, path, claim)
        if not self._addresses.has_path(path):
            self._addresses.take_path(path)
            self._writes.note(self._addresses.free_path, path)

    def give_back(self, network: str, text: str) -> None:
        """Give an address back; one that is stored is free when the transaction has taken."""
        path = _path(network, text)
        if self._writes.read(self._catalog.addresses, path) is None:
            return
        self._writes.write(self._catalog.addresses, path, None)
        if self._catalog.addresses.get(path) is None:
            # Of this transaction: nobody will tell that it is free again.
            self._addresses.free_path(path)
            self._writes.note(self._addresses.take_path, path)


def _path(network: str, text: str) -> str:
    """Give where an address stands in its table."""
    return keys.address(network, address_pool.bare(text))[len(keys.ADDRESS) :].decode()
