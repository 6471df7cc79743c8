"""A btrfs file system in a file, for the time of a test."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.hypervisors.linux import loop_disk

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

SIZE_BYTES = 400 * 1024**2
NEEDED = ("mkfs.btrfs", "btrfs", "losetup")


def why_not() -> str:
    """Say why this machine cannot have one; nothing if it can."""
    if missing := loop_disk.missing(NEEDED):
        return missing
    if "btrfs" not in Path("/proc/filesystems").read_text(encoding="ascii"):
        return "this kernel has no btrfs"
    return ""


def mounted() -> AbstractContextManager[Path]:
    """Give a directory that is the root of a new one."""
    return loop_disk.mounted("fzb", SIZE_BYTES, "mkfs.btrfs", "--quiet")
