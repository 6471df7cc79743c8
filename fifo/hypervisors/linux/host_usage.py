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
    """Read all that can be read; some files, in a thread beside the loop."""
    memory = _memory(_text(proc / "meminfo"))
    size_bytes, available_bytes = _room(storage)
    return HostUsage(
        load=tuple(map(float, _text(proc / "loadavg").split()[:3])),
        cpu_seconds=_processors(_text(proc / "stat")),
        memory_bytes=memory.get("MemTotal"),
        memory_available_bytes=memory.get("MemAvailable"),
        storage_bytes=size_bytes,
        storage_available_bytes=available_bytes,
    )


def _text(path: Path) -> str:
    """Give what a file says; nothing where the kernel hides it, and so nothing is told of it."""
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""


def _room(storage: Path) -> tuple[int | None, int | None]:
    """Give the size of a file system and what is left to others than root, if it answers."""
    try:
        disk = os.statvfs(storage)
    except OSError:
        return None, None
    return disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize


def _memory(meminfo: str) -> dict[str, int]:
    """Give the lines of meminfo in bytes, by name."""
    lines = (line.split() for line in meminfo.splitlines())
    # What has no unit is a count: of huge pages.
    return {words[0].rstrip(":"): int(words[1]) * KIB for words in lines if words[2:] == ["kB"]}


def _processors(stat: str) -> dict[str, float]:
    """Give the seconds of all processors by mode, from the first line, which adds them up.

    Where they are all 0 nobody counts: a kernel in user space shows the file and not its numbers.
    """
    ticks = os.sysconf("SC_CLK_TCK")
    counts = [int(word) for word in stat.partition("\n")[0].split()[1:]]
    if not any(counts):
        return {}
    return {mode: count / ticks for mode, count in zip(MODES, counts, strict=False)}
