"""What a storage pool can be asked, whatever it is made of.

A pool works inside an instance's directory (`fifo.hypervisors.linux.layout`), which exists: it
makes a zone's root file system there from an image's, and takes it away. All of it is idempotent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from fifo.hypervisors.linux.commands import succeed

if TYPE_CHECKING:
    from pathlib import Path

    from fifo.hypervisors.linux.commands import Run
    from fifo.model.hypervisor import Pool
    from fifo.model.instance import Snapshot

ROOT = "root"
"""A zone's root file system, in its directory."""
SNAPSHOTS = "snapshots"
ROOTFS = "rootfs"
"""An image's, in its own."""


class ZoneStorage(Protocol):
    """The root file systems of zones. Raises OSError, DriverFailed, NoRoom."""

    def describe(self) -> Pool:
        """Say what it is, its size and what it can do."""

    async def make_image(self, directory: Path) -> Path:
        """Make the empty place for an image's files."""

    async def create(self, directory: Path, image: Path, quota_gib: int) -> None:
        """Make a root from an image's; 0 is no quota. A pool without quotas ignores it."""

    def open(self, directory: Path, image: Path) -> bool:
        """Have the root at its path, for a start; tell whether that had to be done."""

    def close(self, directory: Path) -> None:
        """Let go of the root: nothing is mounted any more."""

    async def recover(self, directory: Path) -> None:
        """Finish or undo what a node that was killed left half done of the root or a snapshot.

        Called when a node starts, before anything else is asked of it.
        """

    async def destroy(self, directory: Path) -> None:
        """Remove the root, its snapshots, and the directory with all else in it."""

    async def resize(self, directory: Path, image: Path, quota_gib: int) -> None:
        """Change the quota; a pool without ignores it."""

    async def capture(self, directory: Path, image: Path, target: Path) -> None:
        """Copy the root of a stopped zone, made from `image`, to an image's new place."""

    async def used_bytes(self, directories: tuple[Path, ...]) -> dict[Path, tuple[int, int]]:
        """Give (used, quota) of roots, where the pool counts; empty where it does not."""

    def snapshots(self, directory: Path) -> tuple[Snapshot, ...]:
        """List them, oldest first."""

    async def snapshot(self, directory: Path, name: str, created: float) -> Snapshot:
        """Take one; raises Unsupported, AlreadyExists."""

    async def roll_back(self, directory: Path, name: str) -> None:
        """Put the root of a stopped zone back; newer ones are destroyed."""

    async def delete_snapshot(self, directory: Path, name: str) -> None:
        """Drop one; nothing if it is not there."""


async def remove_tree(run: Run, directory: Path, deadline_s: float) -> None:
    """Remove a directory and what tenants put into it, however deep; nothing if it is not there.

    rm(1) does it: a tree may be deeper than a recursion or a path can be. It stays on one file
    system, should something still be mounted below.
    """
    if _is_there(directory):
        argv = ["rm", "-rf", "--one-file-system", "--", str(directory)]
        await succeed(run, argv, deadline_s=deadline_s)


def _is_there(path: Path) -> bool:
    return path.exists()
