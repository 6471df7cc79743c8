"""Images of VMs in the host's cache: one qcow2 that we wrote ourselves, and perhaps a kernel.

`STATE/images/UID/` holds `disk.qcow2`, and for an image that boots by its kernel `kernel`, `initrd`
and `boot.json`. What a stranger sends as a disk is read once, by a user without any right and
within bounds, and written anew: no header of his ever reaches a VM's QEMU. A qcow2 is taken only if
it stands alone: no backing file, no data file, no encryption. An image that is cut off is found by
its own tables; QEMU itself would read zeros where bytes are missing.

A disk is a file of the record's format; an image that boots by its kernel is a directory with a
manifest (`fifo.model.image_manifest`).
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from fifo.hypervisors.linux import layout
from fifo.hypervisors.linux import limits as linux_limits
from fifo.hypervisors.linux.commands import failure, succeed
from fifo.hypervisors.linux.guests import image_cache
from fifo.hypervisors.linux.images import cache, refusal
from fifo.hypervisors.linux.vm import confine, limits
from fifo.hypervisors.linux.vm.disks import make_private, name_of_image
from fifo.hypervisors.linux.vm.machine import Kernel
from fifo.model import image_manifest, records
from fifo.model.errors import DataLoss, InvalidInput, NotFound, Violation
from fifo.model.image_manifest import ImageManifest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from fifo.hypervisors.linux.commands import CommandOutput, Run
    from fifo.hypervisors.linux.images.cache import Fetched
    from fifo.hypervisors.linux.settings import Settings
    from fifo.model.image import Image

FORMATS: Final = ("qcow2", "raw")
DISK: Final = "disk.qcow2"
KERNEL: Final = "kernel"
INITRD: Final = "initrd"
BOOT: Final = "boot.json"
WORK: Final = "work"
READABLE: Final = 0o644
LEAKED: Final = 3
"""qemu-img check: no more than clusters that nobody uses; they are not taken over."""
SPARE_BYTES: Final = 64 * 1024**2
"""What a qcow2 may be larger than the disk in it: its tables are less than a thousandth of that."""
READ_BYTES: Final = 1024 * 1024


class Boot(records.Value, frozen=True):
    """How an image that has a kernel is started."""

    kernel_args: str = ""


class Import(NamedTuple):
    """One import under way: the record, the new directory, and the place only we may look into."""

    image: Image
    place: Path
    work: Path


class Importer:
    """Takes images of VMs into the cache. Used on the node's loop."""

    def __init__(self, run: Run, settings: Settings) -> None:
        self._run = run
        self._user = confine.import_user(settings.uid_base)
        self._limits = settings.image_limits

    def importers(self) -> dict[str, Callable[[Image, Fetched, Path], Awaitable[Image]]]:
        """Give what the cache asks for each format."""
        return dict.fromkeys(FORMATS, self.take)

    async def take(self, image: Image, fetched: Fetched, place: Path) -> Image:
        """Make a VM's image of what was fetched; raises InvalidInput, DataLoss, OSError."""
        work = place / WORK
        make_private(work, self._user)
        job = Import(image, place, work)
        try:
            if image.boot == "direct":
                size_bytes = await self._take_manifest(job, fetched.path)
            else:
                source = work / "source"
                await self._bring(job, fetched.path, source)
                size_bytes = await self._take_disk(job, source, image.format)
        finally:
            await asyncio.to_thread(shutil.rmtree, work)
        return msgspec.structs.replace(image, unpacked_bytes=size_bytes)

    async def _bring(self, job: Import, source: Path, target: Path) -> None:
        """Have a copy of a file that nobody else can change, for our user to read."""
        if source.is_relative_to(job.place):
            os.rename(source, target)  # noqa: PTH104 -- a system call, no walk through a tree
        else:
            argv = ("cp", "--reflink=auto", "--sparse=auto", "--", str(source), str(target))
            await succeed(self._run, argv, subject=job.image.uid, deadline_s=linux_limits.COPY_S)
        os.chown(target, self._user, self._user)

    # -- disks ---------------------------------------------------------------------------------

    async def _take_disk(self, job: Import, source: Path, form: str) -> int:
        """Write a disk anew as the image's own; gives its size."""
        if form == "qcow2":
            size_bytes = await self._check_qcow2(job, source)
        else:
            size_bytes = await asyncio.to_thread(_size_bytes, source)
        most_bytes = self._limits.unpacked_of(job.image)
        if size_bytes > most_bytes:
            told = f"more than {most_bytes} bytes unpacked: its disk has {size_bytes}"
            raise refusal.unpacks_to_too_much(told, job.image)
        if size_bytes <= 0:
            raise _refused(job, "a disk of at least 1 byte; this one is empty")
        made = job.work / DISK
        name = name_of_image(source) if form == "qcow2" else str(source)
        argv = ("convert", "-q", *(() if form == "qcow2" else ("-f", "raw")), "-O", "qcow2")
        done = await self._img(
            *argv, name, str(made), cpu_s=limits.CONVERT_CPU_S,
            file_bytes=size_bytes + SPARE_BYTES, deadline_s=linux_limits.COPY_S,
        )  # fmt: skip
        if done.status != 0:
            raise failure(("qemu-img", "convert"), done, job.image.uid)
        publish(made, job.place / DISK)
        return size_bytes

    async def _check_qcow2(self, job: Import, source: Path) -> int:
        """Refuse a qcow2 that is none, does not stand alone, or is cut off; gives its size."""
        told = await self._img("info", "--output=json", "-f", "qcow2", str(source))
        if told.status != 0:
            raise _refused(job, f"a qcow2; qemu-img says: {told.words}")
        info = msgspec.json.decode(told.stdout, type=dict)
        if wrong := dependence(info):
            raise _refused(job, f"a qcow2 that stands alone; this one has {wrong}")
        told = await self._img("check", "-q", name_of_image(source), cpu_s=limits.CONVERT_CPU_S)
        if told.status not in {0, LEAKED}:
            raise DataLoss(
                f"its own tables say that it is damaged or cut off: {told.words}", job.image.uid,
                "get the image again, and see that its checksum is right",
            )  # fmt: skip
        return int(info["virtual-size"])

    async def _img(
        self,
        *arguments: str,
        cpu_s: int = limits.INFO_CPU_S,
        file_bytes: int = 0,
        deadline_s: float = linux_limits.COMMAND_S,
    ) -> CommandOutput:
        argv = confine.bounded(("qemu-img", *arguments), cpu_s=cpu_s, file_bytes=file_bytes)
        return await self._run(confine.as_user(self._user, argv), deadline_s=deadline_s)

    # -- images with a kernel ------------------------------------------------------------------

    async def _take_manifest(self, job: Import, directory: Path) -> int:
        """Copy what a manifest names, and take the copy if it is what the manifest says."""
        manifest = await asyncio.to_thread(_read_manifest, directory)
        if wrong := _unfit(manifest, job.image):
            raise _refused(job, wrong)
        copied = job.work / "copy"
        for name in (image_cache.MANIFEST, *(file.path for file in manifest.files)):
            target = copied / name
            target.parent.mkdir(parents=True, exist_ok=True)
            os.chown(target.parent, self._user, self._user)
            await self._bring(job, directory / name, target)
        manifest = await asyncio.to_thread(image_cache.verify, copied)
        size_bytes = 0
        for file in manifest.files:
            if file.role == "disk":
                size_bytes = await self._take_disk(job, copied / file.path, file.format)
            else:
                publish(copied / file.path, job.place / file.role)
        boot = Boot(kernel_args=manifest.kernel_args)
        layout.replace(job.place / BOOT, msgspec.json.encode(boot))
        return size_bytes


