"""Which addresses are taken, by network and family: as the catalog says, and what is on its way."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, NamedTuple

from fifo.model import address_pool
from fifo.model.wires import wire_of

if TYPE_CHECKING:
    from fifo.model.network import AddressPool, Network
    from fifo.store.catalog import Catalog


class Free(NamedTuple):
    """A free address as a text with its prefix length, and where its pool had been before it."""

    text: str
    family: tuple[str, int]
    last: int


class Addresses:
    """Sets of numbers; owned by the placement process."""

    def __init__(self) -> None:
        self._taken: dict[tuple[str, int], set[int]] = {}
        self._last: dict[tuple[str, int], int] = {}

    def load(self, catalog: Catalog) -> None:
        """Begin anew from the catalog; where each pool goes on is kept."""
        self._taken.clear()
        for path in catalog.addresses.entries:
            self.take_path(path)

    def take_path(self, path: str) -> None:
        """Note an address that is stored, or about to be: `network/family/number`."""
        network, family, number = path.split("/")
        self._taken.setdefault((network, int(family)), set()).add(int(number, 16))

    def free_path(self, path: str) -> None:
        """Note that an address is stored no more, or not to be after all."""
        network, family, number = path.split("/")
        self._taken.get((network, int(family)), set()).discard(int(number, 16))

    def is_taken(self, network: str, text: str) -> bool:
        """Tell whether an address of a network, or of a wire, is taken."""
        address = ipaddress.ip_address(address_pool.bare(text))
        return int(address) in self._taken.get((network, address.version), ())

    def has_path(self, path: str) -> bool:
        """Tell whether an address is taken, by `network/family/number`."""
        network, family, number = path.split("/")
        return int(number, 16) in self._taken.get((network, int(family)), ())

    def next_free(self, network: Network, pool: AddressPool) -> Free | None:
        """Give the next free address of a pool with its prefix length; None if it is full.

        What was claimed of the network's wire, before there was the network, is not free.
        """
        version = address_pool.version(pool)
        family = (network.uid, version)
        taken = self._taken.setdefault(family, set())
        others = self._taken.get((wire_of(network.nic_tag, network.vlan_id), version))
        last = self._last.get(family, -1)
        number = address_pool.next_free(pool, taken | others if others else taken, last)
        if number is None:
            return None
        self._last[family] = number
        return Free(address_pool.text(pool, number), family, last)

    def go_back(self, free: Free) -> None:
        """Have a pool go on where it did before it gave an address, which is not used."""
        self._last[free.family] = free.last
