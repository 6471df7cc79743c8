"""A store's data directory: its files, and the lock that keeps a second node out."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from typing import TYPE_CHECKING, Final

from fifo.model.errors import StoreDenied, StoreFull, StoreTaken

if TYPE_CHECKING:
    from pathlib import Path

    from fifo.model.errors import FifoError

logger = logging.getLogger(__name__)

DATABASE: Final = "store.db"
LOCK: Final = "lock"


class DirectoryLock:
    """Holds a directory; the kernel lets go of it when the process ends, however it ends.

    Raises StoreTaken if another process has it, StoreDenied if this one may not.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / LOCK
        try:
            if not directory.exists():
                directory.mkdir(mode=0o700, parents=True)
                sync(directory.parent)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise denied(directory, error) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._file, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._file)
            raise StoreTaken(
                f"process {holder} has it open",
                str(directory),
                "stop that node first: no two share a directory",
            ) from error
        told = f"{os.getpid()}\n".encode()
        try:
            # Over what is there, which a full disk has room for.
            os.pwrite(self._file, told, 0)
            os.ftruncate(self._file, len(told))
        except OSError as error:
            logger.warning("%s does not say who holds it: %s", self._path, error)

    def release(self) -> None:
        """Let go; the file stays, since a lock on a file that is removed guards nothing."""
        os.close(self._file)


def sync(directory: Path) -> None:
    """Make the names in a directory durable."""
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def denied(directory: Path, error: Exception) -> StoreDenied:
    """Say that a data directory cannot be used as it is."""
    return StoreDenied(
        f"it cannot be opened ({error})",
        str(directory),
        "make it a directory that the node's user owns, with mode 0700",
    )


def explain_write(directory: Path, error: OSError) -> FifoError:
    """Say why a file could not be written."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StoreFull("there is no room for it", str(directory), "free space, or name another")
    return denied(directory, error)


def size_bytes(directory: Path) -> int:
    """Add up the database and its log."""
    total = 0
    for name in (DATABASE, f"{DATABASE}-wal"):
        try:
            total += (directory / name).stat().st_size
        except FileNotFoundError:
            continue
    return total
