"""A payload of `vmadm update` as it is: the spec that follows, or all that is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from fifo.model.instance import InstanceSpec, RestartPolicy
from fifo.model.vmadm import changes, disks, document, memory, nics
from fifo.model.vmadm.findings import Findings
from fifo.model.vmadm.gathering import Asked, gather
from fifo.model.vmadm.part_updates import update_disks, update_filesystems, update_nics
from fifo.model.vmadm.payload import adapt, kept
from fifo.model.vmadm.properties import PROPERTIES
from fifo.model.vmadm.validity import violations

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fifo.model.errors import Violation

OBJECTS: Final = ("tags", "customer_metadata", "internal_metadata", "routes")
"""Fields that an update sets and removes entries of."""
_DEFAULTS: Final = {
    field.encode_name: field.default
    for field in msgspec.structs.fields(InstanceSpec)
    if field.default is not msgspec.NODEFAULT
}
_MEMORY: Final = memory.Memory._fields


class Update(NamedTuple):
    """What an update makes of a spec, and which of its fields differ.

    With violations the spec is the one from before. `unhonoured` and `dropped` are as in a Draft.
    """

    spec: InstanceSpec
    changed: tuple[str, ...] = ()
    violations: tuple[Violation, ...] = ()
    unhonoured: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


def update(
    before: InstanceSpec, data: bytes, macs: Iterator[str], state: str = "stopped"
) -> Update:
    """Apply a payload of `vmadm update`; never raises.

    `macs` gives hardware addresses to interfaces that are added without. `state` is the
    instance's: disks are added and removed of a stopped one alone. The generation is one more if
    anything differs.
    """
    given, refused = document.read(data)
    if refused:
        return Update(before, violations=refused)
    found = Findings()
    read = gather(PROPERTIES, given, "", Asked(before.brand, "u"), found)
    fields = _plain(before, read)
    fields |= _memory(before, read, found)
    fields |= {name: _object(before, read, name) for name in OBJECTS}
    values = {name: own for name, own in read.items() if own is not None}
    fields["nics"] = update_nics(before, values, macs, found)
    nics.check_routes(fields["routes"], fields["nics"], "routes", found)
    fields["disks"] = update_disks(before, values, state, found)
    fields["filesystems"] = update_filesystems(before, values, found)
    for name, action in {
        "pci_devices": "a",
        "add_pci_devices": "a",
        "update_pci_devices": "u",
    }.items():
        disks.check_devices(values.get(name, ()), name, Asked(before.brand, action), found)
    fields["extra"] = _extra(before, read)
    named = found.unhonoured.listed()
    dropped = found.dropped.listed()
    # What is said again or unset now is told anew; what was dropped is not the instance's.
    kept_on = (name for name in before.unhonoured if name not in read)
    fresh = (name for name in named if name not in dropped)
    fields["unhonoured"] = tuple(dict.fromkeys((*kept_on, *fresh)))
    return _made(before, fields, found)


def _made(before: InstanceSpec, fields: Mapping[str, Any], found: Findings) -> Update:
    named, dropped = found.unhonoured.listed(), found.dropped.listed()
    wrong = tuple(found.violations)
    spec = msgspec.structs.replace(before, **fields) if not wrong else before
    # What a later rule refuses in what was stored before is no fault of the update.
    known = violations(before)
    wrong = wrong or tuple(own for own in violations(spec) if own not in known)
    if wrong:
        return Update(before, (), wrong, named, dropped)
    changed = changes.changed(before, spec)
    if changed:
        spec = msgspec.structs.replace(spec, generation=before.generation + 1)
    return Update(spec, changed, (), named, dropped)


def _plain(before: InstanceSpec, read: Mapping[str, Any]) -> dict[str, Any]:
    """Give the plain fields that are set or, by null or an empty text, put back to default."""
    fields: dict[str, Any] = {}
    for name, own in read.items():
        row = PROPERTIES[name]
        if row.becomes != "field" or row.kind == "parts" or row.field in _MEMORY:
            continue
        if own is not None:
            fields[row.field] = own
        elif row.field == "restart":
            fields["restart"] = True
        elif row.field == "quota":
            # No quota is none at all, which is not the quota of who says nothing (vmadm).
            fields["quota"] = 0
        else:
            fields[row.field] = _DEFAULTS[row.field]
    return _adapted(before, fields)


def _adapted(before: InstanceSpec, fields: dict[str, Any]) -> dict[str, Any]:
    restarts = fields.pop("restart", None)
    unset_init = fields.get("init") == ()
    made = adapt(fields, before.brand)
    if unset_init:
        made["init"] = ()
    if restarts is False:
        made["restart"] = msgspec.structs.replace(before.restart, when="never")
    elif restarts is True and before.restart.when == "never":
        made["restart"] = msgspec.structs.replace(before.restart, when=RestartPolicy().when)
    return made


def _memory(before: InstanceSpec, read: Mapping[str, Any], found: Findings) -> dict[str, int]:
    given = memory.Given(**{name: read.get(name) for name in _MEMORY})
    if all(own is None for own in given):
        return {}
    old = memory.Memory(*(getattr(before, name) for name in _MEMORY))
    for violation in memory.violations(old, given, before.brand):
        found.refuse(*violation)
    return memory.update(old, given, before.brand)._asdict()


def _object(before: InstanceSpec, read: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Set entries, then remove some; what is not there need not be removed."""
    own = dict(getattr(before, name)) | (read.get(f"set_{name}") or {})
    for key in read.get(f"remove_{name}") or ():
        own.pop(key, None)
    return own


def _extra(before: InstanceSpec, read: Mapping[str, Any]) -> dict[str, Any]:
    given = {name: own for name, own in read.items() if own is not None}
    fresh = kept(given | {"brand": before.brand})
    # A default that is said again, and a value that is unset, need not be kept.
    return {name: own for name, own in before.extra.items() if name not in read} | fresh
