"""Room on a disk that is held back for what makes room.

A file of a stated size. Where a write finds none, its owner gives the file up a piece at a time and
writes again, so that others who fill the disk find little of it; where there is room for the whole
of it twice, it is made again.
"""

from __future__ import annotations

import errno
import logging
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger("fifo.store")

NAME: Final = "reserve"
PIECE_BYTES: Final = 64 * 1024
"""What is given up at once: a few commits, and a small private file beside them."""
NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class Reserve:
    """The reserve of one directory; `make` and `give_up` on the one thread that writes there."""

    def __init__(self, directory: Path, size_bytes: int) -> None:
        self._path = directory / NAME
        self._size_bytes = size_bytes
        self._held_bytes = -1
        """What the file has; below 0 where nobody has looked yet."""

    def make(self) -> None:
        """Take what is missing, if there is room for it; the directory has to be there.

        Where it can never be made, the disk does without one: that holds nothing up.
        """
        missing_bytes = self._missing()
        if missing_bytes <= 0:
            return
        try:
            if self._free_bytes() < missing_bytes + self._size_bytes:
                return
            flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(self._path, flags, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, self._size_bytes)
            finally:
                os.close(descriptor)
        except OSError as error:
            if error.errno not in NO_ROOM:
                logger.warning("No room can be held back at %s: %s", self._path, error)
                self._size_bytes = 0
            self._held_bytes = -1  # What it got before the room ended is its own all the same.
            return
        self._held_bytes = self._size_bytes

    def give_up(self) -> bool:
        """Give a piece back to the disk; False if there is none left."""
        self._missing()
        if not self._held_bytes:
            return False
        left_bytes = max(0, self._held_bytes - PIECE_BYTES)
        try:
            os.truncate(self._path, left_bytes)
        except OSError as error:
            logger.warning("The room held back at %s cannot be used: %s", self._path, error)
            left_bytes = 0
        self._held_bytes = left_bytes
        return True

    def open(self) -> None:
        """Look what the last life has left of it, make it, and leave room to start with."""
        self.make()
        if self._free_bytes() < PIECE_BYTES:
            self.give_up()

    def short(self) -> bool:
        """Say whether some of it is in use, or the disk has less left than the whole of it."""
        return self._missing() > 0 or self._free_bytes() < self._size_bytes

    def _free_bytes(self) -> int:
        found = os.statvfs(self._path.parent)
        return found.f_bavail * found.f_frsize

    def _missing(self) -> int:
        if self._held_bytes < 0:
            try:
                self._held_bytes = min(self._path.stat().st_size, self._size_bytes)
            except OSError:
                self._held_bytes = 0
        return self._size_bytes - self._held_bytes
