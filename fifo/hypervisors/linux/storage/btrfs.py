"""A btrfs pool: images and roots are subvolumes, a new root is a snapshot of its image.

The quota is on all that a root shows, the image's part included, so that it is widened by the
image's size: what a zone holds twice by a snapshot of its own is not free of it.

A roll-back renames: `root` becomes `root.old` after `root.new` is whole. What a killed node left
between the two is finished when the next one starts, and what is over is deleted then.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
import struct
import sys
from typing import TYPE_CHECKING, Final

import msgspec

from fifo.hypervisors.linux import layout, limits
from fifo.hypervisors.linux.commands import succeed
from fifo.hypervisors.linux.storage.overlay import pool_bytes
from fifo.hypervisors.linux.storage.pool import ROOT, ROOTFS, SNAPSHOTS, remove_tree
from fifo.model.errors import NoRoom, NotFound
from fifo.model.hypervisor import Pool
from fifo.model.instance import Snapshot
from fifo.model.limits import SNAPSHOTS as SNAPSHOTS_MAX

if TYPE_CHECKING:
    from pathlib import Path

    from fifo.hypervisors.linux.commands import Run

MAGIC: Final = 0x9123683E
"""statfs(2): BTRFS_SUPER_MAGIC."""
NEW: Final = "root.new"
OLD: Final = "root.old"
RECORD: Final = "snapshot.json"
GIB: Final = 1024**3
QGROUP: Final = re.compile(r"0/(?P<id>\d+)\s+(?P<shown>\d+)\s+\d+\s+(?P<most>\S+)")
INO_LOOKUP: Final = 0xD0009412
"""ioctl-fs(2): BTRFS_IOC_INO_LOOKUP; a subvolume's root answers with the subvolume's id."""
LOOKUP: Final = struct.Struct("=QQ4080s")
STATFS_BYTES: Final = 256
"""More than any architecture's struct statfs."""
SUBVOLUME_INODE: Final = 256
"""The root directory of every subvolume has this number (btrfs: BTRFS_FIRST_FREE_OBJECTID)."""


class _Taken(msgspec.Struct, frozen=True):
    name: str
    created: float


