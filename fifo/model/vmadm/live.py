"""Which changes of an instance hold at once, and which from its next start on.

For the brands of a Linux host; what vmadm does on a SmartOS host is for its driver to tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fifo.model.instance import InstanceSpec, Nic

FLEET: Final = frozenset({
    "alias", "package", "owner_uuid", "billing_id", "autoboot", "deletion_protection", "restart",
    "wanted", "tags", "customer_metadata", "internal_metadata", "extra", "unhonoured",
    "wanted_host",
})  # fmt: skip
"""What the fleet, the agent and the host's own rules know of an instance; no guest has to start."""
CONTROL_GROUP: Final = frozenset({
    "cpu_cap", "cpu_shares", "max_physical_memory", "max_swap", "max_lwps", "zfs_io_priority",
})  # fmt: skip
"""What the kernel limits, for a zone's processes and for a QEMU alike."""
IN_VAIN: Final = frozenset({"firewall_enabled"})
"""What no host of ours does anything about: such a change holds neither at once nor later."""
LIVE: Final[Mapping[str, frozenset[str]]] = {
    # A zone's `ram` is its memory by another name; its quota is the host's, its resolvers a file.
    "lx": FLEET | CONTROL_GROUP | {"ram", "quota", "resolvers", "max_locked_memory"},
    "kvm": FLEET | CONTROL_GROUP | {"max_locked_memory"},
}
"""Fields of InstanceSpec whose change holds at once, by brand."""
LIVE_NIC: Final = frozenset(
    {"allow_ip_spoofing", "allow_mac_spoofing", "allow_dhcp_spoofing", "allowed_ips"}
)
"""Parts of an interface that only the rules of its port know of: nics that differ in nothing else
hold at once."""
_COUNTERS: Final = frozenset({"generation", "boot_generation", "deleting"})


class Effect(NamedTuple):
    """Fields that differ: those that hold at once, and those that wait for the next start."""

    live: tuple[str, ...] = ()
    at_start: tuple[str, ...] = ()


def changed(before: InstanceSpec, after: InstanceSpec) -> tuple[str, ...]:
    """Name the fields that differ, the counters of changes not among them."""
    return tuple(
        name
        for name in before.__struct_fields__
        if name not in _COUNTERS and getattr(before, name) != getattr(after, name)
    )


def effect(before: InstanceSpec, after: InstanceSpec) -> Effect:
    """Tell which of the changes of a running instance hold at once."""
    live_ones = LIVE.get(before.brand, FLEET)
    live: list[str] = []
    at_start: list[str] = []
    for name in changed(before, after):
        if name in IN_VAIN:
            continue
        guarded = name == "nics" and only_guards(before.nics, after.nics)
        (live if guarded or name in live_ones else at_start).append(name)
    return Effect(tuple(live), tuple(at_start))


def only_guards(before: tuple[Nic, ...], after: tuple[Nic, ...]) -> bool:
    """Tell whether interfaces differ in what they may send, and in nothing else."""
    return [_unguarded(nic) for nic in before] == [_unguarded(nic) for nic in after]


def _unguarded(nic: Nic) -> list[object]:
    return [getattr(nic, name) for name in nic.__struct_fields__ if name not in LIVE_NIC]
