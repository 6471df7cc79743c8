"""Which addresses are taken, by network and family: as the catalog says, and what is on its way."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from fifo.model import address_pool

if TYPE_CHECKING:
    from fifo.model.network import AddressPool
    from fifo.store.catalog import Catalog


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
        """Note an address that the catalog has: `network/family/number`."""
        network, family, number = path.split("/")
        self._taken.setdefault((network, int(family)), set()).add(int(number, 16))

    def free_path(self, path: str) -> None:
        """Note that the catalog has an address no more."""
        network, family, number = path.split("/")
        self._taken.get((network, int(family)), set()).discard(int(number, 16))

    def take(self, network: str, text: str) -> None:
        """Note an address that is about to be written."""
        address = ipaddress.ip_address(address_pool.bare(text))
        self._taken.setdefault((network, address.version), set()).add(int(address))

    def free(self, network: str, text: str) -> None:
        """Note that an address is not to be written after all."""
        address = ipaddress.ip_address(address_pool.bare(text))
        self._taken.get((network, address.version), set()).discard(int(address))

    def is_taken(self, network: str, text: str) -> bool:
        """Tell whether an address is taken."""
        address = ipaddress.ip_address(address_pool.bare(text))
        return int(address) in self._taken.get((network, address.version), ())

    def next_free(self, network: str, pool: AddressPool) -> str | None:
        """Give the next free address of a pool with its prefix length; None if it is full."""
        family = (network, address_pool.version(pool))
        taken = self._taken.setdefault(family, set())
        number = address_pool.next_free(pool, taken, self._last.get(family, -1))
        if number is None:
            return None
        self._last[family] = number
        return address_pool.text(pool, number)

    def last(self, network: str, pool: AddressPool) -> int:
        """Give the address behind which a pool goes on, as a number; -1 for its beginning."""
        return self._last.get((network, address_pool.version(pool)), -1)

    def go_on_from(self, network: str, pool: AddressPool, last: int) -> None:
        """Have a pool go on behind an address, as `last` gave it."""
        self._last[network, address_pool.version(pool)] = last
