"""The size and SHA-256 of a file or a tree on the host's disk.

What is larger than it may be is refused by what the disk says of its size, before any of it is
read: hashing tens of GiB takes minutes. It is done in a thread of its own, which spends its time
without the interpreter's lock.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from fifo.hypervisors.linux.images import refusal
from fifo.model.errors import Cancelled, Conflict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Progress = Callable[[int, int], None]

READ_BYTES: Final = 1024 * 1024
TOLD_BYTES: Final = 64 * READ_BYTES
"""How much is read between two words of progress: about ten in a second from the fastest disks."""


class Checksum(NamedTuple):
    """What there is to know of bytes without looking into them."""

    size_bytes: int
    sha256: str


class Summing:
    """One reading of a file or a tree. Used on the node's loop.

    `progress` (bytes so far, of how many) is called on the loop; `most_bytes` None is no bound.
    """

    def __init__(
        self, path: Path, progress: Progress | None = None, most_bytes: int | None = None
    ) -> None:
        self._path = path
        self._progress = progress
        self._most_bytes = most_bytes
        self._given_up = False
        self._of_bytes = 0
        self._done_bytes = 0

    async def of_file(self) -> Checksum:
        """Sum up a file; raises NoRoom, Conflict if it changes meanwhile, OSError.

        Who cancels this need not wait: the thread ends by itself with its next bytes.
        """
        return await self._in_thread(self._file)

    async def of_tree(self) -> Checksum:
        """Sum up a directory's files: of their names, modes and contents. As `of_file`."""
        return await self._in_thread(self._tree)

    async def _in_thread(self, work: Callable[[Callable[[], None]], Checksum]) -> Checksum:
        loop = asyncio.get_running_loop()

        def tell() -> None:
            if self._progress is not None:
                loop.call_soon_threadsafe(self._progress, self._done_bytes, self._of_bytes)

        try:
            return await asyncio.to_thread(work, tell)
        finally:
            self._given_up = True

    def _file(self, tell: Callable[[], None]) -> Checksum:
        self._expect(self._path.stat().st_size)
        return self._finished(self._read(self._path, tell))

    def _tree(self, tell: Callable[[], None]) -> Checksum:
        size_bytes = 0
        for _, found in _files(self._path):
            self._go_on()
            if stat.S_ISREG(found.st_mode):
                size_bytes += found.st_size
        self._expect(size_bytes)
        digest = hashlib.sha256()
        for path, found in _files(self._path):
            self._go_on()
            digest.update(f"{path.relative_to(self._path)}\0{found.st_mode:o}\0".encode())
            if stat.S_ISREG(found.st_mode):
                digest.update(self._read(path, tell).encode())
        return self._finished(digest.hexdigest())

    def _expect(self, size_bytes: int) -> None:
        if self._most_bytes is not None and size_bytes > self._most_bytes:
            raise refusal.too_large(self._most_bytes, str(self._path))
        self._of_bytes = size_bytes

    def _read(self, path: Path, tell: Callable[[], None]) -> str:
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while data := file.read(READ_BYTES):
                self._go_on()
                before, self._done_bytes = self._done_bytes, self._done_bytes + len(data)
                if self._done_bytes > self._of_bytes:
                    raise self._changed()
                digest.update(data)
                if before // TOLD_BYTES != self._done_bytes // TOLD_BYTES:
                    tell()
        return digest.hexdigest()

    def _finished(self, sha256: str) -> Checksum:
        if self._done_bytes != self._of_bytes:
            raise self._changed()
        return Checksum(self._done_bytes, sha256)

    def _go_on(self) -> None:
        if self._given_up:
            raise Cancelled("given up", str(self._path), "read it again")

    def _changed(self) -> Conflict:
        return Conflict(
            f"it changed while it was read: it had {self._of_bytes} bytes", str(self._path),
            "import it again when nothing writes to it any more",
        )  # fmt: skip


def _files(directory: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield what is in a tree but its directories, in the order of names."""
    for parent, directories, names in os.walk(directory):
        directories.sort()
        for name in sorted(names):
            path = Path(parent, name)
            yield path, path.lstat()
