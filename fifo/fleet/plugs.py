"""Plugs: what each interface of a spec claims its addresses of, a network or the bare wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fifo.fleet.refusals import being_changed
from fifo.model.errors import FifoError, NotFound
from fifo.model.wires import network_with, own_macs, static, wire_of

if TYPE_CHECKING:
    from fifo.model.instance import Claim, InstanceSpec, Nic
    from fifo.model.network import Network
    from fifo.store.catalog import Catalog


class Plug(NamedTuple):
    """Where an interface's addresses are claimed."""

    uid: str
    """The network's, or the wire (`fifo.model.wires`)."""
    network: Network | None
    others: tuple[str, ...]
    """What else of the same wire has addresses, by uid or wire: none of these may have its own."""
    chosen: bool
    """Somebody chose its hardware address, which is claimed too."""

    def keeps(self, nic: Nic, claim: Claim) -> bool:
        """Tell whether an interface keeps the addresses that a claim has for it."""
        if claim.networks.get(nic.mac) != self.uid or nic.mac not in claim.addresses:
            return False
        return static(nic) in {(), claim.addresses[nic.mac]}


def plugs(catalog: Catalog, spec: InstanceSpec) -> dict[str, Plug] | FifoError:
    """Find what the interfaces of a spec claim of, by mac; for the ledger, on placement's process.

    An interface that names no network, has no address of its own and a made-up hardware address
    claims nothing. NotFound for a network that is not there, Conflict for one being changed.
    """
    found: dict[str, Plug] = {}
    macs = own_macs(spec)
    for nic in spec.nics:
        network = _network(catalog, nic)
        if isinstance(network, FifoError):
            return network
        chosen = nic.mac in macs
        if network is not None:
            wire = wire_of(network.nic_tag, network.vlan_id)
            found[nic.mac] = Plug(network.uid, network, (wire,), chosen)
        elif static(nic) or chosen:
            found[nic.mac] = bare_plug(catalog, nic, chosen=chosen)
    return found


def bare_plug(catalog: Catalog, nic: Nic, *, chosen: bool) -> Plug:
    """Give what an interface claims of where no network is to have it."""
    wire = wire_of(nic.nic_tag, nic.vlan_id)
    return Plug(wire, None, tuple(_networks_on(catalog, nic)), chosen)


def nic_tags(catalog: Catalog, spec: InstanceSpec) -> frozenset[str]:
    """Give the nic tags that a host has to carry for a spec's interfaces, of a network or none.

    For placement, and for who tries a change; on the node's thread.
    """
    found = set()
    for nic in spec.nics:
        network = catalog.networks.record(nic.network) if nic.network else None
        found.add(nic.nic_tag if network is None else network.nic_tag)
    return frozenset(found - {""})


def _network(catalog: Catalog, nic: Nic) -> Network | FifoError | None:
    if nic.network:
        network = catalog.networks.record(nic.network)
        if network is None:
            return NotFound("the network does not exist", f"networks/{nic.network}")
    else:
        # One that was made since the interface was written, too.
        known = (entry.record for entry in catalog.networks)
        network = network_with(known, nic.nic_tag, nic.vlan_id, static(nic))
    if network is not None and network.closed:
        return being_changed(network)
    return network


def _networks_on(catalog: Catalog, nic: Nic) -> list[str]:
    wire = (nic.nic_tag, nic.vlan_id)
    known = (entry.record for entry in catalog.networks)
    return [own.uid for own in known if (own.nic_tag, own.vlan_id) == wire]