class BtrfsStorage:
    """Roots as subvolumes. Used on the node's loop."""

    def __init__(self, run: Run, state_dir: Path) -> None:
        self._run = run
        self._state_dir = state_dir

    async def prepare(self) -> None:
        """Have the pool count what each subvolume holds; called once, before anything is made."""
        await self._btrfs("quota", "enable", str(self._state_dir))

    def describe(self) -> Pool:
        """Say what it is."""
        return Pool(
            name=str(self._state_dir),
            kind="btrfs",
            size_bytes=pool_bytes(self._state_dir),
            snapshots=True,
            quota=True,
        )

    async def make_image(self, directory: Path) -> Path:
        """Make a subvolume."""
        rootfs = directory / ROOTFS
        if not rootfs.exists():
            await self._btrfs("subvolume", "create", str(rootfs))
        return rootfs

    async def create(self, directory: Path, image: Path, quota_gib: int) -> None:
        """Make the root by a snapshot of the image."""
        root = directory / ROOT
        if not root.exists():
            await self._btrfs("subvolume", "snapshot", str(image), str(root))
        (directory / SNAPSHOTS).mkdir(exist_ok=True)
        await self.resize(directory, image, quota_gib)

    def open(self, directory: Path, image: Path) -> bool:  # noqa: ARG002 -- an overlay needs it
        """Do nothing: the root is where it is."""
        return False

    def close(self, directory: Path) -> None:
        """Nothing is mounted."""

    async def recover(self, directory: Path) -> None:
        """Finish a roll-back whose root is whole, undo one whose is not, drop half a snapshot."""
        root, new = directory / ROOT, directory / NEW
        if new.exists() and not root.exists():
            new.rename(root)
        await self._delete(new)
        await self._delete(directory / OLD)
        for place in _inside(directory / SNAPSHOTS):
            if not (place / RECORD).exists():
                await self._drop(place)

    async def destroy(self, directory: Path) -> None:
        """Delete every subvolume, then the directory."""
        taken = (each / ROOT for each in _inside(directory / SNAPSHOTS))
        for path in (*taken, *(directory / name for name in (ROOT, NEW, OLD))):
            await self._delete(path)
        rootfs = directory / ROOTFS
        await self._delete(rootfs)
        await remove_tree(self._run, directory, limits.COPY_S)

    async def resize(self, directory: Path, image: Path, quota_gib: int) -> None:
        """Limit what the root shows to the image's size and the quota."""
        size = "none"
        if quota_gib:
            referenced, _ = (await self._groups()).get(_subvolume_id(image), (0, 0))
            size = str(quota_gib * GIB + referenced)
        await self._btrfs("qgroup", "limit", size, str(directory / ROOT))

    async def capture(self, directory: Path, image: Path, target: Path) -> None:  # noqa: ARG002
        """Make the image by a snapshot of the root; `target` is an empty subvolume until then."""
        await self._delete(target)
        await self._btrfs("subvolume", "snapshot", str(directory / ROOT), str(target))

    async def used_bytes(self, directories: tuple[Path, ...]) -> dict[Path, tuple[int, int]]:
        """Give what each root shows and may show."""
        if not directories:
            return {}
        groups = await self._groups()
        ids = {each: _subvolume_id(each / ROOT) for each in directories if (each / ROOT).exists()}
        return {each: groups[number] for each, number in ids.items() if number in groups}

    # -- snapshots -----------------------------------------------------------------------------

    def snapshots(self, directory: Path) -> tuple[Snapshot, ...]:
        """Read them, oldest first; one without its record was not finished and is none."""
        found = []
        for place in (directory / SNAPSHOTS).iterdir():
            record = place / RECORD
            if record.exists():
                taken = msgspec.json.decode(record.read_bytes(), type=_Taken)
                found.append(Snapshot(name=taken.name, created=taken.created))
        return tuple(sorted(found, key=lambda each: (each.created, each.name)))

    async def snapshot(self, directory: Path, name: str, created: float) -> Snapshot:
        """Take one; what another attempt left half done is replaced."""
        before = self.snapshots(directory)
        for each in before:
            if each.name == name:
                return each
        if len(before) >= SNAPSHOTS_MAX:
            raise NoRoom(f"{SNAPSHOTS_MAX} snapshots", directory.name, "delete some of them")
        place = self._place(directory, name)
        await self._delete(place / ROOT)
        place.mkdir(exist_ok=True)
        await self._btrfs("subvolume", "snapshot", "-r", str(directory / ROOT), str(place / ROOT))
        layout.replace(place / RECORD, msgspec.json.encode(_Taken(name, created)))
        return Snapshot(name=name, created=created)

    async def roll_back(self, directory: Path, name: str) -> None:
        """Put the root back, and destroy what was taken later."""
        taken = self.snapshots(directory)
        names = [each.name for each in taken]
        if name not in names:
            raise NotFound("no such snapshot", f"{directory.name}@{name}", "see which there are")
        root, new, old = (directory / each for each in (ROOT, NEW, OLD))
        await self._delete(new)
        source = self._place(directory, name) / ROOT
        limit = (await self._limits()).get(_subvolume_id(root), "none")
        await self._btrfs("subvolume", "snapshot", str(source), str(new))
        await self._btrfs("qgroup", "limit", limit, str(new))
        await self._delete(old)
        root.rename(old)
        new.rename(root)
        await self._delete(old)
        for later in names[names.index(name) + 1 :]:
            await self.delete_snapshot(directory, later)

    async def delete_snapshot(self, directory: Path, name: str) -> None:
        """Drop one: its record first, so that half of it is none."""
        place = self._place(directory, name)
        (place / RECORD).unlink(missing_ok=True)
        await self._drop(place)

    async def _drop(self, place: Path) -> None:
        await self._delete(place / ROOT)
        await remove_tree(self._run, place, limits.COMMAND_S)

    @staticmethod
    def _place(directory: Path, name: str) -> Path:
        # vmadm's names may be `.` or `..`; with something in front they are plain names.
        return directory / SNAPSHOTS / f"s-{name}"

    # -- the command ---------------------------------------------------------------------------

    async def _delete(self, path: Path) -> None:
        if _is_subvolume(path):
            await self._btrfs("subvolume", "delete", str(path))

    async def _groups(self) -> dict[int, tuple[int, int]]:
        """Give (shown, limit) of every subvolume, by id."""
        listed = await self._btrfs("qgroup", "show", "-r", "--raw", str(self._state_dir))
        found = (QGROUP.match(line.strip()) for line in listed.splitlines())
        return {
            int(each["id"]): (
                int(each["shown"]),
                int(each["most"]) if each["most"].isdigit() else 0,
            )
            for each in found
            if each
        }

    async def _limits(self) -> dict[int, str]:
        return {number: str(most or "none") for number, (_, most) in (await self._groups()).items()}

    async def _btrfs(self, *arguments: str) -> str:
        done = await succeed(self._run, ["btrfs", *arguments], deadline_s=limits.COMMAND_S)
        return done.decode(errors="replace")


def is_btrfs(directory: Path) -> bool:
    """Tell whether a directory is on btrfs, by what the file system says of itself."""
    found = ctypes.create_string_buffer(STATFS_BYTES)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.statfs(os.fsencode(directory), found):
        raise OSError(ctypes.get_errno(), "statfs", os.fspath(directory))
    return int.from_bytes(found.raw[:8], sys.byteorder) == MAGIC


def _inside(directory: Path) -> list[Path]:
    return sorted(directory.iterdir()) if directory.exists() else []


def _is_subvolume(path: Path) -> bool:
    return path.exists() and path.stat().st_ino == SUBVOLUME_INODE


def _subvolume_id(path: Path) -> int:
    """Give the id of the subvolume that a directory is the root of; raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        answer = bytearray(LOOKUP.pack(0, SUBVOLUME_INODE, b""))
        fcntl.ioctl(descriptor, INO_LOOKUP, answer)
    finally:
        os.close(descriptor)
    return int(LOOKUP.unpack(answer)[0])
