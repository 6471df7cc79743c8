"""Measuring running zones: control groups, their interfaces, and what they hold on the disk."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from fifo.hypervisors.driver import DiskStats, NicStats, Stats
from fifo.hypervisors.linux import cgroups

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fifo.hypervisors.linux.host import Host
    from fifo.hypervisors.linux.layout import Kept

LOOPBACK = "lo"


async def measure(host: Host, running: tuple[Kept, ...]) -> tuple[Stats, ...]:
    """Measure running zones; some files each, read in a thread beside the loop."""
    directories = {kept.uid: host.layout.instance(kept.uid) for kept in running}
    used = await host.storage.used_bytes(tuple(directories.values()))
    parent = host.settings.cgroup

    def read() -> tuple[Stats, ...]:
        return tuple(
            _stats(kept, f"{parent}/{kept.uid}", used.get(directories[kept.uid], (0, 0)))
            for kept in running
        )

    return await asyncio.to_thread(read)


def _stats(kept: Kept, cgroup: str, disk: tuple[int, int]) -> Stats:
    usage = cgroups.usage(cgroup)
    return Stats(
        uid=kept.uid,
        cpu_seconds=usage.cpu_seconds,
        memory_bytes=usage.memory_bytes,
        memory_limit_bytes=usage.memory_limit_bytes,
        processes=usage.processes,
        nics=tuple(nics(Path(f"/proc/{kept.pid}/net/dev"))),
        disks=(
            DiskStats("root", usage.read_bytes, usage.written_bytes, usage.reads, usage.writes),
        ),
        filesystem_used_bytes=disk[0],
        filesystem_size_bytes=disk[1],
    )


def nics(path: Path) -> Iterator[NicStats]:
    """Yield the interfaces of a process's network namespace, from its side (proc(5): net/dev)."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError:
        # It has ended since it was listed.
        return
    for line in lines[2:]:
        name, _, rest = line.partition(":")
        if name.strip() != LOOPBACK:
            counters = [int(word) for word in rest.split()]
            yield NicStats(name.strip(), counters[0], counters[8], counters[1], counters[9])
