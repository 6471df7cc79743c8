"""Disks and file systems: from a request's to those of a spec."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fifo.model import names
from fifo.model.instance import FILESYSTEM_OPTIONS, FILESYSTEM_TYPES, Disk, Filesystem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fifo.api.drafts.found import Drafting
    from fifo.v1 import instance_pb2

_MIB = 1024 * 1024


def disks_of(
    drafting: Drafting, given: Sequence[instance_pb2.Disk], image: str
) -> tuple[Disk, ...]:
    """Make a VM's disks; one that names only its image gets a boot disk of that."""
    made = [_disk(drafting, disk, index) for index, disk in enumerate(given)]
    if not made and image:
        made = [Disk(path="disk0", image=image, size=_image_size(drafting, image), boot=True)]
    if not made:
        drafting.refuse("disks", "at least one disk, or an image")
        return ()
    boots = [index for index, disk in enumerate(made) if disk.boot]
    for index in boots[1:]:
        drafting.refuse(f"disks[{index}].boot", f"one boot disk: disks[{boots[0]}] is")
    if not boots:
        first = made[0]
        made[0] = Disk(
            path=first.path,
            image=first.image,
            size=first.size,
            boot=True,
            model=first.model,
            media=first.media,
        )
    seen: dict[str, int] = {}
    for index, disk in enumerate(made):
        if disk.path in seen:
            drafting.refuse(f"disks[{index}].path", f"not the one of disks[{seen[disk.path]}]")
        seen.setdefault(disk.path, index)
    return tuple(made)


def _disk(drafting: Drafting, given: instance_pb2.Disk, index: int) -> Disk:
    field = f"disks[{index}]"
    image = drafting.uid(names.IMAGES, given.image, f"{field}.image")
    size = given.size
    if image:
        least = _image_size(drafting, image)
        if size and size < least:
            drafting.refuse(f"{field}.size", f"at least {least} MiB, as its image has, or nothing")
        size = size or least
    elif not size and not given.image:
        drafting.refuse(f"{field}.size", "a size in MiB, or an image")
    path = given.path or f"disk{index}"
    if path.startswith("-") or ".." in path.split("/"):
        drafting.refuse(f"{field}.path", "a path without `..`, not beginning with a dash")
    return Disk(
        path=path,
        image=image,
        size=size,
        boot=given.boot,
        model=given.model or "virtio",
        media="cdrom" if given.media == "cdrom" else "disk",
    )


def _image_size(drafting: Drafting, uid: str) -> int:
    """Give the size of an image's disk in MiB; 0 if it is not known."""
    image = drafting.catalog.images.record(uid)
    size = image.unpacked_bytes if image is not None else 0
    return -(-size // _MIB)


def filesystems_of(
    drafting: Drafting,
    given: Sequence[instance_pb2.Filesystem],
    before: Sequence[Filesystem] = (),
) -> tuple[Filesystem, ...]:
    """Make a zone's file systems: absolute paths that do not climb, mounted as a host can.

    One that is as `before` stays: who changes something else need not put it right first.
    """
    seen: dict[str, int] = {}
    for index, own in enumerate(given):
        for what in ("source", "target"):
            path = getattr(own, what)
            if path and (not path.startswith("/") or ".." in path.split("/")):
                drafting.refuse(f"filesystems[{index}].{what}", "an absolute path without `..`")
        if own.target in seen:
            told = f"not the one of filesystems[{seen[own.target]}]"
            drafting.refuse(f"filesystems[{index}].target", told)
        seen.setdefault(own.target, index)
    made = tuple(
        Filesystem(
            source=own.source,
            target=own.target,
            type=own.type or "lofs",
            options=tuple(own.options),
        )
        for own in given
    )
    for index, filesystem in enumerate(made):
        if filesystem not in before:
            _check_mount(drafting, filesystem, f"filesystems[{index}]")
    return made


def _check_mount(drafting: Drafting, filesystem: Filesystem, field: str) -> None:
    if filesystem.type not in FILESYSTEM_TYPES:
        drafting.refuse(f"{field}.type", f"one of {', '.join(FILESYSTEM_TYPES)}")
    for index, option in enumerate(filesystem.options):
        if option not in FILESYSTEM_OPTIONS:
            told = f"one of {', '.join(FILESYSTEM_OPTIONS)}"
            drafting.refuse(f"{field}.options[{index}]", told)
