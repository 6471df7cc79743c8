"""Networks and their addresses: made, changed, cut and deleted without losing what is taken.

A network whose pools are cut, or that is deleted, is closed first. Every claim of an address
compares the network's record, so that from then on no new claim can be written; when the catalog
has seen the closing it has seen every claim that was, and what is taken is known for certain.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from fifo.fleet.addresses import Addresses
from fifo.fleet.commits import Plan
from fifo.fleet.refusals import holder
from fifo.model import address_pool, keys, names, records, routes
from fifo.model.errors import (
    AlreadyExists,
    Conflict,
    InvalidInput,
    NoRoom,
    NotFound,
    Violation,
    WrongState,
)
from fifo.model.wires import wire_of as wire_key
from fifo.store.contract import Compare, Delete, Put, Txn, absent, unchanged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fifo.model.network import AddressClaim, AddressPool, Network
    from fifo.store.catalog import Catalog, Entry
    from fifo.workflows.world import World


class Wire(NamedTuple):
    """The compare and the write by which two networks of one wire and VLAN are made in turn."""

    compare: Compare
    write: Put


async def wire_of(world: World, network: Network) -> Wire:
    """Look at the guard of a network's wire and VLAN."""
    key = keys.wire_guard(network.nic_tag, network.vlan_id)
    found = (await world.store.get(key)).kvs
    return Wire(unchanged(key, found[0].mod_revision if found else 0), Put(key, b""))


async def create(world: World, network: Network) -> Plan:
    """Plan a new network; raises AlreadyExists, InvalidInput for pools that overlap others."""
    catalog = world.catalog
    wire = await wire_of(world, network)
    index = keys.index(names.NETWORKS, "", network.id)
    if index in catalog.ids or catalog.networks.get(network.uid) is not None:
        raise AlreadyExists(
            "a network has this name or uuid already", _name(network), "choose another"
        )
    check(catalog, network)
    key = keys.by_uid(keys.NETWORK, network.uid)
    return Plan(
        network.uid,
        [absent(key), absent(index), wire.compare],
        [Put(key, records.encode(network)), Put(index, network.uid.encode()), wire.write],
    )


async def update(world: World, uid: str, changed: Network, closed: Entry[Network]) -> Plan:
    """Plan the next generation of a network; `closed` is its record as `close` left it, or as is.

    Raises WrongState if a pool would lose an address that is taken.
    """
    catalog = world.catalog
    after = msgspec.structs.replace(changed, closed=False, generation=closed.record.generation + 1)
    if after == msgspec.structs.replace(closed.record, generation=after.generation):
        return Plan(uid)
    check(catalog, after, closed.record)
    lost = [
        address
        for address in _addresses(catalog, closed.record)
        if _in_pools(closed.record.pools, address) and not _in_pools(after.pools, address)
    ]
    if lost:
        shown = ", ".join(lost[:3])
        raise WrongState(
            f"its pools would lose {len(lost)} addresses that are taken: {shown}",
            _name(after),
            "keep these in the pool, or delete what has them first",
            reason="ADDRESSES_IN_USE",
        )
    wire = await wire_of(world, after)
    return Plan(
        uid,
        [unchanged(closed.key, closed.revision), wire.compare],
        [Put(closed.key, records.encode(after)), wire.write],
    )


def cuts(before: Network, after: Network) -> bool:
    """Tell whether a change takes addresses out of a pool."""
    for pool in before.pools:
        first, last = address_pool.bounds(pool)
        version = address_pool.version(pool)
        kept = any(
            address_pool.version(own) == version
            and address_pool.bounds(own)[0] <= first
            and last <= address_pool.bounds(own)[1]
            for own in after.pools
        )
        if not kept:
            return True
    return False


async def close(world: World, uid: str, name: str) -> Entry[Network]:
    """Let no more addresses be given out of a network, and give its record as it is then.

    When this returns the catalog has every address of it that is taken. Raises NotFound.
    """
    return await _mark(world, uid, name, closed=True)