def dependence(info: dict[str, Any]) -> str:
    """Tell what else a qcow2 needs, by what qemu-img says of it; nothing if it stands alone."""
    own = info.get("format-specific", {}).get("data", {})
    for found, what in (
        (info.get("backing-filename"), "a backing file"),
        (info.get("full-backing-filename"), "a backing file"),
        (own.get("data-file"), "an external data file"),
        (info.get("encrypted") or own.get("encrypt"), "encryption"),
    ):
        if found:
            return what
    return ""


def publish(made: Path, target: Path) -> None:
    """Give a file that was made for us to everybody to read; raises OSError."""
    os.chown(made, 0, 0)
    made.chmod(READABLE)
    made.rename(target)


def disk(place: Path) -> Path:
    """Give the disk of an image in the cache; raises NotFound."""
    found = place / DISK
    if not found.is_file():
        raise NotFound("no such disk image on this host", place.name, "fetch the image first")
    return found


def kernel(place: Path) -> Kernel:
    """Give the kernel of an image in the cache; raises DataLoss."""
    boot = cache.read(place / BOOT, Boot)
    return Kernel(place / KERNEL, place / INITRD, boot.kernel_args)


def copy_kernel(source: Path, target: Path) -> None:
    """Have the kernel of one image for another that is made of it; raises OSError."""
    for name in (KERNEL, INITRD, BOOT):
        (target / name).hardlink_to(source / name)


def digest(path: Path) -> tuple[int, str]:
    """Give the size and SHA-256 of a file. Blocks on the disk."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(READ_BYTES):
            found.update(data)
    return path.stat().st_size, found.hexdigest()


def _size_bytes(path: Path) -> int:
    return path.stat().st_size


def _read_manifest(directory: Path) -> ImageManifest:
    path = directory / image_cache.MANIFEST
    with path.open("rb") as stream:
        data = stream.read(image_cache.MANIFEST_BYTES_MAX)
    manifest = records.decode(ImageManifest, data, str(path))
    image_manifest.validate(manifest)
    return manifest


def _unfit(manifest: ImageManifest, image: Image) -> str:
    """Tell what the manifest would have to say for the record to be right about it."""
    file = manifest.file("disk")
    if manifest.boot != "direct":
        return f"a manifest of boot direct; this one says {manifest.boot}"
    if manifest.architecture != "amd64":
        return f"an image for amd64; this one is for {manifest.architecture}"
    if file is not None and file.format != image.format:
        return f"a disk of the format {image.format}; the manifest says {file.format}"
    return ""


def _refused(job: Import, wanted: str) -> InvalidInput:
    return InvalidInput(job.image.uid, (Violation("source", wanted),))
