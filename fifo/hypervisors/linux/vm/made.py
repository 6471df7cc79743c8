"""What was made for a VM on the host's disk: `vm.json` in its directory, beside what is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fifo.hypervisors.linux import layout
from fifo.model import records
from fifo.model.errors import DataLoss
from fifo.model.records import Record, Value

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RECORD: Final = "vm.json"
DISKS: Final = "disks"
SEED: Final = "seed.iso"
QEMU_LOG: Final = "qemu.log"
SNAPSHOT: Final = "s-"
"""Before a snapshot's name within a qcow2, where a plain number could be taken for an id."""


class MadeDisk(Value, frozen=True):
    """One disk: the payload's path for it, and the file; `number` is never given again.

    A CD has no file of its own: it is the image.
    """

    path: str
    number: int
    size_bytes: int
    image: str = ""
    cdrom: bool = False

    @property
    def node(self) -> str:
        """Its name on QMP."""
        return f"disk{self.number}"

    def file(self, directory: Path) -> Path:
        """Give its file in a VM's directory."""
        return directory / DISKS / f"{self.number}.qcow2"


class Taken(Value, frozen=True):
    """A snapshot, and the numbers of the disks that are in it."""

    name: str
    created: float
    disks: tuple[int, ...]

    @property
    def tag(self) -> str:
        """Its name within a qcow2."""
        return tag(self.name)


class Made(Record, frozen=True, tag="linux_vm/2"):
    """A VM's user on the host, its disks, and their snapshots, oldest first.

    `boot_image` is the image whose kernel it is started with, if that has one. `ram`, in MiB, is
    what it was started with last: its spec may say otherwise by now.
    """

    user: int
    boot_image: str = ""
    ram: int = 0
    disks: tuple[MadeDisk, ...] = ()
    snapshots: tuple[Taken, ...] = ()
    next_number: int = 0

    def disk(self, path: str) -> MadeDisk | None:
        """Find a disk by the payload's path for it."""
        return next((disk for disk in self.disks if disk.path == path), None)

    @property
    def own(self) -> tuple[MadeDisk, ...]:
        """The disks that have files of their own."""
        return tuple(disk for disk in self.disks if not disk.cdrom)

    def snapshot(self, name: str) -> Taken | None:
        """Find a snapshot by its name."""
        return next((taken for taken in self.snapshots if taken.name == name), None)

    def in_snapshot(self, taken: Taken) -> Iterator[MadeDisk]:
        """Yield the disks of a snapshot that are still there."""
        return (disk for disk in self.disks if disk.number in taken.disks)


def tag(name: str) -> str:
    """Give a snapshot's name within a qcow2."""
    return f"{SNAPSHOT}{name}"


def read(directory: Path) -> Made:
    """Read what was made; raises DataLoss."""
    path = directory / RECORD
    try:
        return records.decode(Made, path.read_bytes(), str(path))
    except FileNotFoundError:
        raise DataLoss(
            f"{path} is missing", directory.name, "delete the instance, or put the file back"
        ) from None


def write(directory: Path, made: Made) -> None:
    """Replace it in one step; raises OSError."""
    layout.replace(directory / RECORD, records.encode(made))
