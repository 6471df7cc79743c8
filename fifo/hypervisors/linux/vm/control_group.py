"""The control group of a VM: made before its QEMU, which joins it before it is QEMU.

Writing is here, reading in `fifo.hypervisors.linux.cgroups`. The processor is QEMU's in all its
threads, the memory the guest's and QEMU's own. A host without version 2 has a hierarchy for each
controller, one with it a single one whose controllers are handed down level by level.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from fifo.hypervisors.linux import cgroups
from fifo.hypervisors.linux.limits import CPU_PERIOD_US
from fifo.hypervisors.linux.vm import limits
from fifo.model.errors import DriverFailed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fifo.hypervisors.linux.host import Facts
    from fifo.model.instance import InstanceSpec

MIB: Final = 1024 * 1024
PROCESSES: Final = "cgroup.procs"
CONTROLLERS: Final = ("memory", "cpu", "cpuacct", "pids", "blkio")
"""Of version 1: those that limit or count what a VM uses."""


class Setting(NamedTuple):
    """What is written to which file; `controller` is its directory under version 1."""

    controller: str
    file: str
    value: str


def memory_limit_mib(spec: InstanceSpec) -> int:
    """Give what QEMU may use: what the payload says, but never less than it needs to run."""
    return max(spec.max_physical_memory, spec.ram + limits.OVERHEAD_MIB)


def settings(spec: InstanceSpec, facts: Facts) -> tuple[Setting, ...]:
    """Give a VM's limits, in vmadm's words and units: MiB, hundredths of a processor, 0 for none.

    max_swap counts memory and swap together. Where the kernel does not count swap, or shares its
    disks without weights, nothing is written of it.
    """
    memory = memory_limit_mib(spec) * MIB
    swap = max(spec.max_swap * MIB, memory)
    threads = str(limits.PROCESSES + spec.vcpus)
    weight = min(1000, max(10, spec.zfs_io_priority))
    quota = spec.cpu_cap * CPU_PERIOD_US // 100
    shares = max(2, spec.cpu_shares)
    if facts.cgroups == "v2":
        found = [
            Setting("memory", "memory.max", str(memory)),
            Setting("cpu", "cpu.max", f"{quota or 'max'} {CPU_PERIOD_US}"),
            Setting("cpu", "cpu.weight", str(_weight(shares))),
            Setting("pids", "pids.max", threads),
        ]
        extra = (
            Setting("memory", "memory.swap.max", str(swap - memory)),
            Setting("io", "io.bfq.weight", str(weight)),
        )
    else:
        found = [
            Setting("memory", "memory.limit_in_bytes", str(memory)),
            Setting("cpu", "cpu.cfs_period_us", str(CPU_PERIOD_US)),
            Setting("cpu", "cpu.cfs_quota_us", str(quota or -1)),
            Setting("cpu", "cpu.shares", str(shares)),
            Setting("pids", "pids.max", threads),
        ]
        extra = (
            Setting("memory", "memory.memsw.limit_in_bytes", str(swap)),
            Setting("blkio", "blkio.weight", str(weight)),
        )
    kept = (facts.swap, facts.io_weight)
    return (*found, *(each for each, can in zip(extra, kept, strict=True) if can))


def _weight(shares: int) -> int:
    """Translate shares (2 to 262,144) to a weight (1 to 10,000), as all runtimes do."""
    return min(10_000, 1 + (shares - 2) * 9_999 // 262_142)


class ControlGroups:
    """The groups of VMs below one of a node's. Blocks for some system calls; raises DriverFailed.

    Used on the node's loop.
    """

    def __init__(self, facts: Facts, parent: str, root: Path = cgroups.ROOT) -> None:
        self._facts = facts
        self._parent = parent.lstrip("/")
        self._root = root

    def make(self, spec: InstanceSpec) -> tuple[str, ...]:
        """Make a VM's group with its limits; gives the files by which a process joins it."""
        try:
            places = dict.fromkeys(place for _, place in self._places(spec.uid))
            if self._facts.cgroups == "v2":
                self._hand_down()
            for place in places:
                place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DriverFailed(
                f"no control group for it: {error}", spec.uid, "see the host's /sys/fs/cgroup"
            ) from error
        self.apply(spec)
        return tuple(str(place / PROCESSES) for place in places)

    def apply(self, spec: InstanceSpec) -> None:
        """Write a VM's limits; one that waits for another (memory and swap) is written after it."""
        missing = list(settings(spec, self._facts))
        places = dict(self._places(spec.uid))
        while missing:
            errors = {each: _refusal(places, each) for each in missing}
            refused = [each for each, error in errors.items() if error is not None]
            if len(refused) == len(missing):
                told = ", ".join(f"{each.file} {each.value} ({errors[each]})" for each in refused)
                raise DriverFailed(f"the kernel refuses {told}", spec.uid, "see its limits")
            missing = refused

    def remove(self, uid: str) -> None:
        """Remove a VM's group; nothing if it is not there or something is in it."""
        cgroups.remove_empty(f"{self._parent}/{uid}", self._root)

    def _places(self, uid: str) -> Iterator[tuple[str, Path]]:
        """Yield where a VM's group is, by controller; it may be one place for several."""
        if self._facts.cgroups == "v2":
            yield from ((name, self._root / self._parent / uid) for name in cgroups.HANDED_DOWN)
            return
        for name in CONTROLLERS:
            hierarchy = self._root / name
            if hierarchy.is_dir():
                # cpu and cpuacct are links to one hierarchy on most hosts.
                yield name, hierarchy.resolve() / self._parent / uid

    def _hand_down(self) -> None:
        """Let groups two levels below the root have the controllers that are there."""
        own = self._root / self._parent
        own.mkdir(parents=True, exist_ok=True)
        cgroups.hand_down(self._root, own)


def _refusal(places: dict[str, Path], setting: Setting) -> OSError | None:
    """Write one limit; a controller that this host does not have limits nothing."""
    place = places.get(setting.controller)
    if place is None:
        return None
    try:
        (place / setting.file).write_text(setting.value, encoding="ascii")
    except OSError as error:
        return error
    return None
