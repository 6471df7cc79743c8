"""How QEMU's programs lose the rights of root, by two programs of util-linux before them. Pure.

Each VM has a user of its own, far above what people and services have, so that a guest that breaks
out of its QEMU finds itself in front of everybody else's files without a right to them. The host's
images are readable to all of them. What may not be confined so is handed on by `launch`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fifo.hypervisors.linux.settings import UID_BASE, UIDS
from fifo.hypervisors.linux.vm import launch, limits
from fifo.hypervisors.linux.vm.machine import FIRST_TAP
from fifo.model.errors import NoRoom

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

LAUNCH: Final = (sys.executable, "-I", "-S", str(Path(launch.__file__).resolve()))
assert launch.FIRST_TAP == FIRST_TAP


def first_user(uid_base: int) -> int:
    """Give the first user for VMs: above those of the zones, also where zones have none."""
    return (uid_base or UID_BASE) + UIDS


def import_user(uid_base: int) -> int:
    """Give the user who reads images of strangers, and tries what works: no VM has it."""
    return first_user(uid_base) + limits.USERS


def free_user(uid_base: int, taken: Collection[int]) -> int:
    """Give the first user that no VM has; raises NoRoom."""
    first = first_user(uid_base)
    for user in range(first, first + limits.USERS):
        if user not in taken:
            return user
    raise NoRoom(f"{limits.USERS} VMs have a user each", "host", "delete some of them")


def as_user(user: int, argv: Iterable[str], *, group: int = 0) -> tuple[str, ...]:
    """Give the words that execute a program as a user without any privilege.

    `group` is one more group that it is in, 0 for none: of the device that KVM is.
    """
    return (
        *("setpriv", f"--reuid={user}", f"--regid={user}"),
        f"--groups={group}" if group else "--clear-groups",
        *("--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--"),
        *argv,
    )


def bounded(argv: Iterable[str], *, cpu_s: int, file_bytes: int = 0) -> tuple[str, ...]:
    """Give the words that execute a program within bounds; 0 is no file of any size."""
    return (
        *("prlimit", f"--as={limits.INFO_MEMORY_BYTES}", f"--cpu={cpu_s}"),
        *(f"--fsize={file_bytes}", "--core=0", "--"),
        # glibc keeps 64 MiB of addresses for each thread's own heap, and qemu-img may have 64
        # threads: by chance enough of them were there at once to leave it without addresses.
        *("env", "MALLOC_ARENA_MAX=1"),
        *argv,
    )


def launched(
    groups: Iterable[str], taps: Iterable[str], argv: Iterable[str], user: int, *, group: int = 0
) -> tuple[str, ...]:
    """Give the words that become QEMU: in its control groups, with its taps, as its user."""
    return (
        *LAUNCH,
        *groups,
        launch.SEPARATOR,
        *taps,
        launch.SEPARATOR,
        *as_user(user, argv, group=group),
    )
