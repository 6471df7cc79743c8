"""How the words in a payload look: addresses, names, paths. One test for each."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from fifo.model.vmadm import limits

DYNAMIC: Final = frozenset({"dhcp", "addrconf"})
"""In place of an address: the guest gets one by itself."""
HOST_NAME: Final = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)
"""A host name with or without its domain (RFC 1123)."""
HOST_LABEL: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
"""One label of it."""
INTERFACE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,14}")
"""An interface's name in the guest: Linux has room for 15 characters."""
NIC_TAG: Final = re.compile(r"[A-Za-z0-9_/-]{1,31}")
"""vmadm's grammar (`/` names an overlay's network), and the dash that ours may have."""
NIC_TAG_UPDATED: Final = re.compile(r"[A-Za-z0-9_-]{1,31}")
"""The same without `/`, which an update may not name (vmadm)."""
MAC: Final = re.compile(r"[0-9A-Fa-f]{1,2}(?::[0-9A-Fa-f]{1,2}){5}")
PCI_SLOT: Final = re.compile(r"\d{1,3}:\d{1,2}(?::\d)?")
"""bus:device:function, the last may be absent."""
BLOCK_SIZE: Final = re.compile(r"\d{3,6}(?:/\d{3,6})?")
"""A sector's size, or logical/physical."""
NAMESPACE: Final = re.compile(r"[A-Za-z0-9._-]+")
DHCP_ID: Final = re.compile(r"0x(?:[0-9A-Fa-f]{2})+")
NICS_N: Final = re.compile(r"nics\[(\d{1,3})\]")
MACS_M: Final = re.compile(r"macs\[([0-9A-Fa-f:]{11,17})\]")
"""A route's gateway may be an interface: by its place, or by its hardware address."""
CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""What one line of text does not hold."""

_GROUP: Final = 0x01
"""The bit of a hardware address's first octet that says 'for many' (IEEE 802)."""


def is_address(text: str) -> bool:
    """Tell whether a text is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def is_ipv4(text: str) -> bool:
    """Tell whether a text is an IPv4 address."""
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def is_interface_address(text: str) -> bool:
    """Tell whether a text is an address with its prefix length: 10.0.0.7/24."""
    address, slash, prefix = text.partition("/")
    return bool(slash) and prefix.isdecimal() and is_network(text) and is_address(address)


def is_network(text: str) -> bool:
    """Tell whether a text is an address or a CIDR."""
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return "%" not in text


def is_ipv4_network(text: str) -> bool:
    """Tell whether a text is an IPv4 address or CIDR."""
    return is_network(text) and ":" not in text


def is_mac(text: str) -> bool:
    """Tell whether a text is the hardware address of one interface, octets of one digit included.

    zonecfg writes 2:8:20:0:0:1 for 02:08:20:00:00:01; both are read.
    """
    return MAC.fullmatch(text) is not None and not int(text.partition(":")[0], 16) & _GROUP


def whole_mac(text: str) -> str:
    """Write a hardware address with two lower-case digits an octet."""
    return ":".join(f"{int(octet, 16):02x}" for octet in text.split(":"))


def is_absolute(path: str) -> bool:
    """Tell whether a text is an absolute path that never climbs."""
    return path.startswith("/") and ".." not in path.split("/") and not CONTROL.search(path)


def is_disk_path(path: str) -> bool:
    """Tell whether a text may name a disk; it is one argument of a command, never an option."""
    safe = not path.startswith("-") and ".." not in path.split("/")
    return bool(path) and safe and CONTROL.search(path) is None


def is_power_of_two(number: int, least: int = 512, most: int = 131_072) -> bool:
    """Tell whether a number may be the size of a block or a record."""
    return least <= number <= most and number & (number - 1) == 0


def shown(name: str) -> str:
    """Give a property's name as it is told to people: short, and nothing that moves a cursor."""
    cut = name[: limits.NAME_CHARACTERS]
    safe = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in cut)
    return safe + ("..." if len(name) > len(cut) else "") or '""'
