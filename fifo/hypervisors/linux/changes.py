"""What an update of a zone changes, and what of that counts at once. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from fifo.hypervisors.driver import Wanted
from fifo.hypervisors.linux import addresses

if TYPE_CHECKING:
    from fifo.hypervisors.linux.addresses import Attachment
    from fifo.hypervisors.linux.layout import Kept, Started
    from fifo.model.instance import InstanceSpec

LIMITS: Final = (
    "max_physical_memory",
    "max_swap",
    "max_lwps",
    "cpu_cap",
    "cpu_shares",
    "zfs_io_priority",
)
"""The runtime sets them in the running zone's control group."""
ABOUT: Final = ("alias", "customer_metadata", "internal_metadata", "tags", "resolvers")
"""They stand in files that the zone sees."""
AT_START: Final = (*("hostname", "dns_domain", "init", "filesystems", "tmpfs", "nics", "routes"),)
"""Properties that a running zone takes over when it starts next."""
LIVE: Final = (
    *LIMITS,
    *ABOUT,
    *("quota", "ram", "autoboot", "restart", "deletion_protection"),
)
"""Properties that count at once; the last of them are for the host and the fleet alone."""
GUARDED: Final = (
    *("allow_ip_spoofing", "allow_mac_spoofing", "allow_dhcp_spoofing"),
    *("allow_restricted_traffic", "allowed_ips"),
)
"""Parts of a nic that only the rules of its port know of: a change of nothing else is live."""


def changed(old: InstanceSpec, new: InstanceSpec, properties: tuple[str, ...]) -> tuple[str, ...]:
    """Name the properties that differ."""
    return tuple(name for name in properties if getattr(old, name) != getattr(new, name))


def pending(before: tuple[str, ...], later: list[str], live: list[str]) -> tuple[str, ...]:
    """Name what waits for the next start now: what waited before, unless it is what runs again."""
    return tuple(name for name in dict.fromkeys((*before, *later)) if name not in live)


def only_guards(runs: tuple[Attachment, ...], wanted: tuple[Attachment, ...]) -> bool:
    """Tell whether the interfaces that are wanted are those that run, but for what they may send.

    Compared with what runs and not with what was wanted before: that may wait for the next start.
    """
    return [_unguarded(each) for each in runs] == [_unguarded(each) for each in wanted]


def in_force(kept: Kept) -> tuple[Attachment, ...]:
    """Work out the interfaces of what runs, with the leave that they have by now.

    A leave counts at once, unless it came with what waits for the next start. Records of an older
    FiFo have it in the spec alone.
    """
    runs = addresses.of_running(kept)
    wanted = addresses.attachments(Wanted(kept.spec, kept.claim, kept.networks))
    return wanted if only_guards(runs, wanted) else runs


def with_leave(runs: Started, wanted: Wanted) -> Started:
    """Give what an instance was started with, and what it may send as is wanted now."""
    return msgspec.structs.replace(
        runs, nics=wanted.spec.nics, claim=wanted.claim, networks=wanted.networks
    )


def _unguarded(attachment: Attachment) -> tuple[object, ...]:
    nic = attachment.nic
    fields = [name for name in nic.__struct_fields__ if name not in GUARDED]
    where = (attachment.nic_tag, attachment.vlan_id, attachment.addresses)
    return (*where, *(getattr(nic, name) for name in fields))
