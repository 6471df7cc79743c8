"""What an update of a VM changes, and what of that counts at once. Pure.

What a VM is told about itself stands on a disk that its guest reads when it boots, so that metadata
waits for the next start, as its memory and processors do.
"""

from __future__ import annotations

from typing import Final

LIMITS: Final = (*("max_physical_memory", "max_swap", "cpu_cap", "cpu_shares", "zfs_io_priority"),)
"""They are written into the running VM's control group."""
LIVE: Final = (
    *LIMITS,
    *("autoboot", "restart", "deletion_protection"),
)
"""Properties that count at once; the last are for the host and the fleet alone."""
ABOUT: Final = (
    *("alias", "hostname", "dns_domain", "resolvers", "routes"),
    *("customer_metadata", "internal_metadata", "tags"),
)
"""What stands on the disk about it."""
AT_START: Final = ("ram", "vcpus", *ABOUT, "nics", "disks")
"""Properties that a running VM takes over when it starts next."""
