"""Built images on disk, each under the digest of what it was built from.

An entry appears whole by a rename, or not at all. Any number of builders may work at once: the
first to finish wins, the others take its entry. Every entry is checked against its manifest when
it is asked for, and a damaged one is built anew. Who builds holds a lock on a file beside its
directory: what lies about unlocked was left by a builder that died, and is removed by the next.

Entries are replaced and expire: who keeps an instance on an image copies its files first.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import logging
import os
import shutil
import tempfile
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from fifo.model import image_manifest, records
from fifo.model.errors import Busy, DataLoss, InvalidInput
from fifo.model.image_manifest import ImageFile, ImageManifest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from fifo.model.image_manifest import Format, Role

MANIFEST: Final = "manifest.json"
MANIFEST_BYTES_MAX: Final = 64 * 1024
"""Of FILES_MAX files, about 250 bytes each, and twice as much again."""
BUILDING: Final = ".building-"
LOCK: Final = ".lock"
REVISION: Final = 1
"""Raised when the code begins to write something else from the same inputs."""
KEY_CHARACTERS: Final = 16
"""64 bits of a digest: entries of one cache will not meet by chance."""
ATTEMPTS: Final = 8
"""Each lost one means that another builder got between two calls of ours."""
ENTRIES_KEPT: Final = 4
"""Of one kind: the present one, and those of other versions of FiFo or the kernel beside it."""

_log = logging.getLogger(__name__)


class GuestImage(NamedTuple):
    """A built image: the directory of its files, and the manifest that describes them."""

    directory: Path
    manifest: ImageManifest

    def path(self, role: Role) -> Path:
        """Return where the file of this role is; raises KeyError if the image has none."""
        file = self.manifest.file(role)
        if file is None:
            raise KeyError(role)
        return self.directory / file.path


class Workplace(NamedTuple):
    """Two empty directories of a builder: one becomes the entry, the other is thrown away."""

    image: Path
    scratch: Path


def key(*inputs: str) -> str:
    """Return the digest that an image made from these inputs is kept under."""
    parts = (str(REVISION), str(ImageManifest.__struct_config__.tag), *inputs)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:KEY_CHARACTERS]


class Lock(NamedTuple):
    """A file beside a builder's directory, and the open descriptor that it is locked by."""

    descriptor: int
    path: Path


async def obtain(
    cache: Path, kind: str, digest: str, build: Callable[[Workplace], Awaitable[ImageManifest]]
) -> GuestImage:
    """Return the image of this kind and `key`, built by `build` if it is not there.

    Raises what `build` raises, OSError when the cache cannot be written, Busy when other builders
    of the same are faster every time.
    """
    cache = await asyncio.to_thread(cache.resolve)
    entry = cache / f"{kind}-{digest}"
    if (found := await asyncio.to_thread(look_up, entry)) is not None:
        return found
    async with _building(cache) as place:
        manifest = await build(place)
        image_manifest.validate(manifest)
        await asyncio.to_thread(_publish, place, manifest, entry)
    await asyncio.to_thread(_expire, cache, kind)
    return GuestImage(entry, manifest)


def look_up(entry: Path) -> GuestImage | None:
    """Return the entry if it is there and whole. Reads all of it: 0.1 s for 60 MB."""
    try:
        return GuestImage(entry, verify(entry))
    except FileNotFoundError as missing:
        if entry.exists():
            _log.warning("image cache: %s is gone: building it anew", missing.filename)
    except (DataLoss, InvalidInput) as damage:
        _log.warning("image cache: %s: building it anew", damage)
    return None


def verify(directory: Path) -> ImageManifest:
    """Return the manifest of an image whose files are all as it says.

    Raises DataLoss or InvalidInput when they are not, FileNotFoundError when one is missing. Reads
    all of them: called in a thread.
    """
    with (directory / MANIFEST).open("rb") as stream:
        data = stream.read(MANIFEST_BYTES_MAX + 1)
    if len(data) > MANIFEST_BYTES_MAX:
        raise DataLoss("the manifest is too long", str(directory), "import the image again")
    manifest = records.decode(ImageManifest, data, str(directory))
    image_manifest.validate(manifest)
    for file in manifest.files:
        if described(directory, file.role, file.format, file.path) != file:
            raise DataLoss(
                "the bytes are not those that the manifest describes",
                str(directory / file.path),
                "import the image again",
            )
    return manifest


def described(directory: Path, role: Role, form: Format, path: str) -> ImageFile:
    """Return the manifest's line for a file as it is now. Reads all of it."""
    with (directory / path).open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        size = os.fstat(stream.fileno()).st_size
    return ImageFile(role=role, format=form, path=path, size_bytes=size, sha256=digest)


@asynccontextmanager
async def _building(cache: Path) -> AsyncIterator[Workplace]:
    """Lend directories in the cache, locked while they are in use and removed afterwards."""
    lock = await asyncio.to_thread(_lock, cache)
    root = lock.path.with_suffix("")
    place = Workplace(root / "image", root / "scratch")
    try:
        for directory in (root, *place):
            directory.mkdir()
        yield place
    finally:
        await asyncio.to_thread(_discard, root, lock)


def _lock(cache: Path) -> Lock:
    """Clear away what dead builders left, and return a new locked file."""
    cache.mkdir(parents=True, exist_ok=True)
    for left in cache.glob(f"{BUILDING}*{LOCK}"):
        _clear(left)
    for _ in range(ATTEMPTS):
        descriptor, name = tempfile.mkstemp(prefix=BUILDING, suffix=LOCK, dir=cache)
        lock = Lock(descriptor, Path(name))
        if _take(descriptor) and lock.path.exists():
            return lock
        # Before it was locked, another builder took it for a leftover.
        os.close(descriptor)
    raise Busy("other builders were faster each time", str(cache), "try again")


def _discard(root: Path, lock: Lock) -> None:
    shutil.rmtree(root, ignore_errors=True)
    lock.path.unlink(missing_ok=True)
    os.close(lock.descriptor)


def _clear(lock: Path) -> None:
    with suppress(FileNotFoundError), lock.open("rb") as file:
        if _take(file.fileno()):
            shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
            lock.unlink(missing_ok=True)


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _publish(place: Workplace, manifest: ImageManifest, entry: Path) -> None:
    (place.image / MANIFEST).write_bytes(records.encode(manifest))
    for attempt in range(ATTEMPTS):
        try:
            place.image.rename(entry)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
                raise
        else:
            return
        if look_up(entry) is not None:
            return
        # Out of the way at once, and away with the rest when the building ends.
        with suppress(FileNotFoundError):
            entry.rename(place.scratch / f"damaged-{attempt}")
    raise Busy("other builders replaced it each time", str(entry), "try again")


def _expire(cache: Path, kind: str) -> None:
    entries = [(path.stat().st_mtime, path) for path in cache.glob(f"{kind}-*")]
    for _, path in sorted(entries, reverse=True)[ENTRIES_KEPT:]:
        shutil.rmtree(path, ignore_errors=True)
