"""What the kernel says of itself and of the host."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fifo.hypervisors.linux import cgroups
from fifo.hypervisors.linux.host import Facts
from fifo.hypervisors.linux.keeper import processes
from fifo.model.errors import NotReady
from fifo.model.instance import Shares

if TYPE_CHECKING:
    from fifo.hypervisors.linux.settings import Settings

MEMINFO: Final = Path("/proc/meminfo")
STAT: Final = Path("/proc/stat")
OTHERS_PASS: Final = 0o001
KIB_A_MIB: Final = 1024


def gather() -> Facts:
    """Read what does not change until the next boot."""
    with cgroups.looked_into():
        swap, io_weight = cgroups.counts_swap(), cgroups.has_io_weight()
    return Facts(
        boot_id=processes.boot_id(),
        cgroups=cgroups.version(),
        swap=swap,
        io_weight=io_weight,
        machine=platform.machine(),
    )


def boot_time(stat: str) -> float:
    """Find when the host booted, in UTC seconds, in the text of /proc/stat."""
    found = (line.split()[1] for line in stat.splitlines() if line.startswith("btime "))
    return float(next(found, "0"))


def memory_mib(meminfo: str) -> int:
    """Find how much memory there is in the text of /proc/meminfo."""
    found = (line.split()[1] for line in meminfo.splitlines() if line.startswith("MemTotal:"))
    return int(next(found, "0")) // KIB_A_MIB


def capacity(disk_bytes: int) -> Shares:
    """Give all the host has, in the units of claims."""
    return Shares(
        cpu=100 * len(os.sched_getaffinity(0)),
        memory=memory_mib(MEMINFO.read_text(encoding="ascii")),
        disk=disk_bytes // 1024**3,
    )


def require_way_in(settings: Settings) -> None:
    """Refuse a state directory that a zone's users could not reach; raises NotReady."""
    if not settings.uid_base:
        return
    for path in (settings.state_dir, *settings.state_dir.parents):
        if not path.stat().st_mode & OTHERS_PASS:
            raise NotReady(
                "zones run as other users and cannot pass this directory", str(path),
                f"chmod o+x {path}, or choose another state directory",
            )  # fmt: skip
