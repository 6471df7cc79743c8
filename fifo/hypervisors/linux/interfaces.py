"""Names of what is ours on the host's network: made from what they stand for, and short enough.

Linux takes 15 characters (IFNAMSIZ less its final zero): the node's prefix, a letter for the kind,
and the rest of a digest. Nine characters of base 32 are 45 bits: among 10,000 ports two meet with
a chance of one in a million.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Final

INTERFACE_CHARACTERS: Final = 15
BRIDGE: Final = "b"
PORT: Final = "v"


def port(prefix: str, uid: str, interface: str) -> str:
    """Name the host's end of an instance's interface."""
    return _name(prefix, PORT, f"{uid}/{interface}")


def bridge(prefix: str, nic_tag: str, vlan_id: int) -> str:
    """Name the bridge of a nic tag's VLAN (0 for what is untagged)."""
    return _name(prefix, BRIDGE, f"{nic_tag}/{vlan_id}")


def hardware_address(name: str) -> str:
    """Make the address of a bridge: its own for ever, not that of whichever port came first."""
    digest = hashlib.sha256(name.encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (0x02, *digest[:5]))


def is_ours(prefix: str, name: str) -> bool:
    """Tell whether an interface was named here, for this node."""
    rest = name.removeprefix(prefix)
    return name != rest and len(name) == _length(prefix) and rest[:1] in {BRIDGE, PORT}


def is_port(prefix: str, name: str) -> bool:
    """Tell whether an interface is the host's end of an instance's, named here for this node."""
    return is_ours(prefix, name) and name[len(prefix)] == PORT


def _length(prefix: str) -> int:
    return min(INTERFACE_CHARACTERS, len(prefix) + 10)


def _name(prefix: str, kind: str, what: str) -> str:
    digest = base64.b32encode(hashlib.sha256(what.encode()).digest()).decode().lower()
    return f"{prefix}{kind}{digest}"[: _length(prefix)]
