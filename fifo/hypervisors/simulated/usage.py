"""What a running guest has used: figures that follow from its spec and from time alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from zlib import crc32

from fifo.hypervisors.driver import DiskStats, HostUsage, NicStats, Stats

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fifo.hypervisors.simulated.guest import Guest
    from fifo.model.instance import Shares

MIB: Final = 1024 * 1024
GIB: Final = 1024 * MIB
PACKET_BYTES: Final = 600
BLOCK_BYTES: Final = 16 * 1024


def usage(guest: Guest, now: float) -> Stats:
    """Measure a guest that runs; counters grow with the time since its start."""
    spec = guest.wanted.spec
    lived_s = max(0.0, now - guest.started)
    busy = 0.01 + crc32(spec.uid.encode()) % 90 / 100
    moved = int(lived_s * busy * 10_000)
    memory = spec.ram if spec.is_vm else spec.max_physical_memory
    nics = tuple(
        NicStats(
            nic.interface, moved, moved // 2, moved // PACKET_BYTES, moved // 2 // PACKET_BYTES
        )
        for nic in spec.nics
    )
    disk = DiskStats("root", moved, moved // 4, moved // BLOCK_BYTES, moved // 4 // BLOCK_BYTES)
    return Stats(
        spec.uid, lived_s * busy, int(memory * MIB * busy), memory * MIB, 3, nics, (disk,),
        min(spec.quota * GIB, 64 * MIB + moved), spec.quota * GIB,
    )  # fmt: skip


def host_usage(capacity: Shares, guests: Iterable[Guest]) -> HostUsage:
    """Tell what a host has left; it has no processors, so that nothing is told of their time."""
    specs = [guest.wanted.spec for guest in guests if guest.running]
    memory = sum(spec.ram if spec.is_vm else spec.max_physical_memory for spec in specs)
    return HostUsage(
        load=(float(len(specs)),) * 3,
        memory_bytes=capacity.memory * MIB,
        memory_available_bytes=max(0, capacity.memory - memory) * MIB,
        storage_bytes=capacity.disk * GIB,
        storage_available_bytes=max(0, capacity.disk - sum(spec.quota for spec in specs)) * GIB,
    )


def snapshot_bytes(guest: Guest, now: float) -> int:
    """Say what a snapshot taken now would hold alone."""
    return MIB + int(max(0.0, now - guest.started) * BLOCK_BYTES) if guest.running else MIB
