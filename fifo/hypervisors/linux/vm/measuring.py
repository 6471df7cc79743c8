"""Measuring running VMs: their control groups, taps and disks, as the host sees them.

What the guest itself uses of its memory nobody asks: there is no agent in it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fifo.hypervisors.driver import DiskStats, NicStats, Stats
from fifo.hypervisors.linux import cgroups
from fifo.hypervisors.linux.bridges import LINKS
from fifo.hypervisors.linux.vm import disks, made
from fifo.model.errors import FifoError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fifo.hypervisors.linux.host import Host
    from fifo.hypervisors.linux.layout import Kept
    from fifo.hypervisors.linux.vm.made import MadeDisk
    from fifo.hypervisors.linux.vm.monitor import Monitor

HALTED: Final = "io-error"
"""QEMU's word for a VM that it has halted since a disk of the host was full."""
COUNTERS: Final = ("rd_bytes", "wr_bytes", "rd_operations", "wr_operations")

_log = logging.getLogger(__name__)


class Running(NamedTuple):
    """A running VM and the way to its QEMU."""

    kept: Kept
    monitor: Monitor


class _Told(NamedTuple):
    """What QEMU says: the counters of its disks, and whether a full disk of the host halts it."""

    counters: list[dict[str, Any]]
    halted: bool = False


async def measure(host: Host, running: tuple[Running, ...]) -> tuple[Stats, ...]:
    """Measure VMs; a disk's counters are absent where QEMU does not answer.

    A VM that was halted by a full disk of the host is let go on: if there is no room yet, it halts
    again at once. Called at each sampling, so that this needs no other clock.
    """
    answers = await asyncio.gather(*(_ask(each) for each in running))
    parent = host.settings.cgroup

    def read() -> tuple[Stats, ...]:
        return tuple(
            _stats(host, each.kept, f"{parent}/{each.kept.uid}", told)
            for each, told in zip(running, answers, strict=True)
        )

    return await asyncio.to_thread(read)


async def _ask(running: Running) -> _Told:
    """Ask QEMU for the counters of its disks, and have it go on if it was halted."""
    uid, monitor = running.kept.uid, running.monitor
    try:
        told: list[dict[str, Any]] = await monitor.ask("query-blockstats")
        status = await monitor.ask("query-status")
        halted = status["status"] == HALTED
        if halted:
            _log.warning("%s: halted by a full disk of the host; make room on it", uid)
            await monitor.ask("cont")
    except FifoError as error:
        # It may be ending; if not, the next sampling says it again.
        _log.info("%s: QEMU does not tell of its disks: %s", uid, error)
        return _Told([])
    return _Told(told, halted)


def _stats(host: Host, kept: Kept, cgroup: str, told: _Told) -> Stats:
    usage = cgroups.usage(cgroup)
    directory = host.layout.instance(kept.uid)
    found = made.read(directory)
    used_bytes, size_bytes = disks.used(directory, found.own)
    own = kept.runs_with.nics
    ports = host.networking.ports(kept.uid, own)
    return Stats(
        uid=kept.uid,
        cpu_seconds=usage.cpu_seconds,
        memory_bytes=usage.memory_bytes,
        memory_limit_bytes=usage.memory_limit_bytes,
        processes=usage.processes,
        nics=tuple(
            _nic(nic.interface, LINKS / port / "statistics")
            for nic, port in zip(own, ports, strict=True)
            if (LINKS / port).exists()
        ),
        disks=tuple(_disks(found.disks, told.counters)),
        filesystem_used_bytes=used_bytes,
        filesystem_size_bytes=size_bytes,
        halted=told.halted,
    )


def _nic(interface: str, counters: Path) -> NicStats:
    """Read a tap's counters: what the host receives from it the VM has sent."""

    def count(name: str) -> int:
        try:
            return int((counters / name).read_text(encoding="ascii"))
        except OSError:
            # It has ended since it was listed.
            return 0

    return NicStats(
        interface,
        received_bytes=count("tx_bytes"),
        sent_bytes=count("rx_bytes"),
        received_packets=count("tx_packets"),
        sent_packets=count("rx_packets"),
    )


def _disks(own: tuple[MadeDisk, ...], told: list[dict[str, Any]]) -> Iterator[DiskStats]:
    paths = {disk.node: disk.path for disk in own}
    for device in told:
        path = paths.get(device.get("node-name", ""))
        if path is not None:
            read, written, reads, writes = (device["stats"][name] for name in COUNTERS)
            yield DiskStats(path, read, written, reads, writes)
