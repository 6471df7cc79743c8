"""What a running guest has used: figures that follow from its spec and from time alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from zlib import crc32

from fifo.hypervisors.driver import DiskStats, NicStats, Stats

if TYPE_CHECKING:
    from fifo.hypervisors.simulated.guest import Guest

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


def snapshot_bytes(guest: Guest, now: float) -> int:
    """Say what a snapshot taken now would hold alone."""
    return MIB + int(max(0.0, now - guest.started) * BLOCK_BYTES) if guest.running else MIB
