"""Networks and addresses: between the records and what callers see and set."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from fifo.api.resources.values import etag, set_time
from fifo.api.resources.view import instance_name, network_name
from fifo.model import address_pool, keys, names
from fifo.model.network import AddressPool
from fifo.model.wires import is_wire, wire_of
from fifo.v1 import network_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fifo.model.instance import Claim
    from fifo.model.network import AddressClaim, Network
    from fifo.store.catalog import Entry, View
    from fifo.store.usage import PoolCount

Message = network_pb2.Network
Address = network_pb2.Address
TYPE: Final = "fifo/Network"
ADDRESS_TYPE: Final = "fifo/Address"
ADDRESSES: Final = "addresses"
MTU: Final = 1500
_COUNT_MOST: Final = 2**62


class Parts(NamedTuple):
    """The record that a network is seen from, and its use."""

    network: Entry[Network]
    pools: tuple[PoolCount, ...]
    """How much of each pool is taken."""


def capture(view: View, uid: str) -> Parts | None:
    """Take a network's record and its use as they are now; None if there is none."""
    network = view.networks.get(uid)
    return None if network is None else parts_of(view, network)


def parts_of(view: View, network: Entry[Network]) -> Parts:
    """Give what a network is seen from."""
    return Parts(network, view.usage.pools(network.record))


def name_of(parts: Parts) -> str:
    """Name it."""
    return f"{names.NETWORKS}/{parts.network.record.id}"


def message(view: View, parts: Parts) -> Message:
    """Make what callers see."""
    del view
    network = parts.network.record
    made = Message(
        name=name_of(parts),
        uid=network.uid,
        etag=etag(parts.network.raw),
        alias=network.alias,
        description=network.description,
        tags=network.tags,
        nic_tag=network.nic_tag,
        vlan_id=network.vlan_id,
        mtu=network.mtu,
        resolvers=network.resolvers,
        routes=network.routes,
        isolated=network.isolated,
        generation=network.generation,
    )
    for pool, use in zip(network.pools, parts.pools, strict=True):
        made.pools.add(
            subnet=pool.subnet,
            first=pool.first,
            last=pool.last,
            gateway=pool.gateway,
            claimed_count=use.claimed,
            free_count=min(use.free, _COUNT_MOST),
        )
    set_time(made.create_time, network.create_time)
    return made


def changed(network: Network, given: Message) -> Network:
    """Give a network with what a caller set in a whole message; what is absent has its default."""
    return msgspec.structs.replace(
        network,
        alias=given.alias,
        description=given.description,
        tags=dict(given.tags),
        nic_tag=given.nic_tag or "external",
        vlan_id=given.vlan_id,
        mtu=given.mtu if given.HasField("mtu") else MTU,
        pools=tuple(_pool(pool) for pool in given.pools),
        resolvers=tuple(given.resolvers),
        routes=dict(given.routes),
        isolated=given.isolated if given.HasField("isolated") else True,
    )


def _pool(given: network_pb2.AddressPool) -> AddressPool:
    """Fill in the first and last address that may be used; texts are put into their short form.

    What is no address stays as it is, for the check of pools to name.
    """
    subnet, first, last = _short(given.subnet), given.first, given.last
    try:
        found = ipaddress.ip_network(subnet)
    except ValueError:
        return AddressPool(subnet=subnet, first=first, last=last, gateway=given.gateway)
    begin, end = int(found.network_address), int(found.broadcast_address)
    if found.num_addresses > 2:  # noqa: PLR2004 - a /31 or a single address has no edges
        # IPv6 has no broadcast address; its first address is the routers' own (RFC 4291, 2.6.1).
        begin, end = begin + 1, end - (found.version == 4)  # noqa: PLR2004 - the family
    kind = type(found.network_address)
    gateway = _short(given.gateway) if given.gateway else ""
    if not first and gateway == str(kind(begin)):
        begin += 1
    return AddressPool(
        subnet=subnet,
        first=_short(first) if first else str(kind(begin)),
        last=_short(last) if last else str(kind(end)),
        gateway=gateway,
    )


def _short(text: str) -> str:
    for read in (ipaddress.ip_address, ipaddress.ip_network):
        try:
            return str(read(text))
        except ValueError:
            continue
    return text


# -- addresses ------------------------------------------------------------------------------------


class AddressParts(NamedTuple):
    """The record that an address is seen from, its network, and whether its instance is there."""

    address: Entry[AddressClaim]
    network: str
    """The network's name: of a bare wire's address its network may go before it does."""
    owed: bool


def capture_address(view: View, path: str) -> AddressParts | None:
    """Take an address's record as it is now; None if it is free, or of no network but a wire.

    `path` is `network/family/number`. What is taken of the network's wire is seen as the network's.
    """
    uid, _, own = path.partition("/")
    entry = view.addresses.get(path)
    if entry is None:
        network = view.networks.record(uid)
        if network is None:
            return None
        entry = view.addresses.get(f"{wire_of(network.nic_tag, network.vlan_id)}/{own}")
        if entry is None or not _has(network, entry.record.address):
            return None
    elif is_wire(uid):
        return None
    owner = entry.record.uid
    owed = bool(owner) and view.specs.get(owner) is None
    return AddressParts(entry, network_name(view, uid), owed)


def _has(network: Network, address: str) -> bool:
    own = ipaddress.ip_address(address)
    return any(own in ipaddress.ip_network(pool.subnet) for pool in network.pools)


def held(view: View, claim: Claim) -> Iterator[str]:
    """Give the paths of the addresses that an instance holds by its claim, as they are seen."""
    for mac, texts in claim.addresses.items():
        for text in texts:
            key = keys.address(claim.networks[mac], address_pool.bare(text))
            yield from seen(view, key[len(keys.ADDRESS) :].decode())


def seen(view: View, path: str) -> Iterator[str]:
    """Give as what a taken address is seen: of a wire as its network's, if one has it."""
    wire, _, own = path.partition("/")
    if not is_wire(wire):
        yield path
        return
    for entry in view.networks:
        network = entry.record
        if wire_of(network.nic_tag, network.vlan_id) == wire:
            yield f"{network.uid}/{own}"


def of_wire(view: View, network: Network) -> Iterator[str]:
    """Give the paths of what is taken of a network's bare wire, as they are seen."""
    for pool in network.pools:
        for number in view.usage.of_wire(network, pool):
            yield f"{network.uid}/{address_pool.version(pool)}/{number:032x}"


def paths(view: View, network: Network) -> Iterator[str]:
    """Give the path of each taken address of a network, in no order, each once."""
    prefix = f"{network.uid}/"
    own = [path for path in view.addresses.entries if path.startswith(prefix)]
    yield from dict.fromkeys((*own, *of_wire(view, network)))


def address_name(parts: AddressParts) -> str:
    """Name an address; `.` and `:` of it become `-`."""
    dashed = parts.address.record.address.replace(".", "-").replace(":", "-")
    return f"{parts.network}/{ADDRESSES}/{dashed}"


def address_message(view: View, parts: AddressParts) -> Address:
    """Make what callers see of an address."""
    claim = parts.address.record
    made = Address(
        name=address_name(parts),
        address=claim.address,
        state=Address.CLAIMED if claim.uid else Address.RESERVED,
        mac=claim.mac,
        note=claim.note,
    )
    if parts.owed:
        made.state = Address.OWED
    elif claim.uid:
        made.instance = instance_name(view, claim.uid)
    set_time(made.create_time, claim.since)
    return made
