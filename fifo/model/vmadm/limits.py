"""The bounds of a payload, each with its reason; what an instance may be stands in model.limits."""

from __future__ import annotations

PAYLOAD_BYTES = 256 * 1024
"""A payload: metadata at its bound, written with escapes, and everything else at its bound."""
DEPTH = 8
"""Values inside each other: vmadm's own payloads have four levels."""
VALUES = 16_384
"""Values in all: the fullest payload within the other bounds has a third, and a walk takes 5 ms."""
NUMBER_LARGEST = 2**53
"""Whole numbers up to here are exact in every JSON reader (RFC 8259, section 6)."""
VIOLATIONS = 200
"""Violations that are listed: more than anybody reads, and no payload buys more time."""
NAMED = 64
"""Properties that are named as dropped or not honoured; the rest is counted."""
NAME_CHARACTERS = 64
"""What of a property's name is shown; the longest of vmadm's has 28."""
TEXT_CHARACTERS = 4_096
"""A text without a narrower bound: qemu_opts fits."""
LONG_TEXT_CHARACTERS = 65_536
"""A value of metadata: a user-script; all of them together have their own bound."""
KEY_CHARACTERS = 255
"""A key of tags or metadata (vmadm's mdata: 255)."""
LIST_ENTRIES = 128
"""Entries of a list without a narrower bound: fs_allowed, limit_priv."""
FILESYSTEMS = 64
"""Directories of the host in one zone: a mount each at every start."""
ROUTES = 64
"""Static routes of one instance: an `ip route` command each at every start."""
RESOLVERS = 16
"""Name servers; a guest's resolver looks at the first three."""
GATEWAYS = 8
"""Gateways of an interface."""
ALLOWED_IPS = 13
"""vmadm's own bound on `allowed_ips`."""
ADDRESSES = 32
"""All addresses of an interface together (vmadm)."""
DHCP_IDS = 20
"""vmadm's own bound on `allowed_dhcp_cids`."""
OPTIONS = 16
"""Mount options of a file system."""
INIT_WORDS = 128
"""Words of the command of a zone's first process."""
EXTRA = 64
"""Properties that are kept without a meaning here: all that vmadm has fit."""
MEMORY_MIB = 16 * 1024 * 1024
"""16 TiB, in MiB: beyond the largest machines, and sums stay below 64 bits."""
DISK_MIB = 64 * 1024 * 1024
"""64 TiB, in MiB: what ext4 and a qcow2 image of common cluster size still hold."""
DISK_GIB = 1024 * 1024
"""A PiB, in GiB."""
CPU_PERCENT = 100 * 1024
"""A thousand processors, in hundredths."""
CPU_SHARES = 65_535
"""vmadm clamps to this."""
VCPUS = 64
"""Virtual processors: bhyve's bound; QEMU has more, nobody asks for them."""
LWPS = 1_000_000
"""Threads: a quarter of the largest pid_max of Linux."""
IO_PRIORITY = 16_384
"""The largest weight of ZFS; the kernel's own are clamped to theirs."""
SWAP_LEAST_MIB = 256
"""vmadm's floor of `max_swap`, also for a zone with less memory."""
