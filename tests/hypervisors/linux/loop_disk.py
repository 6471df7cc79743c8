"""A file system in a file, for the time of a test."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def missing(needed: Iterable[str]) -> str:
    """Say which programs are not installed; nothing if all are."""
    lacking = [name for name in needed if shutil.which(name) is None]
    return f"not installed: {', '.join(lacking)}" if lacking else ""


@contextlib.contextmanager
def mounted(prefix: str, size_bytes: int, *make: str) -> Iterator[Path]:
    """Give a directory that is the root of a new one, which `make` and the file's name makes."""
    directory = Path(tempfile.mkdtemp(prefix=prefix))
    image = directory.with_suffix(".img")
    try:
        with image.open("wb") as file:
            file.truncate(size_bytes)
        _do(*make, str(image))
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
