"""What the host itself uses: its load, processors, memory, and the storage of instances.

Sources: proc(5) for loadavg, stat and meminfo; statvfs(3).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from fifo.hypervisors.driver import HostUsage

PROC: Final = Path("/proc")
MODES: Final = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
"""The first columns of a processor's line, in their order; the guests' time is within `user`."""
KIB: Final = 1024


def read(storage: Path, proc: Path = PROC) -> HostUsage:
    """Read all of it; some files, in a thread beside the loop. Raises OSError."""
    memory = _memory((proc / "meminfo").read_text(encoding="ascii"))
    disk = os.statvfs(storage)
    return HostUsage(
        load=tuple(map(float, (proc / "loadavg").read_text(encoding="ascii").split()[:3])),
        cpu_seconds=_processors((proc / "stat").read_text(encoding="ascii")),
        memory_bytes=memory.get("MemTotal"),
        memory_available_bytes=memory.get("MemAvailable"),
        storage_bytes=disk.f_blocks * disk.f_frsize,
        storage_available_bytes=disk.f_bavail * disk.f_frsize,
    )


def _memory(meminfo: str) -> dict[str, int]:
    """Give the lines of meminfo in bytes, by name."""
    lines = (line.split() for line in meminfo.splitlines())
    # What has no unit is a count: of huge pages.
    return {words[0].rstrip(":"): int(words[1]) * KIB for words in lines if words[2:] == ["kB"]}


def _processors(stat: str) -> dict[str, float]:
    """Give the seconds of all processors by mode, from the first line, which adds them up."""
    ticks = os.sysconf("SC_CLK_TCK")
    words = stat.partition("\n")[0].split()[1:]
    return {mode: int(count) / ticks for mode, count in zip(MODES, words, strict=False)}
