"""Who uses what: instances by image and by package, addresses by network. Counted, not searched.

What was claimed of a wire before there was a network whose subnet has it counts as that one's.
"""

from __future__ import annotations

import ipaddress
from bisect import bisect_left, bisect_right
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from fifo.model import address_pool
from fifo.model.wires import wire_of

if TYPE_CHECKING:
    from fifo.model.instance import InstanceSpec
    from fifo.model.network import AddressPool, Network


class Used(NamedTuple):
    """What one instance is counted for, by uid."""

    images: frozenset[str] = frozenset()
    package: str = ""


class PoolCount(NamedTuple):
    """How many addresses of a pool's family are taken, and how many of the pool are left."""

    claimed: int
    free: int


def used_by(spec: InstanceSpec | None) -> Used:
    """Tell what an instance is counted for; nothing if it is gone."""
    if spec is None:
        return Used()
    return Used(spec.images, spec.package)


class Usage:
    """Counts as of one revision, which whoever owns them moves on."""

    def __init__(self) -> None:
        self.images: Counter[str] = Counter()
        self.packages: Counter[str] = Counter()
        self.instances: dict[str, Used] = {}
        self.addresses: dict[tuple[str, int], list[int]] = {}
        """The taken addresses of a network, or a wire, and family, as numbers, sorted."""

    def copy(self) -> Usage:
        """Give counts that are moved on by themselves."""
        made = Usage()
        made.images.update(self.images)
        made.packages.update(self.packages)
        made.instances.update(self.instances)
        made.addresses = {own: list(numbers) for own, numbers in self.addresses.items()}
        return made

    def used(self, uid: str) -> Used:
        """Tell what an instance is counted for now."""
        return self.instances.get(uid, Used())

    def take(self, uid: str, spec: InstanceSpec | None) -> None:
        """Count an instance for what it uses now; None if it is gone."""
        before, now = self.used(uid), used_by(spec)
        if now == before:
            return
        self.images.subtract(before.images)
        self.images.update(now.images)
        self.packages.subtract([before.package] if before.package else ())
        self.packages.update([now.package] if now.package else ())
        if spec is None:
            del self.instances[uid]
        else:
            self.instances[uid] = now

    def take_address(self, path: str, *, taken: bool) -> None:
        """Count an address, by what stands behind its prefix, as taken or as free."""
        network, family, text = path.split("/")
        number = int(text, 16)
        own = self.addresses.setdefault((network, int(family)), [])
        at = bisect_left(own, number)
        there = at < len(own) and own[at] == number
        if taken and not there:
            own.insert(at, number)
        elif there and not taken:
            del own[at]

    def pools(self, network: Network) -> tuple[PoolCount, ...]:
        """Count the addresses of each pool of a network."""
        return tuple(self._pool(network, pool) for pool in network.pools)

    def _pool(self, network: Network, pool: AddressPool) -> PoolCount:
        own = self.addresses.get((network.uid, address_pool.version(pool)), [])
        others = [number for number in self.of_wire(network, pool) if not _has(own, number)]
        first, last = address_pool.bounds(pool)
        inside = _between(own, first, last) + _between(others, first, last)
        return PoolCount(len(own) + len(others), last - first + 1 - inside)

    def of_wire(self, network: Network, pool: AddressPool) -> list[int]:
        """Give what of a pool's subnet is taken of the bare wire that its network is on."""
        wire = wire_of(network.nic_tag, network.vlan_id)
        taken = self.addresses.get((wire, address_pool.version(pool)))
        if not taken:
            return []
        subnet = ipaddress.ip_network(pool.subnet)
        first, last = int(subnet.network_address), int(subnet.broadcast_address)
        return taken[bisect_left(taken, first) : bisect_right(taken, last)]


def _between(numbers: list[int], first: int, last: int) -> int:
    return bisect_right(numbers, last) - bisect_left(numbers, first)


def _has(numbers: list[int], number: int) -> bool:
    return _between(numbers, number, number) > 0
