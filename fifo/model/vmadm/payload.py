"""A payload of `vmadm create` as it is: what it says, what of it is not honoured, what is wrong.

Nothing is filled in that the payload does not say, `brand` excepted (see `fifo.model.vmadm.spec`);
old forms are brought to present ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fifo.model.instance import RestartPolicy
from fifo.model.vmadm import disks, document, limits, nics, texts
from fifo.model.vmadm.findings import REQUIRED, Findings
from fifo.model.vmadm.gathering import Asked, gather, says
from fifo.model.vmadm.metadata import check_metadata
from fifo.model.vmadm.properties import PROPERTIES
from fifo.model.vmadm.property import ALL, HVM

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fifo.model.errors import Violation
    from fifo.model.instance import Scalar

BRAND_DEFAULT: Final = "joyent"
"""What a payload without a brand asks for (vmadm)."""


class Draft(NamedTuple):
    """What a payload says of an instance.

    `fields` are fields of InstanceSpec, only those that the payload sets; nics without an
    interface or a mac have empty ones, as disks have paths. `unhonoured` are properties that are
    given and that the host will do nothing about, by their paths; `dropped` are those of them
    that vmadm would have dropped without a word, and what only `vmadm get` tells. `violations` is
    all that vmadm's create fails on: bad values and missing ones.
    """

    fields: Mapping[str, Any]
    unhonoured: tuple[str, ...] = ()
    violations: tuple[Violation, ...] = ()
    dropped: tuple[str, ...] = ()


def read_payload(data: bytes) -> Draft:
    """Read a payload of `vmadm create`; called by the API, on the node's loop.

    Never raises: whatever is wrong is in the draft's violations.
    """
    given, refused = document.read(data)
    if refused:
        return Draft({}, violations=refused)
    found = Findings()
    brand = _brand(given, found)
    fields = _read(given, brand, found) if brand else {}
    return Draft(
        fields=fields,
        unhonoured=found.unhonoured.listed(),
        violations=tuple(found.violations),
        dropped=found.dropped.listed(),
    )


def _brand(given: Mapping[str, Any], found: Findings) -> str:
    brand = given.get("brand") or BRAND_DEFAULT
    if isinstance(brand, str) and brand in ALL:
        return brand
    found.refuse("brand", PROPERTIES["brand"].wanted)
    return ""


def _read(given: Mapping[str, Any], brand: str, found: Findings) -> dict[str, Any]:
    read = gather(PROPERTIES, given, "", Asked(brand, "c"), found)
    values = {name: own for name, own in read.items() if own is not None}
    values["brand"] = brand
    _upgrade(values, brand, found)
    for name, row in PROPERTIES.items():
        # A value that was refused is told of already.
        if brand in row.needed and name not in values and given.get(name) in (None, ""):
            found.refuse(name, REQUIRED)
    fields = _fields(values)
    _read_parts(values, brand, fields, found)
    check_metadata(fields, found)
    if extra := kept(values):
        fields["extra"] = extra
    return fields


def _upgrade(values: dict[str, Any], brand: str, found: Findings) -> None:
    """Bring what older payloads say to what present ones do."""
    old = values.pop("zone_dataset_uuid" if brand in HVM else "dataset_uuid", None)
    if old is not None:
        values.setdefault("image_uuid", old)
    if values.get("zonename") == values.get("uuid", ""):
        values.pop("zonename", None)
    if brand in HVM and "image_uuid" in values:
        # Of a VM it is the root of the zone around it: its own disks name theirs.
        found.unhonoured.add("image_uuid")
    if values.get("docker"):
        # Who asks for docker does not want its first process restarted (vmadm).
        values.setdefault("restart_init", False)


def _fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """Give the plain fields, each by the name it has in InstanceSpec."""
    fields: dict[str, Any] = {}
    for name, own in values.items():
        row = PROPERTIES[name]
        if row.becomes == "field" and row.kind != "parts":
            fields[row.field] = own
    return adapt(fields, values["brand"])


def adapt(fields: dict[str, Any], brand: str) -> dict[str, Any]:
    """Bring plain values to the types and bounds of InstanceSpec's fields."""
    if brand in HVM:
        fields.pop("image", None)
    if "init" in fields:
        fields["init"] = (fields["init"],)
    if "cpu_shares" in fields:
        fields["cpu_shares"] = min(fields["cpu_shares"], limits.CPU_SHARES)
    # True is vmadm's default: a zone whose first process ends is started again if it failed.
    restart = fields.pop("restart", True)
    if not restart:
        fields["restart"] = RestartPolicy(when="never")
    return fields


def _read_parts(
    values: Mapping[str, Any], brand: str, fields: dict[str, Any], found: Findings
) -> None:
    if "nics" in values:
        driver = values.get("nic_driver", "")
        fields["nics"] = nics.read(values["nics"], "nics", brand, driver, found)
    if "routes" in fields:
        nics.check_routes(fields["routes"], fields.get("nics", ()), "routes", found)
    if "disks" in values:
        flexible = values.get("flexible_disk_size")
        driver = values.get("disk_driver", "")
        made = fields["disks"] = disks.read(
            values["disks"], "disks", brand, driver, found, flexible=flexible is not None
        )
        if flexible is not None and flexible < (total := sum(disk.size for disk in made)):
            found.refuse("flexible_disk_size", f"at least {total}, the size of all disks")
    if "filesystems" in values:
        own = values["filesystems"]
        fields["filesystems"] = disks.read_filesystems(own, "filesystems", brand, found)
    if "pci_devices" in values:
        disks.check_devices(values["pci_devices"], "pci_devices", Asked(brand, "a"), found)
    for name in ("zfs_root_recsize", "zfs_data_recsize"):
        if values.get(name) and not texts.is_power_of_two(values[name]):
            found.refuse(name, "0, or a power of 2 from 512 to 131072")


def kept(values: Mapping[str, Any]) -> dict[str, Scalar]:
    """Give what is kept without a meaning here: scalars, and lists as vmadm writes them down."""
    extra: dict[str, Scalar] = {}
    for name, own in values.items():
        row = PROPERTIES[name]
        if row.becomes in {"unhonoured", "kept"} and row.kind != "parts" and says(row, own):
            extra[name] = ",".join(own) if isinstance(own, tuple) else own
    if values["brand"] in HVM and "image_uuid" in values:
        extra["image_uuid"] = values["image_uuid"]
    return extra
