"""The fields that `create` and `update` take, for help, which waits for no proto.

A test compares them with the protos.
"""

from __future__ import annotations

from typing import Final

SETTABLE: Final = {
    "instance": (
        "uid etag alias deletion_protection owner_uuid billing_id brand image package hypervisor"
        " autoboot desired_state restart_policy cpu_cap cpu_shares vcpus ram max_physical_memory"
        " max_locked_memory max_swap max_lwps quota tmpfs zfs_io_priority hostname dns_domain"
        " resolvers routes nics firewall_enabled disks filesystems customer_metadata"
        " internal_metadata tags init kernel_version extra"
    ),
    "package": (
        "etag alias description tags max_physical_memory max_swap max_lwps cpu_cap vcpus quota"
        " zfs_io_priority required_labels"
    ),
    "network": (
        "uid etag alias description tags nic_tag vlan_id mtu pools resolvers routes isolated"
    ),
    "hypervisor": "etag labels reserved",
}


def listed(word: str) -> str:
    """Write the fields of a kind of resource for the end of a command's help."""
    return f"Fields: {', '.join(SETTABLE[word].split())}."
