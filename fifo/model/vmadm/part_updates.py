"""Parts of an instance in an update: interfaces by mac, disks by path, file systems by target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from fifo.model.vmadm import disks, nics, texts
from fifo.model.vmadm.findings import REQUIRED
from fifo.model.vmadm.gathering import Asked, gather
from fifo.model.vmadm.parts import FILESYSTEM
from fifo.model.vmadm.spec import whole_disks, whole_nics

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fifo.model.instance import Disk, Filesystem, InstanceSpec, Nic
    from fifo.model.vmadm.findings import Findings

DISK_LIVE: Final = frozenset({"path", "compression", "refreservation"})
"""What of a disk is updated while its VM runs (vmadm)."""
NIC_VERBS: Final = ("add_nics", "update_nics", "remove_nics")
DISK_VERBS: Final = ("add_disks", "update_disks", "remove_disks")


def update_nics(
    before: InstanceSpec, values: Mapping[str, Any], macs: Iterator[str], found: Findings
) -> tuple[Nic, ...]:
    """Update, remove and add interfaces, in this order; who is primary last takes it from others.

    An unknown mac in `remove_nics` is passed over, in `update_nics` it is refused (vmadm).
    """
    if not any(values.get(name) for name in NIC_VERBS):
        return before.nics
    _check_primaries(values, found)
    held = {nic.mac: nic for nic in before.nics}
    primary = next((nic.mac for nic in before.nics if nic.primary), "")
    for index, raw in enumerate(values.get("update_nics", ())):
        primary = _update_nic(held, raw, f"update_nics[{index}]", before.brand, found) or primary
    for text in values.get("remove_nics", ()):
        if texts.is_mac(text):
            held.pop(texts.whole_mac(text), None)
    driver = values.get("nic_driver") or next((nic.model for nic in before.nics), "")
    added = nics.read(values.get("add_nics", ()), "add_nics", before.brand, driver, found)
    whole = whole_nics((*held.values(), *added), macs)
    # Of those that are new, only the one that asks for it is primary.
    asked = [nic.mac for nic, new in zip(whole[len(held) :], added, strict=True) if new.primary]
    primary = asked[0] if asked else primary
    own = [nic.mac for nic in whole]
    chosen = own.index(primary) if primary in own else 0
    made = tuple(
        msgspec.structs.replace(nic, primary=index == chosen) for index, nic in enumerate(whole)
    )
    nics.check_together(made, "nics", found)
    return made


def _update_nic(
    held: dict[str, Nic], raw: Mapping[str, Any], path: str, brand: str, found: Findings
) -> str:
    """Update one of the interfaces held; gives its mac if it is to be the primary one."""
    given = nics.gather_one(raw, path, Asked(brand, "u"), found)
    tag = given.get("nic_tag", "")
    if tag and not texts.NIC_TAG_UPDATED.fullmatch(tag):
        found.refuse(f"{path}.nic_tag", "a nic tag without `/`")
    fields = nics.fields_of(given)
    mac = fields.get("mac")
    if mac in held:
        held[mac] = msgspec.structs.replace(held[mac], **fields)
        return mac if given.get("primary") else ""
    if mac is not None:
        found.refuse(f"{path}.mac", "the mac of an interface there is")
    elif not raw.get("mac"):
        found.refuse(f"{path}.mac", REQUIRED)
    return ""


def _check_primaries(values: Mapping[str, Any], found: Findings) -> None:
    """Refuse two that are to be primary; of those that are added, reading them tells."""
    paths = [
        f"{name}[{index}]"
        for name in ("update_nics", "add_nics")
        for index, raw in enumerate(values.get(name, ()))
        if raw.get("primary") in (True, "true", "1")
    ]
    for path in paths[1:] if paths and paths[0].startswith("update") else ():
        found.refuse(f"{path}.primary", f"one primary interface: {paths[0]} is to be")


def update_disks(
    before: InstanceSpec, values: Mapping[str, Any], state: str, found: Findings
) -> tuple[Disk, ...]:
    """Update, remove and add disks, in this order; most of it while the VM is stopped alone."""
    if not any(values.get(name) for name in DISK_VERBS):
        return before.disks
    for name in ("add_disks", "remove_disks"):
        if values.get(name) and state != "stopped":
            found.refuse(name, f"the VM to be stopped; it is {state}")
    held = {disk.path: disk for disk in before.disks}
    for index, raw in enumerate(values.get("update_disks", ())):
        path = f"update_disks[{index}]"
        given = disks.gather_one(raw, path, Asked(before.brand, "u"), found)
        if state != "stopped" and not given.keys() <= DISK_LIVE:
            found.refuse(path, f"the VM to be stopped; it is {state}")
        _update_disk(held, given, path, before.brand, found)
    for path in values.get("remove_disks", ()):
        held.pop(path, None)
    driver = values.get("disk_driver") or next((disk.model for disk in before.disks), "")
    flexible = "flexible_disk_size" in values or "flexible_disk_size" in before.extra
    added = disks.read(
        values.get("add_disks", ()), "add_disks", before.brand, driver, found, flexible=flexible
    )
    whole = whole_disks((*held.values(), *added))
    disks.check_together(whole, "disks", found)
    return whole


def _update_disk(
    held: dict[str, Disk], given: Mapping[str, Any], path: str, brand: str, found: Findings
) -> None:
    """Update one of the disks held; who boots takes that from the others."""
    disks.check_model(given.get("model", ""), path, brand, found)
    if given.get("refreservation") == "auto":
        found.refuse(f"{path}.refreservation", "a size: only a new disk has auto")
    own = held.get(given.get("path", ""))
    if own is None:
        found.refuse(f"{path}.path", "the path of a disk there is")
        return
    if given.get("size", own.size) < own.size and not given.get("dangerous_allow_shrink"):
        found.refuse(f"{path}.size", f"at least {own.size}, or dangerous_allow_shrink")
    if given.get("boot"):
        for other in held.values():
            held[other.path] = msgspec.structs.replace(other, boot=False)
    held[own.path] = msgspec.structs.replace(held[own.path], **disks.fields_of(given))


def update_filesystems(
    before: InstanceSpec, values: Mapping[str, Any], found: Findings
) -> tuple[Filesystem, ...]:
    """Update, remove and add directories of the host, in this order."""
    if before.is_vm:
        for name in ("add_filesystems", "update_filesystems"):
            if values.get(name):
                found.drop(name)
        return before.filesystems
    held = {own.target: own for own in before.filesystems}
    for index, raw in enumerate(values.get("update_filesystems", ())):
        path = f"update_filesystems[{index}]"
        given = gather(FILESYSTEM, raw, f"{path}.", Asked(before.brand, "u"), found)
        fields = {
            FILESYSTEM[name].field: own
            for name, own in given.items()
            if own is not None and FILESYSTEM[name].becomes == "field"
        }
        known = held.get(fields.get("target", ""))
        if known is None:
            found.refuse(f"{path}.target", "the target of a file system there is")
        else:
            held[known.target] = msgspec.structs.replace(known, **fields)
    for target in values.get("remove_filesystems", ()):
        held.pop(target, None)
    own = values.get("add_filesystems", ())
    added = disks.read_filesystems(own, "add_filesystems", before.brand, found)
    whole = (*held.values(), *added)
    disks.check_filesystems(whole, "filesystems", found)
    return whole
