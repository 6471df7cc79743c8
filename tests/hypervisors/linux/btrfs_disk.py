"""A btrfs file system in a file, for the time of a test."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE_BYTES = 400 * 1024**2
NEEDED = ("mkfs.btrfs", "btrfs", "losetup")


def why_not() -> str:
    """Say why this machine cannot have one; nothing if it can."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    if "btrfs" not in Path("/proc/filesystems").read_text(encoding="ascii"):
        return "this kernel has no btrfs"
    return ""


@contextlib.contextmanager
def mounted() -> Iterator[Path]:
    """Give a directory that is the root of a new one."""
    directory = Path(tempfile.mkdtemp(prefix="fzb"))
    image = directory.with_suffix(".img")
    try:
        with image.open("wb") as file:
            file.truncate(SIZE_BYTES)
        _do("mkfs.btrfs", "--quiet", str(image))
        _do("mount", "-o", "loop", str(image), str(directory))
        try:
            yield directory
        finally:
            # A keeper that was killed just now may not be quite gone; the disk goes with it.
            _do("umount", "--lazy", str(directory))
    finally:
        image.unlink()
        directory.rmdir()


def _do(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True)