async def reopen(world: World, uid: str, name: str) -> None:
    """Let addresses be given out again."""
    await _mark(world, uid, name, closed=False)


async def _mark(world: World, uid: str, name: str, *, closed: bool) -> Entry[Network]:
    for _ in range(_ATTEMPTS):
        entry = world.catalog.networks.get(uid)
        if entry is None:
            raise NotFound("it does not exist", name, "list what there is, or check the name")
        # Written anew even where it is marked already: the catalog has to see this very write.
        marked = msgspec.structs.replace(entry.record, closed=closed)
        put = Put(entry.key, records.encode(marked))
        reply = await world.store.txn(Txn((unchanged(entry.key, entry.revision),), (put,)))
        await world.catalog.at(reply.revision)
        now = world.catalog.networks.get(uid)
        if reply.succeeded and now is not None:
            return now
    raise Conflict("others kept changing the network", name, "try again")


def delete(catalog: Catalog, closed: Entry[Network]) -> Plan:
    """Plan the end of a closed network; raises WrongState while an address of it is taken."""
    network = closed.record
    taken = tuple(_addresses(catalog, network))
    if taken:
        raise WrongState(
            f"{len(taken)} addresses of it are taken: {', '.join(taken[:3])}",
            _name(network),
            "delete the instances that have them, and release what is reserved",
            reason="NETWORK_IN_USE",
        )
    users = [
        own.record
        for own in catalog.specs
        if any(nic.network == network.uid for nic in own.record.nics)
    ]
    if users:
        shown = ", ".join(names.instance_name(user.id, user.org) for user in users[:3])
        raise WrongState(
            f"{len(users)} instances are plugged into it: {shown}",
            _name(network),
            "delete these, or take their interfaces away, first",
            reason="NETWORK_IN_USE",
        )
    index = keys.index(names.NETWORKS, "", network.id)
    return Plan(
        network.uid,
        [unchanged(closed.key, closed.revision)],
        [Delete(closed.key), Delete(index)],
    )


def check(catalog: Catalog, network: Network, before: Network | None = None) -> None:
    """Raise InvalidInput for wrong pools and routes, and pools that overlap others of the wire.

    What was wrong with the network `before` already, which a later rule refuses, is no fault of the
    change: it is let be.
    """
    known: set[Violation] = set()
    if before is not None:
        # Of a route that is given another gateway nothing is as it was. Which of two equal ones is
        # told depends on their order, and a map that was sent back has another.
        kept = {to: via for to, via in network.routes.items() if before.routes.get(to) == via}
        known = {*violations(msgspec.structs.replace(before, routes=kept))}
        known.update(_overlaps(catalog, before))
    wrong = [own for own in violations(network) if own not in known]
    if not any(own.field.startswith("pools") for own in wrong):
        wrong += (own for own in _overlaps(catalog, network) if own not in known)
    if wrong:
        raise InvalidInput(_name(network), tuple(wrong))


def violations(network: Network) -> Iterator[Violation]:
    """Say what is wrong with the pools and routes of a network, whatever others there are."""
    yield from address_pool.violations(network)
    yield from routes.violations(network)


# -- addresses ------------------------------------------------------------------------------------


