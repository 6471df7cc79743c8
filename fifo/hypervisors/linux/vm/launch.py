"""The program that becomes QEMU: it opens and joins as root what QEMU may not, and is replaced.

`launch.py GROUP... -- TAP... -- ARGV...`: GROUP is a `cgroup.procs` to be written to, TAP the name
of an interface whose descriptor goes to 10, 11, and so on. ARGV is executed, and drops the rights
(`confine`). Nothing but the standard library's smallest modules: it takes 15 ms. Run by the keeper
as the process of the VM, whose pid it keeps.
"""

from __future__ import annotations

import fcntl
import os
import struct
import sys

TUN = "/dev/net/tun"
TUNSETIFF = 0x400454CA
TAP, NO_PACKET_INFO, VIRTIO_HEADERS = 0x0002, 0x1000, 0x4000
"""Of <linux/if_tun.h>."""
FIRST_TAP = 10
SEPARATOR = "--"


def join(group: str) -> None:
    """Move this process into a control group; raises OSError."""
    descriptor = os.open(group, os.O_WRONLY | os.O_CLOEXEC)
    os.write(descriptor, b"0")
    os.close(descriptor)


def open_tap(name: str, target: int) -> None:
    """Attach a descriptor to a tap that is there, and leave it open for QEMU; raises OSError."""
    descriptor = os.open(TUN, os.O_RDWR | os.O_CLOEXEC)
    flags = TAP | NO_PACKET_INFO | VIRTIO_HEADERS
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
    os.dup2(descriptor, target, inheritable=True)
    os.close(descriptor)


def main(arguments: list[str]) -> None:
    """Do it, and execute; raises OSError, which ends the process with its text on stderr."""
    at = arguments.index(SEPARATOR)
    groups, rest = arguments[:at], arguments[at + 1 :]
    at = rest.index(SEPARATOR)
    taps, argv = rest[:at], rest[at + 1 :]
    for group in groups:
        join(group)
    for number, tap in enumerate(taps):
        open_tap(tap, FIRST_TAP + number)
    os.execvp(argv[0], argv)  # noqa: S606 -- becoming what the node names is its purpose


if __name__ == "__main__":
    main(sys.argv[1:])
