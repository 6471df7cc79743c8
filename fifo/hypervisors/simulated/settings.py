"""What a simulated host is like."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from fifo.model.instance import Shares

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fifo.hypervisors.simulated.faults import Fault


ROOM: Final = Shares(cpu=6_400, memory=256 * 1024, disk=4 * 1024)
"""A rack server: 64 processors, 256 GiB of memory, 4 TiB of disk."""


@dataclass(frozen=True, slots=True)
class HostSettings:
    """The size of a host, how long its verbs take, what it cannot do, and what goes wrong.

    `latency_s` has the least and the most seconds of a verb by its name; one that is not there
    takes none. `unsupported` has the reasons by verb: `{"snapshot": "a plain directory"}`.
    """

    name: str = "simulated"
    capacity: Shares = ROOM
    brands: tuple[str, ...] = ("lx", "kvm", "bhyve", "joyent", "joyent-minimal")
    nic_tags: tuple[str, ...] = ("external", "admin")
    latency_s: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    transfer_bytes_s: float = 100_000_000.0
    unsupported: Mapping[str, str] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
