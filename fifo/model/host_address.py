"""Which addresses a host can have: the rule for interfaces, their gateways, and what pools give."""

from __future__ import annotations

import ipaddress
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

WANTED: Final = "an address that a host can have"
_THIS_NETWORK: Final = ipaddress.IPv4Network("0.0.0.0/8")
_LIMITED_BROADCAST: Final = ipaddress.IPv4Address("255.255.255.255")
_POINT_TO_POINT: Final = 31
"""From this prefix length on a subnet has no address for itself or for everybody (RFC 3021)."""


def objection(address: Address, prefix_length: int | None = None) -> str:
    """Say what is wanted in place of an address that no host can have; nothing for any other.

    `prefix_length` is that of its subnet where it is known. The rules are those of RFC 1122
    (3.2.1.3), and of RFC 4291 (2.5.2, 2.5.3 and 2.7) for IPv6.
    """
    why = _special(address)
    if not why and isinstance(address, ipaddress.IPv4Address) and prefix_length is not None:
        why = _of_subnet(address, prefix_length)
    return f"{WANTED}: {address} is {why}" if why else ""


def _special(address: Address) -> str:
    if address.is_multicast:
        return "a multicast address"
    if address.is_loopback:
        return "a loopback address"
    if address == _LIMITED_BROADCAST:
        return "the broadcast address"
    is_none = address.is_unspecified or address in _THIS_NETWORK
    return "no host's" if is_none else ""


def _of_subnet(address: ipaddress.IPv4Address, prefix_length: int) -> str:
    subnet = ipaddress.IPv4Network((int(address), prefix_length), strict=False)
    if prefix_length >= _POINT_TO_POINT:
        return ""
    if address == subnet.network_address:
        return f"the address of {subnet} itself"
    return f"the broadcast address of {subnet}" if address == subnet.broadcast_address else ""


def interface_objection(text: str) -> str:
    """Say the same of an address with its prefix length, 10.0.0.7/24, for one that can be read."""
    own = ipaddress.ip_interface(text)
    return objection(own.ip, own.network.prefixlen)


def gateway_objection(text: str, interfaces: list[str]) -> str:
    """Say the same of a gateway that is in a subnet of these interface addresses, or in none."""
    address = ipaddress.ip_address(text)
    subnets = (ipaddress.ip_interface(own).network for own in interfaces)
    lengths = (subnet.prefixlen for subnet in subnets if address in subnet)
    return objection(address, next(lengths, None))
