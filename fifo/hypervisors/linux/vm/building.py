"""Making a VM on the host's disk: its directory, its user, its disks, and the disk about it."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from fifo.hypervisors.linux import addresses, layout
from fifo.hypervisors.linux.commands import succeed
from fifo.hypervisors.linux.layout import Kept
from fifo.hypervisors.linux.making import making
from fifo.hypervisors.linux.vm import confine, disks, images, limits, made, seed
from fifo.hypervisors.linux.vm.disks import Disks
from fifo.hypervisors.linux.vm.machine import DISK_MODELS, NIC_MODELS
from fifo.hypervisors.linux.vm.made import Made, MadeDisk
from fifo.model.errors import DataLoss, FifoError, InvalidInput, NotFound, Violation
from fifo.model.instance import Disk

if TYPE_CHECKING:
    from pathlib import Path

    from fifo.hypervisors.driver import Wanted
    from fifo.hypervisors.linux.addresses import Attachment
    from fifo.hypervisors.linux.host import Host
    from fifo.model.image import Image
    from fifo.model.instance import InstanceSpec

_log = logging.getLogger(__name__)
TOLD: Final = "seed"
"""The directory of the files that the disk about a VM is written from."""


class _Growth(NamedTuple):
    """A disk that is to be larger."""

    disk: MadeDisk
    size_bytes: int


class Builder:
    """Makes VMs, and brings their disks to what is wanted of them. Used on the node's loop."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.disks = Disks(host.run, lambda uid: images.disk(host.cache.place(uid)))
        # Users of VMs that are being made: their record is not there yet.
        self._promised: set[int] = set()

    async def create(self, wanted: Wanted) -> None:
        """Make a VM, whole or not at all; raises NotFound for an image that is not here."""
        for attachment in addresses.attachments(wanted):
            self._host.networking.check(attachment)
        spec, image = wanted.spec, self._boot_image(wanted)
        check(spec)
        planned = self._planned(spec, image)
        kept = Kept(spec=spec, claim=wanted.claim, networks=wanted.networks)
        user = confine.free_user(self._host.settings.uid_base, self._taken())
        self._promised.add(user)
        try:
            found = Made(
                user=user,
                boot_image=image.uid if image else "",
                disks=planned,
                next_number=len(planned),
            )
            async with making(self._host, kept) as place:
                await self._make(place, found)
        finally:
            self._promised.discard(user)

    async def _make(self, place: Path, found: Made) -> None:
        _make_directories(place, found)
        made.write(place, found)
        await asyncio.gather(*(self.disks.make(place, found, disk) for disk in found.own))

    def _taken(self) -> set[int]:
        directories = (self._host.layout.instance(uid) for uid in self._host.layout.uids())
        used = {made.read(each).user for each in directories if (each / made.RECORD).exists()}
        return used | self._promised

    def _boot_image(self, wanted: Wanted) -> Image | None:
        """Give the image that says how the VM boots: the one named, or that of its boot disk."""
        spec = wanted.spec
        boot = next((disk.image for disk in spec.disks if disk.boot), "")
        uid = wanted.image.uid if wanted.image else spec.image or boot
        return self._image(uid) if uid else None

    def _image(self, uid: str) -> Image:
        found = self._host.cache.find(uid)
        if found is None:
            raise NotFound("no such image on this host", uid, "fetch the image first")
        return found

    def _planned(self, spec: InstanceSpec, image: Image | None) -> tuple[MadeDisk, ...]:
        wanted = disks_of(spec, image)
        return tuple(self._planned_disk(disk, number) for number, disk in enumerate(wanted))

    def _planned_disk(self, disk: Disk, number: int, index: int = -1) -> MadeDisk:
        image_bytes = self._image(disk.image).unpacked_bytes if disk.image else 0
        if disk.image:
            images.disk(self._host.cache.place(disk.image))
        cdrom = disk.media == "cdrom" and bool(disk.image)
        index = number if index < 0 else index
        return MadeDisk(
            path=disk.path,
            number=number,
            size_bytes=disks.size_bytes(disk, image_bytes, index),
            image=disk.image,
            cdrom=cdrom,
        )

    # -- changing ------------------------------------------------------------------------------

    def wanted(self, found: Made, spec: InstanceSpec) -> tuple[Disk, ...]:
        """Give the disks that a spec wants of what was made."""
        image = self._host.cache.find(found.boot_image) if found.boot_image else None
        return disks_of(spec, image)

    async def fit(self, uid: str, spec: InstanceSpec) -> None:
        """Bring the disks of a stopped VM to what is wanted: new ones, larger ones, none.

        Raises InvalidInput for one that would shrink, before anything is done. A disk that is not
        wanted any more is deleted with all in it (vmadm: remove_disks).
        """
        check(spec)
        directory = self._host.layout.instance(uid)
        found = made.read(directory)
        kept, growing, number = [], [], found.next_number
        fresh: list[MadeDisk] = []
        for index, disk in enumerate(self.wanted(found, spec)):
            known = found.disk(disk.path)
            if known is None:
                known = self._planned_disk(disk, number, index)
                fresh.append(known)
                number += 1
            elif (growth := _growth(known, disk, index)) is not None:
                growing.append(growth)
                known = msgspec.structs.replace(known, size_bytes=growth.size_bytes)
            kept.append(known)
        changed = msgspec.structs.replace(found, disks=tuple(kept), next_number=number)
        for disk_ in fresh:
            if not disk_.cdrom:
                await self.disks.make(directory, found, disk_)
        for growth in growing:
            await self.disks.grow(directory, found, growth.disk, growth.size_bytes)
        if changed != found:
            made.write(directory, changed)
        _tidy(directory, changed)

    # -- the disk about it ---------------------------------------------------------------------

    async def tell(self, uid: str, spec: InstanceSpec, attachments: tuple[Attachment, ...]) -> Path:
        """Write the disk that tells a VM about itself, unless it says that already."""
        directory = self._host.layout.instance(uid)
        iso, told = directory / made.SEED, directory / TOLD
        wanted = seed.files(spec, attachments)
        if iso.exists() and _read(told) == wanted:
            return iso
        iso.unlink(missing_ok=True)
        draft = directory / f"{made.SEED}.new"
        try:
            await self._write_seed(uid, wanted, told, draft)
        except (FifoError, OSError):
            # Half of it is of no use, and with a full disk it is the room for the VM's record.
            shutil.rmtree(told, ignore_errors=True)
            draft.unlink(missing_ok=True)
            raise
        draft.rename(iso)
        return iso

    async def _write_seed(
        self, uid: str, wanted: dict[str, bytes], told: Path, draft: Path
    ) -> None:
        _write(told, wanted)
        argv = ("genisoimage", "-quiet", "-volid", seed.VOLUME, "-joliet", "-rock")
        await succeed(
            self._host.run, (*argv, "-o", str(draft), str(told)),
            subject=uid, deadline_s=limits.ISO_S,
        )  # fmt: skip
        user = made.read(self._host.layout.instance(uid)).user
        _hand_over(draft, user)


