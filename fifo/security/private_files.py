"""Files that nobody but their owner may read: made with their mode, replaced whole."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

from fifo.model.errors import NotReady

if TYPE_CHECKING:
    from pathlib import Path

DIRECTORY_MODE: Final = 0o700
FILE_MODE: Final = 0o600
_OTHERS: Final = 0o077


def make_directory(path: Path) -> None:
    """Make a directory for its owner alone; raises NotReady for one that others may enter.

    Called at start-up, before anything private is put into it.
    """
    path.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    refuse_others(path)


def refuse_others(path: Path) -> None:
    """Raise NotReady unless a file or directory is ours and closed to everybody else."""
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        raise NotReady("it is a symbolic link", str(path), "put the real thing in its place")
    if found.st_uid != os.geteuid():
        raise NotReady(
            f"it belongs to user {found.st_uid}, the node runs as {os.geteuid()}",
            str(path),
            f"chown {os.geteuid()} {path}",
        )
    if stat.S_IMODE(found.st_mode) & _OTHERS:
        raise NotReady(
            f"others may use it (mode {stat.S_IMODE(found.st_mode):04o})",
            str(path),
            f"chmod go-rwx {path}",
        )


def write(path: Path, data: bytes) -> None:
    """Write a private file whole or not at all, on disk when this returns.

    The name always leads to the old content or to the new, also after a power cut.
    """
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def read(path: Path) -> bytes | None:
    """Read a private file, None if there is none; raises NotReady if others could as well."""
    try:
        refuse_others(path)
    except FileNotFoundError:
        return None
    return path.read_bytes()