def reserve(
    catalog: Catalog, entry: Entry[Network], address: str, version: int, claim: AddressClaim
) -> tuple[Plan, str]:
    """Plan to keep an address from being given, the next free one if none is named.

    `version` is the family wanted, 0 for any. Raises AlreadyExists for one that is taken, NoRoom
    for a full pool, InvalidInput for an address of another network, Conflict while it is closed.
    """
    network = entry.record
    if network.closed:
        raise Conflict("the network is being changed", _name(network), "try again in a moment")
    chosen = address or _next_free(catalog, network, version)
    if not _in_subnets(network.pools, chosen):
        subnets = ", ".join(pool.subnet for pool in network.pools) or "there is no pool"
        wanted = f"an address of the network: {subnets}"
        raise InvalidInput(_name(network), (Violation("address", wanted),))
    key = keys.address(network.uid, chosen)
    path = key[len(keys.ADDRESS) :].decode()
    other = keys.address(wire_key(network.nic_tag, network.vlan_id), chosen)
    of_wire = other[len(keys.ADDRESS) :].decode()
    held = catalog.addresses.record(path) or catalog.addresses.record(of_wire)
    if held is not None:
        told = f"{_name(network)}/addresses/{chosen.replace('.', '-').replace(':', '-')}"
        who = holder(catalog, held.uid or held.stranger)
        raise AlreadyExists(f"the address is taken: {who} has it", told, "choose another, or none")
    record = msgspec.structs.replace(claim, network=network.uid, address=chosen)
    plan = Plan(
        path,
        [absent(key), absent(other), unchanged(entry.key, entry.revision)],
        [Put(key, records.encode(record))],
    )
    return plan, path


def release(catalog: Catalog, entry: Entry[AddressClaim], name: str) -> Plan:
    """Plan to give a reserved address back; raises WrongState for one that an instance has."""
    if entry.record.uid:
        raise WrongState(
            f"{holder(catalog, entry.record.uid)} has it",
            name,
            "delete the instance, or take its interface away",
            reason="ADDRESS_CLAIMED",
        )
    return Plan("", [unchanged(entry.key, entry.revision)], [Delete(entry.key)])


# -- its parts ------------------------------------------------------------------------------------

_ATTEMPTS = 8
"""Lost compares of one mark before it is given up."""


def _name(network: Network) -> str:
    return f"{names.NETWORKS}/{network.id}"


def _addresses(catalog: Catalog, network: Network) -> Iterator[str]:
    prefix = f"{network.uid}/"
    for path, entry in catalog.addresses.entries.items():
        if path.startswith(prefix):
            yield entry.record.address


def _in_pools(pools: tuple[AddressPool, ...], address: str) -> bool:
    own = ipaddress.ip_address(address)
    return any(
        address_pool.version(pool) == own.version
        and address_pool.bounds(pool)[0] <= int(own) <= address_pool.bounds(pool)[1]
        for pool in pools
    )


def _in_subnets(pools: tuple[AddressPool, ...], address: str) -> bool:
    own = ipaddress.ip_address(address)
    return any(own in ipaddress.ip_network(pool.subnet) for pool in pools)


def _overlaps(catalog: Catalog, network: Network) -> Iterator[Violation]:
    for entry in catalog.networks:
        other = entry.record
        wire = (other.nic_tag, other.vlan_id)
        if other.uid == network.uid or wire != (network.nic_tag, network.vlan_id):
            continue
        for index, pool in enumerate(network.pools):
            subnet = ipaddress.ip_network(pool.subnet)
            for theirs in other.pools:
                if subnet.overlaps(ipaddress.ip_network(theirs.subnet)):
                    wanted = f"one that does not overlap {theirs.subnet} of {_name(other)}"
                    yield Violation(f"network.pools[{index}].subnet", wanted)


def _next_free(catalog: Catalog, network: Network, version: int) -> str:
    addresses = Addresses()
    addresses.load(catalog)
    pools = [pool for pool in network.pools if version in {0, address_pool.version(pool)}]
    pools.sort(key=address_pool.version)
    if not pools:
        wanted = f"a family that the network has a pool of, not IPv{version}"
        raise InvalidInput(_name(network), (Violation("family", wanted),))
    free = addresses.next_free(network, pools[0])
    if free is None:
        raise NoRoom(
            f"no address of {pools[0].first} to {pools[0].last} is free",
            _name(network),
            "widen the pool, or delete what holds them",
        )
    return address_pool.bare(free.text)
