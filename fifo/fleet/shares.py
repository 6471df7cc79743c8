"""Shares: the parts of a host that an instance takes, and their sums."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fifo.model.instance import Shares

if TYPE_CHECKING:
    from fifo.model.instance import InstanceSpec


def shares_of(spec: InstanceSpec) -> Shares:
    """Give the parts of a host that an instance takes (vmadm: cpu_cap, memory, quota or disks)."""
    disk = sum(own.size for own in spec.disks) // 1024 if spec.is_vm else spec.quota
    cpu = spec.cpu_cap or (spec.vcpus * 100 if spec.is_vm else 0)
    return Shares(cpu=cpu, memory=spec.max_physical_memory, disk=disk)


def add(one: Shares, other: Shares, sign: int = 1) -> Shares:
    """Add shares, or take them away."""
    return Shares(
        cpu=one.cpu + sign * other.cpu,
        memory=one.memory + sign * other.memory,
        disk=one.disk + sign * other.disk,
    )
