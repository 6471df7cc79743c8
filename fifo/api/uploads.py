"""Uploads: bytes of images on their way in, each in a file of its own until it is imported."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from fifo.api import limits
from fifo.model import names
from fifo.model.errors import Busy, HistoryGone, InvalidInput, NoRoom, Violation
from fifo.security import private_files

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from fifo.model.image import Image

logger = logging.getLogger("fifo.api")

_READ_BYTES: Final = 1024 * 1024
_PART: Final = ".part"
"""How the name of what is not whole ends; before that stands how long it will be."""


class Upload:
    """One stream into a file; opened, written and ended by one call."""

    def __init__(self, path: Path, file: BinaryIO, size_bytes: int) -> None:
        self._path = path
        self._file = file
        self._size_bytes = size_bytes
        self.received_bytes = file.tell()

    def write(self, data: bytes) -> None:
        """Append bytes; raises InvalidInput for more than were promised. On a worker thread."""
        self.received_bytes += len(data)
        if self.received_bytes > self._size_bytes:
            wanted = f"{self._size_bytes} bytes in all, as the first frame says"
            raise InvalidInput("UploadImage", (Violation("data", wanted),))
        self._file.write(data)

    def end(self) -> str:
        """Make what came durable; give the checksum of the whole, '' while some is missing."""
        self._file.flush()
        os.fsync(self._file.fileno())
        if self.received_bytes < self._size_bytes:
            return ""
        self._file.seek(0)
        found = hashlib.sha256()
        while data := self._file.read(_READ_BYTES):
            found.update(data)
        self._path.rename(self._path.with_name(_id(self._path)))
        return found.hexdigest()

    def close(self) -> None:
        """Let the file go; what came stays, for who goes on."""
        self._file.close()


class Uploads:
    """The uploads of a node, in a directory; on the node's loop."""

    def __init__(self, directory: Path, utc: Callable[[], float]) -> None:
        self._directory = directory
        self._utc = utc
        self._open: set[str] = set()
        self._wanted: Counter[str] = Counter()
        self._going: set[str] = set()

    async def open(self, upload_id: str, size_bytes: int, offset_bytes: int) -> Upload:
        """Begin an upload, or go on where it broke off.

        Raises HistoryGone, which names the right offset, Busy while another stream writes it,
        InvalidInput and NoRoom for one that is too large.
        """
        if not 0 < size_bytes <= limits.UPLOAD_BYTES:
            wanted = f"1 to {limits.UPLOAD_BYTES} bytes"
            raise InvalidInput("UploadImage", (Violation("open.size_bytes", wanted),))
        # A UUID is the same in capitals (RFC 9562, section 4).
        upload_id = upload_id.lower()
        if upload_id in self._open:
            raise Busy("another stream writes this upload", upload_id, "end that one first")
        if len(self._open) >= limits.UPLOADS:
            raise NoRoom(f"{len(self._open)} uploads are open", "uploads", "try again later")
        self._open.add(upload_id)
        try:
            await self._run(self._sweep)
            opened: Upload = await self._run(self._opened, upload_id, size_bytes, offset_bytes)
        except BaseException:
            self._open.discard(upload_id)
            raise
        return opened

    async def write(self, upload: Upload, data: bytes) -> None:
        """Append bytes."""
        await self._run(upload.write, data)

    async def end(self, upload: Upload) -> str:
        """Make what came durable, and give the checksum if that is the whole."""
        checksum: str = await self._run(upload.end)
        return checksum

    async def close(self, upload_id: str, upload: Upload) -> None:
        """Let an upload go."""
        self._open.discard(upload_id.lower())
        await self._run(upload.close)

    @contextlib.asynccontextmanager
    async def wanted(self, upload_id: str) -> AsyncIterator[Path | None]:
        """Give the file of a whole upload and keep it, while an import of it is not accepted yet.

        None if there is none, or it is being thrown away, or what is named is no uid. Used by
        ImportImage, which calls `imported` afterwards: what ended meanwhile left the file.
        """
        if not names.is_uid(own := upload_id.lower()):
            yield None
            return
        path = self._directory / own
        source = str(path)
        # Asked before the file: from here on none begins to go, but one may have gone meanwhile.
        going = source in self._going
        self._wanted[source] += 1
        try:
            yield path if not going and await self._run(path.is_file) else None
        finally:
            self._wanted -= Counter((source,))

    def imported(self, upload_id: str, images: Iterable[Image], hosts: int) -> None:
        """Throw an upload's file away if the only host has it; kept where others may want it."""
        source = str(self._directory / upload_id.lower())
        if source in self._done_with(images, hosts) and source not in self._going:
            self._throw_away(source)

    async def tidy(self, images: Iterable[Image], hosts: int) -> None:
        """Throw away what a node that was killed left; called before the first upload."""
        for source in self._done_with(images, hosts):
            await self._run(_drop, Path(source))
        await self._run(self._sweep)

    def _done_with(self, images: Iterable[Image], hosts: int) -> set[str]:
        """Give the files of ours that images were made of, and none is or may soon be made of."""
        if hosts > 1:
            return set()
        own = [image for image in images if Path(image.source).parent == self._directory]
        wanted = {image.source for image in own if image.state == "importing"}
        return {image.source for image in own if image.state == "ready"} - wanted - {*self._wanted}

    def _throw_away(self, source: str) -> None:
        """Remove a file on a thread; until that has ended the upload is none that is there."""
        self._going.add(source)
        going = asyncio.get_running_loop().run_in_executor(None, _drop, Path(source))
        going.add_done_callback(lambda _: self._going.discard(source))

    def expire_time(self) -> float:
        """Give the UTC second after which what came now is thrown away."""
        return self._utc() + limits.UPLOAD_KEPT_S

    # -- on a worker thread ------------------------------------------------------------------

    async def _run(self, function: Callable[..., object], *args: object) -> Any:
        return await asyncio.get_running_loop().run_in_executor(None, function, *args)

    def _opened(self, upload_id: str, size_bytes: int, offset_bytes: int) -> Upload:
        private_files.make_directory(self._directory)
        path = self._path(upload_id, size_bytes)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.fdopen(os.open(path, flags, private_files.FILE_MODE), "r+b")
        here = file.seek(0, os.SEEK_END)
        if here != offset_bytes:
            file.close()
            raise HistoryGone(
                f"{here} bytes are here, not {offset_bytes}",
                upload_id,
                "go on from offset_bytes in the details",
                reason="WRONG_OFFSET",
                details={"offset_bytes": str(here)},
            )
        promised_bytes = _promised_bytes(path) or here
        if size_bytes != promised_bytes:
            file.close()
            wanted = f"{promised_bytes} bytes, which this upload has in all"
            raise InvalidInput("UploadImage", (Violation("open.size_bytes", wanted),))
        return Upload(path, file, size_bytes)

    def _path(self, own: str, size_bytes: int) -> Path:
        """Give the file of an upload: what is here of it, else one that says how much is to come.

        Who did not hear that all had come asks again for what is whole, and may be told so.
        """
        whole = self._directory / own
        if whole.is_file():
            return whole
        begun = next(self._directory.glob(f"{own}.*{_PART}"), None)
        if begun is not None and begun.stat().st_size:
            return begun
        if begun is not None:
            # Nothing has come that another size could be wrong for.
            begun.unlink()
        return self._directory / f"{own}.{size_bytes}{_PART}"

    def _sweep(self) -> None:
        """Throw away what nobody went on with, or imported, for long."""
        if not self._directory.is_dir():
            return
        before = self._utc() - limits.UPLOAD_KEPT_S
        for path in self._directory.iterdir():
            kept = _id(path) in self._open or str(path) in self._wanted
            if not kept and path.stat().st_mtime < before:
                _drop(path)


def _id(path: Path) -> str:
    """Give the id of the upload that a file is of."""
    return path.name.partition(".")[0]


def _promised_bytes(path: Path) -> int:
    """Give how long a part says in its name that the whole will be; 0 for what is whole."""
    _, _, size = path.name.removesuffix(_PART).partition(".")
    return int(size or 0)


def _drop(path: Path) -> None:
    """Remove a file; one that stays is looked at again at the next upload, or start."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        logger.warning("%s stays: %s", path, error.strerror)
