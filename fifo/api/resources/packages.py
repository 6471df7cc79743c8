"""Packages: between the record and what callers see and set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from fifo.api.resources.values import etag, set_time
from fifo.model import names
from fifo.model.package import Package
from fifo.model.vmadm.limits import SWAP_LEAST_MIB
from fifo.v1 import package_pb2

if TYPE_CHECKING:
    from fifo.store.catalog import Entry, View

Message = package_pb2.Package
TYPE: Final = "fifo/Package"
NUMBERS: Final = (
    "max_physical_memory", "max_lwps", "cpu_cap", "vcpus", "quota", "zfs_io_priority",
)  # fmt: skip
"""Fields that are the same numbers in the record and in the message."""


class Parts(NamedTuple):
    """The record that a package is seen from, and its use."""

    package: Entry[Package]
    instances: int
    """How many instances have it."""


def capture(view: View, uid: str) -> Parts | None:
    """Take a package's record and its use as they are now; None if there is none."""
    package = view.packages.get(uid)
    return None if package is None else parts_of(view, package)


def parts_of(view: View, package: Entry[Package]) -> Parts:
    """Give what a package is seen from."""
    return Parts(package, view.usage.packages[package.record.uid])


def name_of(parts: Parts) -> str:
    """Name it."""
    return f"{names.PACKAGES}/{parts.package.record.id}"


def message(view: View, parts: Parts) -> Message:
    """Make what callers see."""
    del view
    package = parts.package.record
    made = Message(
        name=name_of(parts),
        uid=package.uid,
        etag=etag(parts.package.raw),
        alias=package.alias,
        description=package.description,
        tags=package.tags,
        required_labels=package.required_labels,
        max_swap=swap_of(package),
        instance_count=parts.instances,
        generation=package.generation,
        **{number: getattr(package, number) for number in NUMBERS},
    )
    set_time(made.create_time, package.create_time)
    return made


def changed(package: Package, given: Message) -> Package:
    """Give a package with what a caller set in a whole message; what is absent has its default."""
    numbers = {number: getattr(given, number) for number in NUMBERS if given.HasField(number)}
    defaults = {field.name: field.default for field in msgspec.structs.fields(Package)}
    numbers = {number: numbers.get(number, defaults[number]) for number in NUMBERS}
    made = msgspec.structs.replace(
        package,
        alias=given.alias,
        description=given.description,
        tags=dict(given.tags),
        required_labels=dict(given.required_labels),
        max_swap=given.max_swap if given.HasField("max_swap") else numbers["max_physical_memory"],
        **numbers,
    )
    return msgspec.structs.replace(made, max_swap=swap_of(made))


def swap_of(package: Package) -> int:
    """Give a package's swap in MiB: no less than vmadm's floor, which small memory is below."""
    return max(package.max_swap, SWAP_LEAST_MIB)
