"""Disks of a VM, file systems of a zone and devices: from a payload's to those of a spec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fifo.model.instance import Disk, Filesystem
from fifo.model.vmadm import texts
from fifo.model.vmadm.findings import REQUIRED
from fifo.model.vmadm.gathering import Asked, gather
from fifo.model.vmadm.parts import DISK, DISK_MODELS, FILESYSTEM, PCI_DEVICE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fifo.model.vmadm.findings import Findings


def read(
    given: Sequence[Mapping[str, Any]],
    name: str,
    brand: str,
    driver: str,
    found: Findings,
    *,
    flexible: bool = False,
) -> tuple[Disk, ...]:
    """Read new disks; `driver` is the model of those that have none.

    With `flexible` (flexible_disk_size) a disk may be larger than its image. Paths may be absent.
    """
    made = []
    for index, raw in enumerate(given):
        path = f"{name}[{index}]"
        values = gather_one(raw, path, Asked(brand, "a"), found)
        if not values.setdefault("model", driver):
            found.refuse(f"{path}.model", f"{REQUIRED}, here or as disk_driver")
        check_model(values["model"], path, brand, found)
        if values.get("media", "disk") == "disk":
            _check_source(values, path, found, flexible=flexible)
        if "size" not in values and "image_uuid" in values:
            values["size"] = values.get("image_size", 0)
        made.append(Disk(**{"path": "", **fields_of(values)}))
    check_together(made, name, found)
    return tuple(made)


def gather_one(raw: Mapping[str, Any], path: str, asked: Asked, found: Findings) -> dict[str, Any]:
    """Read what is given of one disk, by vmadm's names; unset ones are left out."""
    values = gather(DISK, raw, f"{path}.", asked, found)
    values = {key: own for key, own in values.items() if own is not None}
    size = values.get("block_size")
    if size is not None and not texts.is_power_of_two(size):
        found.refuse(f"{path}.block_size", "a power of 2 from 512 to 131072")
    return values


def fields_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Give what a disk's values are in a Disk."""
    return {DISK[name].field: own for name, own in values.items() if DISK[name].becomes == "field"}


def check_model(model: str, path: str, brand: str, found: Findings) -> None:
    """Check that the brand has such a controller."""
    models = DISK_MODELS.get(brand, ())
    if model and model not in models:
        found.refuse(f"{path}.model", f"one of {', '.join(models)}")


def _check_source(values: Mapping[str, Any], path: str, found: Findings, *, flexible: bool) -> None:
    """Check that a disk begins as an image, or has a size; never half of both (vmadm)."""
    if "image_uuid" not in values:
        if not values.get("size"):
            found.refuse(f"{path}.size", f"{REQUIRED} without an image_uuid")
        for name in ("image_size", "image_name"):
            if name in values:
                found.refuse(f"{path}.{name}", "nothing without an image_uuid")
    else:
        if "block_size" in values:
            found.refuse(f"{path}.block_size", "nothing with an image_uuid: it has its own")
        if "size" in values and not flexible:
            told = "nothing with an image_uuid, unless there is a flexible_disk_size"
            found.refuse(f"{path}.size", told)
        elif values.get("size", 0) and values["size"] < values.get("image_size", 0):
            found.refuse(f"{path}.size", "at least image_size")
    if "path" in values and not values.get("nocreate"):
        found.refuse(f"{path}.path", "nothing for a new disk, unless nocreate is true")


def check_together(disks: Sequence[Disk], name: str, found: Findings) -> None:
    """Check what holds between disks: one boots, each path once."""
    boots = [index for index, disk in enumerate(disks) if disk.boot]
    for index in boots[1:]:
        found.refuse(f"{name}[{index}].boot", f"one boot disk: [{boots[0]}] is")
    seen: dict[str, int] = {}
    for index, disk in enumerate(disks):
        if disk.path and seen.setdefault(disk.path, index) != index:
            found.refuse(f"{name}[{index}].path", f"not the one of [{seen[disk.path]}]")


# -- file systems and devices ---------------------------------------------------------------------


def read_filesystems(
    given: Sequence[Mapping[str, Any]], name: str, brand: str, found: Findings
) -> tuple[Filesystem, ...]:
    """Read the directories of the host that a zone is to see."""
    made = []
    for index, raw in enumerate(given):
        path = f"{name}[{index}]"
        values = gather(FILESYSTEM, raw, f"{path}.", Asked(brand, "a"), found)
        fields = {
            FILESYSTEM[key].field: own
            for key, own in values.items()
            if own is not None and FILESYSTEM[key].becomes == "field"
        }
        for key in ("source", "target"):
            if not fields.setdefault(key, ""):
                found.refuse(f"{path}.{key}", REQUIRED)
        made.append(Filesystem(**fields))
    check_filesystems(made, name, found)
    return tuple(made)


def check_filesystems(filesystems: Sequence[Filesystem], name: str, found: Findings) -> None:
    """Check that paths are absolute, and each place is taken once."""
    seen: dict[str, int] = {}
    for index, own in enumerate(filesystems):
        for key in ("source", "target"):
            path = getattr(own, key)
            if path and not texts.is_absolute(path):
                found.refuse(f"{name}[{index}].{key}", "an absolute path without `..`")
        if own.target and seen.setdefault(own.target, index) != index:
            found.refuse(f"{name}[{index}].target", f"not the one of [{seen[own.target]}]")


def check_devices(
    given: Sequence[Mapping[str, Any]], name: str, asked: Asked, found: Findings
) -> None:
    """Check devices of the host that a VM is to have: bhyve on SmartOS alone has them."""
    for index, raw in enumerate(given):
        path = f"{name}[{index}]"
        values = gather(PCI_DEVICE, raw, f"{path}.", asked, found)
        wanted = ("path", "pci_slot") if asked.action == "a" else ("path",)
        for key in wanted:
            if not raw.get(key):
                found.refuse(f"{path}.{key}", REQUIRED)
        if values.get("path") and not values["path"].startswith("/devices"):
            found.refuse(f"{path}.path", "a path below /devices")
