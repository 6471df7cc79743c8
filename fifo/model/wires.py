"""Wires: a nic tag with a VLAN, on which interfaces hear each other, and what is made for them.

Where no network is named, and none has an address, it is claimed of the wire: by a key that stands
where else a network's uid does.
"""

from __future__ import annotations

import hashlib
import ipaddress
from typing import TYPE_CHECKING, Final

from fifo.model import limits
from fifo.model.address_pool import bare
from fifo.model.vmadm.texts import DYNAMIC

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fifo.model.instance import InstanceSpec, Nic
    from fifo.model.network import Network

_PREFIX: Final = "wire:"
"""A colon is in no uid."""
_LOCAL: Final = 0x02
"""The bit of the first octet that says 'made here' (IEEE 802)."""


def wire_of(nic_tag: str, vlan_id: int) -> str:
    """Give what stands for a wire where a network's uid would; without a slash, as keys want."""
    return f"{_PREFIX}{nic_tag.replace('/', '~')}:{vlan_id}"


def is_wire(uid: str) -> bool:
    """Tell whether what stands where a network's uid does is a wire."""
    return uid.startswith(_PREFIX)


def static(nic: Nic) -> tuple[str, ...]:
    """Give the addresses of an interface that its guest does not get by itself."""
    return tuple(ip for ip in nic.ips if ip not in DYNAMIC)


def network_with(
    networks: Iterable[Network], nic_tag: str, vlan_id: int, texts: tuple[str, ...]
) -> Network | None:
    """Find the network of a wire whose subnets hold all of some addresses; None without one.

    Raises ValueError for a text that is no address.
    """
    if not texts:
        return None
    addresses = [ipaddress.ip_address(bare(text)) for text in texts]
    for network in networks:
        if (network.nic_tag, network.vlan_id) != (nic_tag, vlan_id):
            continue
        subnets = [ipaddress.ip_network(pool.subnet) for pool in network.pools]
        if all(any(own in subnet for subnet in subnets) for own in addresses):
            return network
    return None


def make_mac(uid: str, index: int) -> str:
    """Make the hardware address of an instance's interface: always the same for both.

    Its first octet ends in 2, as vmadm's do: made here, for one.
    """
    octets = bytearray(hashlib.blake2b(f"{uid}/{index}".encode(), digest_size=6).digest())
    octets[0] = octets[0] & 0xF0 | _LOCAL
    return ":".join(f"{octet:02x}" for octet in octets)


def own_macs(spec: InstanceSpec) -> tuple[str, ...]:
    """List the hardware addresses that somebody chose: what is made from the uid is unique.

    It costs a hash an interface, which is much of what a placement does: ask once.
    """
    nics = enumerate(spec.nics)
    odd = [nic.mac for index, nic in nics if nic.mac != make_mac(spec.uid, index)]
    if not odd:
        return ()
    # An interface keeps its address when one before it is taken away.
    made = {make_mac(spec.uid, place) for place in range(limits.NICS)}
    return tuple(mac for mac in odd if mac not in made)
