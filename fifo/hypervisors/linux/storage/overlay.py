"""A plain directory: a zone's root is an overlay of its own changes on the image's files.

It works on every file system that can be under an overlay. There is no quota and there are no
snapshots: both need the file system's own, and copying a root is neither instant nor atomic.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NoReturn

from fifo.hypervisors.linux import limits, mounting
from fifo.hypervisors.linux.commands import succeed
from fifo.hypervisors.linux.storage.pool import ROOT, ROOTFS, remove_tree
from fifo.model.errors import NotFound, Unsupported
from fifo.model.hypervisor import Pool

if TYPE_CHECKING:
    from pathlib import Path

    from fifo.hypervisors.linux.commands import Run
    from fifo.model.instance import Snapshot

UPPER = "upper"
WORK = "work"
WHY = "this host's pool is a plain directory with overlays"
REMEDY = "put `storage_dir` on btrfs"


class OverlayStorage:
    """Roots as overlays. Used on the node's loop."""

    def __init__(self, run: Run, state_dir: Path) -> None:
        self._run = run
        self._state_dir = state_dir

    def describe(self) -> Pool:
        """Say what it is: without snapshots and quota."""
        size_bytes = pool_bytes(self._state_dir)
        return Pool(
            name=str(self._state_dir),
            kind="dir",
            size_bytes=size_bytes,
            snapshots=False,
            quota=False,
        )

    async def make_image(self, directory: Path) -> Path:
        """Make a directory."""
        rootfs = directory / ROOTFS
        rootfs.mkdir(mode=0o755, exist_ok=True)
        return rootfs

    async def create(self, directory: Path, image: Path, quota_gib: int) -> None:  # noqa: ARG002
        """Make the layer of the zone's own changes, with the root directory as the image has it."""
        _make_layers(directory, image)

    def open(self, directory: Path, image: Path) -> bool:
        """Mount the overlay, unless it is; tell whether it was not."""
        root = directory / ROOT
        if root.is_mount():
            return False
        # Relative paths: a colon or a comma in one would end it, and uids have neither.
        options = f"lowerdir={image},upperdir={directory / UPPER},workdir={directory / WORK}"
        mounting.mount("overlay", root, "overlay", mounting.NODEV, options)
        return True

    def close(self, directory: Path) -> None:
        """Unmount it."""
        mounting.unmount(directory / ROOT)

    async def recover(self, directory: Path) -> None:
        """Leave it: nothing of a layer is ever half done."""

    async def destroy(self, directory: Path) -> None:
        """Remove it all."""
        self.close(directory)
        await remove_tree(self._run, directory, limits.COPY_S)

    async def resize(self, directory: Path, image: Path, quota_gib: int) -> None:
        """Ignore it: there is no quota."""

    async def capture(self, directory: Path, image: Path, target: Path) -> None:
        """Copy the merged tree."""
        was_open = not self.open(directory, image)
        try:
            source = f"{directory / ROOT}/."
            argv = ["cp", "--archive", "--reflink=auto", "--one-file-system", "--", source]
            await succeed(self._run, [*argv, str(target)], deadline_s=limits.COPY_S)
        finally:
            if not was_open:
                self.close(directory)

    async def used_bytes(self, directories: tuple[Path, ...]) -> dict[Path, tuple[int, int]]:
        """Count nothing: it would mean to walk every root at every sample."""
        del directories
        return {}

    def snapshots(self, directory: Path) -> tuple[Snapshot, ...]:  # noqa: ARG002
        """List none."""
        return ()

    async def snapshot(self, directory: Path, name: str, created: float) -> Snapshot:
        """Refuse it."""
        del name, created
        self._refuse(directory)

    async def roll_back(self, directory: Path, name: str) -> None:
        """Refuse it: there is none."""
        raise NotFound("no such snapshot", f"{directory.name}@{name}", f"there are none: {WHY}")

    async def delete_snapshot(self, directory: Path, name: str) -> None:
        """Delete nothing: there is none."""

    @staticmethod
    def _refuse(directory: Path) -> NoReturn:
        raise Unsupported(f"no snapshots: {WHY}", directory.name, REMEDY)


def pool_bytes(directory: Path) -> int:
    """Give the size of the file system that a directory is on, as far as we may fill it."""
    found = os.statvfs(directory)
    used = (found.f_blocks - found.f_bfree) * found.f_frsize
    return used + found.f_bavail * found.f_frsize


def _make_layers(directory: Path, image: Path) -> None:
    found = image.stat()
    for name, mode in ((UPPER, found.st_mode & 0o7777), (WORK, 0o700), (ROOT, 0o711)):
        (directory / name).mkdir(exist_ok=True)
        (directory / name).chmod(mode)
    os.chown(directory / UPPER, found.st_uid, found.st_gid)
