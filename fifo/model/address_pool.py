"""Address pools: which addresses a pool gives out, and the next one that is free."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from fifo.model.errors import Violation
from fifo.model.host_address import objection

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from fifo.model.network import AddressPool, Network


def bounds(pool: AddressPool) -> tuple[int, int]:
    """Give the first and last address of a pool as numbers."""
    return int(ipaddress.ip_address(pool.first)), int(ipaddress.ip_address(pool.last))


def version(pool: AddressPool) -> int:
    """Give the family of a pool's addresses: 4 or 6."""
    return ipaddress.ip_address(pool.first).version


def next_free(pool: AddressPool, taken: Container[int], after: int = -1) -> int | None:
    """Find the first free address behind `after`, then from the pool's beginning; None if full.

    Going on behind the last one given keeps an address that was just given back out of use for
    as long as the pool allows, since others may still have it in their caches.
    """
    first, last = bounds(pool)
    start = after + 1 if first <= after < last else first
    for candidate in range(start, last + 1):
        if candidate not in taken:
            return candidate
    for candidate in range(first, min(start, last + 1)):
        if candidate not in taken:
            return candidate
    return None


def text(pool: AddressPool, number: int) -> str:
    """Write an address with the prefix length of its network, as vmadm does: 10.0.0.7/24."""
    address = type(ipaddress.ip_address(pool.first))(number)
    return f"{address}/{ipaddress.ip_network(pool.subnet).prefixlen}"


def bare(cidr: str) -> str:
    """Give an address without its prefix length."""
    return cidr.partition("/")[0]


def violations(network: Network) -> Iterator[Violation]:
    """Say everything that is wrong with a network's pools."""
    seen: set[int] = set()
    for index, pool in enumerate(network.pools):
        field = f"pools[{index}]"
        try:
            subnet = ipaddress.ip_network(pool.subnet)
            first, last = ipaddress.ip_address(pool.first), ipaddress.ip_address(pool.last)
            gateway = ipaddress.ip_address(pool.gateway) if pool.gateway else None
        except ValueError as error:
            yield Violation(field, f"addresses: {error}")
            continue
        named = {"first": first, "last": last}
        if gateway is not None:
            named["gateway"] = gateway
        if any(address not in subnet for address in named.values()):
            yield Violation(field, f"first, last and gateway inside {subnet}")
        for name, address in named.items():
            if address in subnet and (wanted := objection(address, subnet.prefixlen)):
                yield Violation(f"{field}.{name}", wanted)
        if int(first) > int(last):
            yield Violation(f"{field}.first", "not behind last")
        if gateway is not None and int(first) <= int(gateway) <= int(last):
            yield Violation(f"{field}.gateway", "outside of first to last, which are given out")
        if subnet.version in seen:
            yield Violation(field, f"at most one pool of IPv{subnet.version}")
        seen.add(subnet.version)
