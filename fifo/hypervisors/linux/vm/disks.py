"""A VM's own disks: qcow2 files over images in the cache, made and changed by qemu-img.

qemu-img runs as the VM's user, who owns the files: what a guest or its QEMU may have written into
them is read by nobody with more rights. The format of every layer is said, the backing file's too:
what a header names is never followed.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import msgspec

from fifo.hypervisors.linux import limits as linux_limits
from fifo.hypervisors.linux.commands import failure
from fifo.hypervisors.linux.vm import confine, limits
from fifo.hypervisors.linux.vm.machine import Drive, chain, sealed
from fifo.model.errors import InvalidInput, Violation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from typing import Any

    from fifo.hypervisors.linux.commands import Run
    from fifo.hypervisors.linux.vm.made import Made, MadeDisk
    from fifo.model.instance import Disk

MIB: Final = 1024 * 1024
BLOCK_BYTES: Final = 512
OWN: Final = 0o700


class Disks:
    """The disks of VMs. `image` gives where the disk of an image in the cache is, by its uid.

    Used on the node's loop. Raises DriverFailed, NoRoom, OSError.
    """

    def __init__(self, run: Run, image: Callable[[str], Path]) -> None:
        self._run = run
        self._image = image

    async def make(self, directory: Path, made: Made, disk: MadeDisk) -> None:
        """Make a disk's file, over its image or empty; one that is there is made anew."""
        file = disk.file(directory)
        file.unlink(missing_ok=True)
        options = ["-f", "qcow2"]
        if disk.image:
            backing = self._image(disk.image)
            options += ["-o", f"backing_file={_escaped(backing)},backing_fmt=qcow2"]
        await self._img(made, "create", "-q", *options, str(file), str(disk.size_bytes))

    async def grow(self, directory: Path, made: Made, disk: MadeDisk, size_bytes: int) -> None:
        """Make a disk larger, of a VM that does not run."""
        await self._img(made, "resize", "-q", self._name(directory, disk), str(size_bytes))

    async def snapshot(self, directory: Path, made: Made, disk: MadeDisk, tag: str) -> None:
        """Take one of a disk that is not in use."""
        await self._img(made, "snapshot", "-q", "-c", tag, self._name(directory, disk))

    async def roll_back(self, directory: Path, made: Made, disk: MadeDisk, tag: str) -> None:
        """Put a disk that is not in use back to a snapshot."""
        await self._img(made, "snapshot", "-q", "-a", tag, self._name(directory, disk))

    async def delete_snapshot(self, directory: Path, made: Made, disk: MadeDisk, tag: str) -> None:
        """Drop one of a disk that is not in use."""
        await self._img(made, "snapshot", "-q", "-d", tag, self._name(directory, disk))

    async def tags(self, directory: Path, made: Made, disk: MadeDisk) -> set[str]:
        """Give the snapshots in a disk that is not in use."""
        info = await self.info(directory, made, disk)
        return {each["name"] for each in info.get("snapshots", ())}

    async def info(self, directory: Path, made: Made, disk: MadeDisk) -> dict[str, Any]:
        """Give what qemu-img says of a disk that is not in use; it looks at this layer alone."""
        file = str(disk.file(directory))
        told = await self._img(made, "info", "--output=json", "-f", "qcow2", file)
        return msgspec.json.decode(told, type=dict)

    async def flatten(self, directory: Path, made: Made, disk: MadeDisk, target: Path) -> None:
        """Write a disk and what is below it as one file, which the VM's user must may write."""
        argv = ("convert", "-q", "-O", "qcow2", self._name(directory, disk), str(target))
        await self._img(made, *argv, deadline_s=linux_limits.COPY_S)

    def drive(self, directory: Path, disk: MadeDisk, wanted: Disk, *, boots: bool) -> Drive:
        """Give a disk as QEMU is to see it; a CD is the image itself."""
        backing = self._image(disk.image) if disk.image else None
        if wanted.media == "cdrom" and backing is not None:
            return Drive(disk.node, backing, None, wanted.model, cdrom=True, boots=boots)
        return Drive(disk.node, disk.file(directory), backing, wanted.model, boots=boots)

    def _name(self, directory: Path, disk: MadeDisk) -> str:
        """Give a disk's name for qemu-img: its layers, each with its format."""
        backing = self._image(disk.image) if disk.image else None
        return named(chain(Drive(disk.node, disk.file(directory), backing)))

    async def _img(
        self, made: Made, *arguments: str, deadline_s: float = linux_limits.COMMAND_S
    ) -> bytes:
        own = ("qemu-img", *arguments)
        done = await self._run(confine.as_user(made.user, own), deadline_s=deadline_s)
        if done.status != 0:
            raise failure(own, done)
        return done.stdout


def named(layers: dict[str, Any]) -> str:
    """Give the name by which qemu-img takes layers that are said in full."""
    return f"json:{msgspec.json.encode(layers).decode()}"


def name_of_image(file: Path) -> str:
    """Give the name by which qemu-img takes the disk of an image."""
    return named(sealed(file))


def size_bytes(disk: Disk, image_bytes: int, index: int) -> int:
    """Give a disk's size: its own in MiB, but no less than its image's; raises InvalidInput."""
    found = disk.size * MIB if disk.size else image_bytes
    wanted = ""
    if found <= 0:
        wanted = "a size in MiB, or an image"
    elif found < image_bytes:
        wanted = f"at least {-(-image_bytes // MIB)} MiB, as its image has"
    elif found > limits.VIRTUAL_BYTES:
        wanted = f"at most {limits.VIRTUAL_BYTES // MIB} MiB"
    if wanted:
        raise InvalidInput(disk.path, (Violation(f"disks[{index}].size", wanted),))
    return found


def make_private(path: Path, user: int) -> None:
    """Make a directory that is a VM's user's own; raises OSError."""
    path.mkdir(mode=OWN, exist_ok=True)
    os.chown(path, user, user)


def used(directory: Path, disks: Iterable[MadeDisk]) -> tuple[int, int]:
    """Give what a VM's disks take on the host, and may take; a file that is gone is nothing."""
    taken = most = 0
    for disk in disks:
        most += disk.size_bytes
        try:
            taken += disk.file(directory).stat().st_blocks * BLOCK_BYTES
        except FileNotFoundError:
            continue
    return taken, most


def _escaped(path: Path) -> str:
    """Double the commas, which would end an option's value."""
    return str(path).replace(",", ",,")
