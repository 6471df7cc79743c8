"""Images: from the catalogue's record to what callers see."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from fifo.api.resources.instances import BRANDS, from_table
from fifo.api.resources.values import etag, set_time
from fifo.api.resources.view import instance_name
from fifo.model import names
from fifo.model.errors import Violation
from fifo.model.instance import VM_BRANDS
from fifo.v1 import image_pb2

if TYPE_CHECKING:
    from fifo.model.image import Image
    from fifo.store.catalog import Entry, View

Message = image_pb2.Image
TYPE: Final = "fifo/Image"
FORMATS: Final = MappingProxyType(
    {
        "oci_layout": Message.OCI_LAYOUT,
        "oci_archive": Message.OCI_ARCHIVE,
        "rootfs_tar": Message.ROOTFS_TAR,
        "qcow2": Message.QCOW2,
        "raw": Message.RAW,
    }
)
DISK_FORMATS: Final = frozenset({"qcow2", "raw"})
STATES: Final = MappingProxyType(
    {
        "importing": Message.IMPORTING,
        "ready": Message.READY,
        "deleting": Message.DELETING,
    }
)
BOOTS: Final = MappingProxyType(
    {"init": Message.INIT, "direct": Message.DIRECT, "disk": Message.DISK}
)


class Parts(NamedTuple):
    """The record that an image is seen from, and its use."""

    image: Entry[Image]
    instances: int
    """How many instances are made of it."""


def capture(view: View, uid: str) -> Parts | None:
    """Take an image's record and its use as they are now; None if there is none."""
    image = view.images.get(uid)
    return None if image is None else parts_of(view, image)


def parts_of(view: View, image: Entry[Image]) -> Parts:
    """Give what an image is seen from."""
    return Parts(image, view.usage.images[image.record.uid])


def name_of(parts: Parts) -> str:
    """Name it."""
    return f"{names.IMAGES}/{parts.image.record.id}"


def message(view: View, parts: Parts) -> Message:
    """Make what callers see."""
    image = parts.image.record
    made = Message(
        name=name_of(parts),
        uid=image.uid,
        etag=etag(parts.image.raw),
        alias=image.alias,
        description=image.description,
        tags=image.tags,
        os=image.os,
        version=image.version,
        brands=[BRANDS[brand] for brand in image.brands if brand in BRANDS],
        boot=BOOTS[image.boot],
        command=image.command,
        min_ram=image.min_ram,
        format=FORMATS[image.format],
        state=STATES[image.state],
        source=_told(image.source),
        sha256=image.sha256,
        instance_count=parts.instances,
    )
    if image.state != "importing":
        # Until it is there these are bounds.
        made.size_bytes = image.size_bytes
        made.unpacked_size_bytes = image.unpacked_bytes
    if image.from_instance:
        made.from_instance = instance_name(view, image.from_instance)
    set_time(made.create_time, image.create_time)
    return made


def _told(source: str) -> str:
    """Give a source as callers know it: of a URL what is no secret, of an upload its id."""
    if source_field(source) == "upload_id":
        return f"{names.UPLOADS}/{source.rpartition('/')[2]}"
    # What stands behind a question mark may be a secret.
    return source.partition("?")[0]


def source_field(source: str) -> str:
    """Name the field of an import's request that an image's source came in."""
    if source.startswith(("http://", "https://")):
        return "url"
    if not source.startswith("/"):
        return "oci_reference"
    # No other file that may be imported is the node's own.
    directory, _, own = source.rpartition("/")
    uploaded = directory.endswith(f"/{names.UPLOADS}") and names.is_uid(own)
    return "upload_id" if uploaded else "file"


def described(given: Message, image_format: str) -> dict[str, object]:
    """Give the fields of a record that a caller describes an image by, with their defaults."""
    holds_disk = image_format in DISK_FORMATS
    brands = tuple(from_table(BRANDS, brand) for brand in given.brands)
    return {
        "alias": given.alias,
        "description": given.description,
        "tags": dict(given.tags),
        "os": given.os or "linux",
        "version": given.version,
        "brands": brands or (("kvm",) if holds_disk else ("lx",)),
        "boot": from_table(BOOTS, given.boot) or ("disk" if holds_disk else "init"),
        "command": tuple(given.command),
        "min_ram": given.min_ram,
    }


def mismatches(image: Image, field: str) -> list[Violation]:
    """Tell what of an image's brands and boot does not go with its format: VMs are of disks."""
    holds_disk = image.format in DISK_FORMATS
    wrong: list[Violation] = []
    if any((brand in VM_BRANDS) != holds_disk for brand in image.brands):
        told = "KVM for a disk (QCOW2, RAW)" if holds_disk else "LX for files, KVM only of a disk"
        wrong.append(Violation(f"{field}.brands", told))
    if (image.boot == "init") == holds_disk:
        told = "DISK or DIRECT for a disk" if holds_disk else "INIT for files"
        wrong.append(Violation(f"{field}.boot", told))
    return wrong
