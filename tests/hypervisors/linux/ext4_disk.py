"""A small ext4 file system in a file: unlike a tmpfs, its directories take blocks of it."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fifo.hypervisors.linux.layout import PASSABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE_BYTES: Final = 64 * 1024**2
NEEDED: Final = ("mkfs.ext4", "mount", "umount")


def why_not() -> str:
    """Say why this machine cannot have one; nothing if it can."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    return f"not installed: {', '.join(missing)}" if missing else ""


@contextlib.contextmanager
def mounted() -> Iterator[Path]:
    """Give a directory that is the root of a new one, none of which is kept for root alone."""
    directory = Path(tempfile.mkdtemp(prefix="fze"))
    image = directory.with_suffix(".img")
    try:
        with image.open("wb") as file:
            file.truncate(SIZE_BYTES)
        _do("mkfs.ext4", "-q", "-m", "0", str(image))
        _do("mount", "-o", "loop", str(image), str(directory))
        try:
            directory.chmod(PASSABLE)
            yield directory
        finally:
            # A keeper that was killed just now may not be quite gone; the disk goes with it.
            _do("umount", "--lazy", str(directory))
    finally:
        image.unlink()
        directory.rmdir()


def _do(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True)