def tidy(directory: Path) -> None:
    """Remove files of no disk of a stopped VM, which a change left that was cut off; OSError."""
    try:
        _tidy(directory, made.read(directory))
    except DataLoss as error:
        # Whoever starts it is told so; deleted it can be all the same.
        _log.warning("%s: its disks are left as they are: %s", directory.name, error)


def _tidy(directory: Path, known: Made) -> None:
    files = {disk.file(directory) for disk in known.own}
    for path in set((directory / made.DISKS).iterdir()) - files:
        path.unlink()


def _make_directories(place: Path, found: Made) -> None:
    place.mkdir()
    place.chmod(layout.PASSABLE)
    disks.make_private(place / made.DISKS, found.user)


def check(spec: InstanceSpec) -> None:
    """Refuse devices that QEMU has no model of here; raises InvalidInput with all of it."""
    wrong = [
        Violation(f"nics[{index}].model", f"one of {', '.join(filter(None, NIC_MODELS))}")
        for index, nic in enumerate(spec.nics)
        if nic.model not in NIC_MODELS
    ]
    wrong += [
        Violation(f"disks[{index}].model", f"one of {', '.join(sorted(DISK_MODELS))}")
        for index, disk in enumerate(spec.disks)
        if disk.model not in DISK_MODELS
    ]
    if wrong:
        raise InvalidInput(spec.uid, tuple(wrong))


def disks_of(spec: InstanceSpec, image: Image | None) -> tuple[Disk, ...]:
    """Give the disks that a VM is to have; one that names only its image gets a disk of that."""
    if spec.disks or image is None or not image.unpacked_bytes:
        return spec.disks
    return (Disk(path="disk0", image=image.uid, boot=True),)


def made_of(spec: InstanceSpec, before: InstanceSpec) -> InstanceSpec:
    """Give a changed spec with the images that the VM was made of: those stay."""
    images_ = {disk.path: disk.image for disk in before.disks}
    kept = tuple(
        msgspec.structs.replace(disk, image=images_.get(disk.path, disk.image))
        for disk in spec.disks
    )
    return msgspec.structs.replace(spec, image=before.image, disks=kept)


def _growth(known: MadeDisk, wanted: Disk, index: int) -> _Growth | None:
    size_bytes = wanted.size * disks.MIB
    if known.cdrom or not size_bytes or size_bytes == known.size_bytes:
        return None
    if size_bytes < known.size_bytes:
        least = -(-known.size_bytes // disks.MIB)
        told = f"at least {least} MiB, as it has: a disk is not made smaller"
        raise InvalidInput(wanted.path, (Violation(f"disks[{index}].size", told),))
    return _Growth(known, size_bytes)


def _write(directory: Path, files: dict[str, bytes]) -> None:
    directory.mkdir(mode=0o700, exist_ok=True)
    for name, data in files.items():
        (directory / name).write_bytes(data)


def _hand_over(file: Path, user: int) -> None:
    """Give a file to a VM's user, to be read alone."""
    os.chown(file, user, user)
    file.chmod(0o400)


def _read(directory: Path) -> dict[str, bytes]:
    if not directory.is_dir():
        return {}
    return {path.name: path.read_bytes() for path in directory.iterdir()}
