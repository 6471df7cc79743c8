"""From what a payload says to a whole spec: what nobody said is filled in, as vmadm does."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from fifo.model.errors import InvalidInput
from fifo.model.instance import InstanceSpec
from fifo.model.vmadm import limits, memory, texts
from fifo.model.vmadm.validity import violations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fifo.model.instance import Disk, Nic
    from fifo.model.package import Package
    from fifo.model.vmadm.payload import Draft

QUOTA_DEFAULT: Final = 10
QUOTA_DEFAULT_BHYVE: Final = 1
"""In GiB. Of a bhyve VM it is the zone around it; its disks have their own sizes."""
FROM_PACKAGE: Final = ("max_lwps", "cpu_cap", "vcpus", "quota", "zfs_io_priority")
"""Fields that a package gives by the same name; what the payload says goes before."""


class Identity(NamedTuple):
    """Who an instance is: a draft's own uuid goes before this one."""

    uid: str
    id: str
    org: str
    create_time: float


def complete(
    draft: Draft, who: Identity, macs: Iterator[str], package: Package | None = None
) -> InstanceSpec:
    """Make the spec of a new instance.

    `macs` gives a hardware address for each interface without one. Raises InvalidInput with all
    that is wrong with the draft, or with the whole that it makes.
    """
    if draft.violations:
        raise InvalidInput(who.id, draft.violations)
    fields = dict(draft.fields)
    if package is not None:
        _take_package(fields, package)
    given = memory.Given(**{name: fields.get(name) for name in memory.Given._fields})
    quota = QUOTA_DEFAULT_BHYVE if fields["brand"] == "bhyve" else QUOTA_DEFAULT
    alias = fields.get("alias", "")
    whole: dict[str, Any] = {
        **who._asdict(),
        "generation": 1,
        "wanted": "running" if fields.get("autoboot", True) else "stopped",
        "quota": quota,
        "hostname": alias if texts.HOST_LABEL.fullmatch(alias) else who.id,
        **fields,
        **memory.create(given, fields["brand"])._asdict(),
        "nics": whole_nics(fields.get("nics", ()), macs),
        "disks": whole_disks(fields.get("disks", ())),
        "unhonoured": draft.unhonoured,
    }
    spec = InstanceSpec(**whole)
    if wrong := violations(spec):
        raise InvalidInput(who.id, wrong)
    return spec


def _take_package(fields: dict[str, Any], package: Package) -> None:
    fields["package"] = package.uid
    for name in FROM_PACKAGE:
        fields.setdefault(name, getattr(package, name))
    if "ram" not in fields and "max_physical_memory" not in fields:
        fields["ram"] = package.max_physical_memory
    if package.max_swap:
        fields.setdefault("max_swap", max(package.max_swap, limits.SWAP_LEAST_MIB))


def whole_nics(nics: tuple[Nic, ...], macs: Iterator[str]) -> tuple[Nic, ...]:
    """Give every interface a name and a hardware address, and one of them the default route."""
    taken = {nic.interface for nic in nics}
    free = (name for name in map("net{}".format, itertools.count()) if name not in taken)
    has_primary = any(nic.primary for nic in nics)
    return tuple(
        msgspec.structs.replace(
            nic,
            interface=nic.interface or next(free),
            mac=nic.mac or next(macs),
            primary=nic.primary or (index == 0 and not has_primary),
        )
        for index, nic in enumerate(nics)
    )


def whole_disks(disks: tuple[Disk, ...]) -> tuple[Disk, ...]:
    """Give every disk a path, and let one of them boot."""
    taken = {disk.path for disk in disks}
    free = (name for name in map("disk{}".format, itertools.count()) if name not in taken)
    has_boot = any(disk.boot for disk in disks)
    return tuple(
        msgspec.structs.replace(
            disk,
            path=disk.path or next(free),
            boot=disk.boot or (index == 0 and not has_boot),
        )
        for index, disk in enumerate(disks)
    )
