"""The routes of a network: which destination its instances reach by which gateway."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

from fifo.model.errors import Violation
from fifo.model.vmadm.texts import is_address, is_network

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fifo.model.network import Network

_SHOWN_CHARACTERS: Final = 40
"""Of a destination in the path of its field, as for keys of every map."""


def violations(network: Network) -> Iterator[Violation]:
    """Say everything that is wrong with a network's routes, by the path of each in the network.

    Whatever stands here is handed to the kernel of each of its instances, which refuses a start by
    a route that it does not take.
    """
    seen: dict[object, str] = {}
    for text, gateway in network.routes.items():
        field = f"routes.{text[:_SHOWN_CHARACTERS]}"
        destination = ipaddress.ip_network(text, strict=False) if is_network(text) else None
        if destination is None:
            yield Violation(field, "an address or a CIDR as the destination: 10.1.0.0/16")
        elif ipaddress.ip_interface(text).ip != destination.network_address:
            yield Violation(field, f"the whole of {destination}, or one address as the destination")
        elif not destination.prefixlen:
            told = "a part of all addresses: what is everywhere else is behind a pool's gateway"
            yield Violation(field, told)
        elif seen.setdefault(destination, text) != text:
            yield Violation(field, f"each destination once: {seen[destination]} is the same")
        via = ipaddress.ip_address(gateway) if is_address(gateway) else None
        if via is None or via.is_unspecified or via.is_multicast:
            yield Violation(field, "the address of a gateway")
        elif destination is not None and via.version != destination.version:
            yield Violation(field, f"a gateway of IPv{destination.version}, as its destination is")
