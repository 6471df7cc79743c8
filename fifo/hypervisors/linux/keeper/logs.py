"""Log files that cannot fill a disk.

Two kinds, by who writes. What the keeper itself copies (consoles) goes through `TurnedLog`. What a
process writes by itself is opened for appending and handed to it, so that it goes on while no
keeper lives; `trim` keeps that one short by copying it aside and cutting it off, and what is
written between the two is lost.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fifo.hypervisors.linux.keeper import limits

if TYPE_CHECKING:
    from fifo.hypervisors.linux.keeper.fields import Fields

APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY


class LogFile(NamedTuple):
    """Where a log is, its size before it is turned over, and how many older ones are kept."""

    path: str
    size_bytes: int = limits.LOG_BYTES_DEFAULT
    kept: int = 1

    @classmethod
    def of(cls, fields: Fields | None) -> LogFile | None:
        """Read it from a request; raises Refusal."""
        if fields is None:
            return None
        found = cls(
            fields.path("path"),
            fields.integer(
                "size_bytes", limits.CHUNK_BYTES, limits.LOG_BYTES_MAX, limits.LOG_BYTES_DEFAULT
            ),
            fields.integer("kept", 0, limits.LOG_FILES_MAX, 1),
        )
        fields.end()
        return found

    @classmethod
    def read(cls, entry: dict[str, Any] | None) -> LogFile | None:
        """Read it back from the journal."""
        return None if entry is None else cls(**entry)

    def open(self) -> int:
        """Open it for appending; raises OSError."""
        return os.open(self.path, APPEND, 0o600)

    def older(self, number: int) -> Path:
        """Give the path of an older one, 1 being the youngest."""
        return Path(f"{self.path}.{number}")

    def shift(self) -> None:
        """Rename the older ones by one and drop the oldest, so that number 1 is free."""
        self.older(self.kept).unlink(missing_ok=True)
        for number in range(self.kept - 1, 0, -1):
            if self.older(number).exists():
                self.older(number).rename(self.older(number + 1))


def trim(log: LogFile) -> None:
    """Turn over a log that a process holds open for appending, if it has grown too large.

    Its size is looked at only now and then, so it may exceed its bound by what is written between.
    Raises OSError.
    """
    path = Path(log.path)
    if not path.exists() or path.stat().st_size <= log.size_bytes:
        return
    if log.kept:
        log.shift()
        try:
            shutil.copyfile(path, log.older(1))
        except OSError:
            # No room for a copy: the bound matters more than the history.
            log.older(1).unlink(missing_ok=True)
    os.truncate(path, 0)


GAP = "\r\n[%d bytes are missing here: the disk did not take them]\r\n"
"""Stands in a log in the place of what could not be written to it."""


class TurnedLog:
    """A log the keeper writes. What the disk refuses is dropped, never waited for.

    When it takes data again, the log says first how much is missing.
    """

    __slots__ = ("_descriptor", "_log", "_missing_bytes", "_size_bytes")

    def __init__(self, log: LogFile) -> None:
        """Open it; raises OSError."""
        self._log = log
        self._descriptor = log.open()
        self._size_bytes = os.fstat(self._descriptor).st_size
        self._missing_bytes = 0

    def write(self, data: bytes) -> None:
        """Append."""
        if self._missing_bytes:
            gap = (GAP % self._missing_bytes).encode()
            if self._append(gap) < len(gap):
                self._missing_bytes += len(data)
                return
            self._missing_bytes = 0
        self._missing_bytes += len(data) - self._append(data)

    def _append(self, data: bytes) -> int:
        """Give how many bytes the disk has taken."""
        try:
            if self._size_bytes and self._size_bytes + len(data) > self._log.size_bytes:
                self._turn()
            written = os.write(self._descriptor, data)
        except OSError:
            written = 0
        self._size_bytes += written
        return written

    def _turn(self) -> None:
        if self._log.kept:
            # The new file first: without a descriptor for it nothing has changed.
            draft = Path(f"{self._log.path}.new")
            descriptor = os.open(draft, APPEND | os.O_TRUNC, 0o600)
            self._log.shift()
            Path(self._log.path).rename(self._log.older(1))
            draft.rename(self._log.path)
            os.close(self._descriptor)
            self._descriptor = descriptor
        else:
            os.ftruncate(self._descriptor, 0)
        self._size_bytes = 0

    def tail(self, size_bytes: int) -> bytes:
        """Give the last bytes written, over the turn too; raises OSError."""
        found = b""
        for path in (Path(self._log.path), self._log.older(1)):
            if len(found) < size_bytes and path.exists():
                with path.open("rb") as file:
                    file.seek(max(0, path.stat().st_size - (size_bytes - len(found))))
                    found = file.read() + found
        return found

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)
