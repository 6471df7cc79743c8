"""The host's images: fetched, checked, unpacked beside the others, and renamed into their place.

`STATE/images/UID/` holds `image.json` (the record, with what the host found out), `config.json`
(how the image wants to start) and what the image's format left there: `rootfs/` for a zone's. A
directory that begins with a dot is a fetch that has not finished; the next start sweeps it away.

The format is what the record says. What is inside is parsed as that or refused, and nothing of a
refused image is left.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import msgspec

from fifo.hypervisors.linux import layout, limits
from fifo.hypervisors.linux.commands import disk_error, succeed
from fifo.hypervisors.linux.images import refusal, registry, targets
from fifo.hypervisors.linux.images.checksum import Summing
from fifo.hypervisors.linux.images.download import Download
from fifo.hypervisors.linux.images.unpack import Job, Verdict, compression_of
from fifo.hypervisors.linux.init import ImageConfig
from fifo.hypervisors.linux.locks import Locks
from fifo.hypervisors.linux.storage.pool import ROOTFS
from fifo.model import records
from fifo.model.errors import (
    DataLoss,
    FifoError,
    InvalidInput,
    NotFound,
    NotReady,
    Unsupported,
    Violation,
)
from fifo.model.image import Image
from fifo.model.names import is_uid

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from fifo.hypervisors.linux.commands import Run
    from fifo.hypervisors.linux.settings import Settings
    from fifo.hypervisors.linux.storage.pool import ZoneStorage

    Progress = Callable[[int, int], None]

T = TypeVar("T")

_log = logging.getLogger(__name__)

RECORD: Final = "image.json"
CONFIG: Final = "config.json"
FETCHED: Final = "fetched"
LAYOUT: Final = "layout"
PACKAGES: Final = str(Path(__file__).resolve().parents[4])


class Fetched(NamedTuple):
    """What came from an image's source: a file or a layout, with its size and checksum."""

    path: Path
    size_bytes: int
    sha256: str


class Cache:
    """The images in a directory. Used on the node's loop.

    `importers` takes further formats (disks of VMs): each is given the image, what was fetched and
    the new directory, and gives the record with what it found out.
    """

    def __init__(
        self,
        run: Run,
        settings: Settings,
        directory: Path,
        storage: ZoneStorage,
        importers: Mapping[str, Callable[[Image, Fetched, Path], Awaitable[Image]]],
    ) -> None:
        self._run = run
        self._settings = settings
        self._directory = directory
        self._storage = storage
        self._importers = {
            "rootfs_tar": self._import_rootfs,
            "oci_archive": self._import_rootfs,
            "oci_layout": self._import_rootfs,
            **importers,
        }
        self._locks = Locks()

    # -- what is there -------------------------------------------------------------------------

    def uids(self) -> tuple[str, ...]:
        """List the images that are whole."""
        found = (entry.name for entry in os.scandir(self._directory))
        return tuple(sorted(name for name in found if is_uid(name)))

    def find(self, uid: str) -> Image | None:
        """Read an image's record; None if it is not there. Raises DataLoss."""
        path = self.place(uid) / RECORD
        try:
            return records.decode(Image, path.read_bytes(), uid)
        except FileNotFoundError:
            return None
        except DataLoss as error:
            raise damaged(path, error.what) from error

    def place(self, uid: str) -> Path:
        """Give an image's directory; raises NotFound for what is no uid."""
        if not is_uid(uid):
            raise NotFound("not a uid", uid, "name an image by its uid")
        return self._directory / uid

    def rootfs(self, uid: str) -> Path:
        """Give the root file system of a zone's image; raises NotFound."""
        found = self.place(uid) / ROOTFS
        if not found.is_dir():
            raise NotFound("no such zone image on this host", uid, "fetch the image first")
        return found

    def config(self, uid: str) -> ImageConfig:
        """Give how an image wants to start; raises DataLoss."""
        return read(self.place(uid) / CONFIG, ImageConfig)

    # -- coming and going ----------------------------------------------------------------------

    async def sweep(self) -> None:
        """Remove what fetches left that did not finish; called before the first of them."""
        for path in _hidden(self._directory):
            await self._storage.destroy(path)

    async def fetch(self, image: Image, progress: Progress) -> Image:
        """Bring an image in, unless it is there; raises FifoError, and then nothing of it is left.

        `progress` gets (bytes so far, of how many; 0 if nobody knows) on the node's loop.
        """
        async with self._locks.of(image.uid):
            if (found := self.find(image.uid)) is not None:
                return found

            async def fill(place: Path) -> Image:
                self._check(image)
                fetched = await self._obtain(image, place, progress)
                if image.sha256 and image.sha256 != fetched.sha256:
                    raise DataLoss(
                        f"its SHA-256 is {fetched.sha256}, not {image.sha256}", image.uid,
                        "see whether the source was changed, and correct the checksum",
                    )  # fmt: skip
                made = await self._importers[image.format](image, fetched, place)
                progress(fetched.size_bytes, fetched.size_bytes)
                return msgspec.structs.replace(
                    made, state="ready", size_bytes=fetched.size_bytes, sha256=fetched.sha256
                )

            return await self._enter(image, fill)

    async def capture(self, image: Image, root: Path, base: str) -> Image:
        """Make an image of a stopped zone's directory, which was made from the image `base`."""

        async def fill(place: Path) -> Image:
            target = await self._storage.make_image(place)
            await self._storage.capture(root, self.rootfs(base), target)
            layout.replace(place / CONFIG, msgspec.json.encode(self.config(base)))
            size_bytes, digest = await Summing(target).of_tree()
            return msgspec.structs.replace(
                image, state="ready", from_instance=root.name, unpacked_bytes=size_bytes,
                size_bytes=size_bytes, sha256=digest,
            )  # fmt: skip

        return await self.add(image, fill)

    async def add(self, image: Image, fill: Callable[[Path], Awaitable[Image]]) -> Image:
        """Bring an image in that `fill` makes in its new directory, unless it is there."""
        async with self._locks.of(image.uid):
            return self.find(image.uid) or await self._enter(image, fill)

    async def delete(self, uid: str) -> None:
        """Drop an image; nothing if it is not there. Who calls knows that no instance is on it."""
        async with self._locks.of(uid):
            place = self.place(uid)
            if _renamed(place, gone := place.with_name(f".gone-{uid}")):
                await self._storage.destroy(gone)

    async def _enter(self, image: Image, fill: Callable[[Path], Awaitable[Image]]) -> Image:
        """Fill a new directory and rename it into its place; on an error nothing is left of it."""
        place = self.place(image.uid).with_name(f".new-{image.uid}")
        await self._storage.destroy(place)
        try:
            place.mkdir(mode=layout.PASSABLE)
            made = await fill(place)
            layout.replace(place / RECORD, records.encode(made))
            await asyncio.to_thread(layout.flush_all, place)
            place.rename(self.place(image.uid))
        except OSError as error:
            await self._storage.destroy(place)
            told = disk_error(error, image.uid)
            refusal.take_out_paths(told, image, place)
            raise told from error
        except FifoError as error:
            await self._storage.destroy(place)
            refusal.take_out_paths(error, image, place)
            raise
        except Exception:
            await self._storage.destroy(place)
            raise
        return made

    # -- one image -----------------------------------------------------------------------------

    def _check(self, image: Image) -> None:
        if image.format not in self._importers:
            raise Unsupported(
                f"this host takes no images of format {image.format}", image.uid,
                f"convert it to one of: {', '.join(sorted(self._importers))}",
            )  # fmt: skip
        pulls = image.source.startswith(targets.REGISTRY)
        if not pulls and not image.source.startswith(("/", "http://", "https://")):
            wanted = f"an absolute path, https://, http:// or {targets.REGISTRY}"
            raise InvalidInput(image.uid, (Violation("source", wanted),))
        if (pulls or image.source.startswith("http")) and (image.format == "oci_layout") != pulls:
            wanted = "oci_layout for a registry or a directory, an archive for a URL"
            raise InvalidInput(image.uid, (Violation("format", wanted),))
        if image.boot == "direct" and not image.source.startswith("/"):
            wanted = "disk for what is one file; direct needs a directory on the host"
            raise InvalidInput(image.uid, (Violation("boot", wanted),))

    async def _obtain(self, image: Image, place: Path, progress: Progress) -> Fetched:
        most_bytes = self._settings.image_limits.download_of(image)
        private = self._settings.private_sources
        if image.source.startswith("/"):
            source = Path(image.source)
            summing = Summing(source, progress, most_bytes)
            tree = await asyncio.to_thread(_is_tree, source, image)
            return Fetched(source, *await (summing.of_tree() if tree else summing.of_file()))
        if image.source.startswith(targets.REGISTRY):
            pulled = place / LAYOUT
            found = await registry.pull(
                self._run, image.source, pulled, most_bytes, machine=platform.machine(),
                private=private, sha256=image.sha256,
            )  # fmt: skip
            return Fetched(pulled, found.size_bytes, found.sha256)
        path = place / FETCHED
        download = Download(image.source, most_bytes, progress, private=private)
        digest = await download.to(path)
        return Fetched(path, path.stat().st_size, digest)

    async def _import_rootfs(self, image: Image, fetched: Fetched, place: Path) -> Image:
        """Unpack a zone's image in a process of its own."""
        rootfs = await self._storage.make_image(place)
        bounds = self._settings.image_limits
        job = Job(
            root=str(rootfs),
            uid_base=self._settings.uid_base,
            unpacked_bytes=bounds.unpacked_of(image),
            entries=bounds.entries,
            machine=platform.machine(),
        )
        if image.format == "oci_layout":
            job = msgspec.structs.replace(job, layout=str(fetched.path))
        else:
            named = image.source.partition("?")[0]
            compression = await asyncio.to_thread(compression_of, named, fetched.path)
            job = msgspec.structs.replace(job, source=str(fetched.path), compression=compression)
        if image.format == "oci_archive":
            job = msgspec.structs.replace(job, layout=str(_made(place / LAYOUT)))
        verdict = await self._unpack(job, image)
        layout.replace(place / CONFIG, msgspec.json.encode(verdict.config))
        for leftover in (place / FETCHED, place / LAYOUT):
            await asyncio.to_thread(_remove, leftover)
        return msgspec.structs.replace(image, unpacked_bytes=verdict.unpacked_bytes)

    async def _unpack(self, job: Job, image: Image) -> Verdict:
        # The keeper hands no environment on, and ours may not be an installed package.
        argv = ["env", f"PYTHONPATH={PACKAGES}", sys.executable, "-m", f"{__package__}.unpack"]
        answer = await succeed(
            self._run, argv, stdin=msgspec.json.encode(job), subject=image.uid,
            deadline_s=limits.COPY_S,
        )  # fmt: skip
        verdict = msgspec.json.decode(answer, type=Verdict)
        if verdict.too_much:
            raise refusal.unpacks_to_too_much(verdict.refused, image)
        if verdict.refused:
            wanted = f"another image, since this one is refused: {verdict.refused}"
            raise InvalidInput(image.uid, (Violation("source", wanted),))
        if verdict.missing:
            raise NotReady(
                verdict.failed, image.uid, f"as root: apt-get install {verdict.missing}",
                details={"packages": verdict.missing},
            )  # fmt: skip
        if verdict.failed:
            raise disk_error(OSError(verdict.error_number, verdict.failed), image.uid)
        return verdict


def read(path: Path, kind: type[T]) -> T:
    """Read what is kept of an image beside its record; raises DataLoss. On the node's loop."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        raise damaged(path, "it is missing") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise damaged(path, str(error)) from error


def damaged(path: Path, why: str) -> DataLoss:
    """Say that a file of an image's is not what it has to be.

    Callers of the API read it, whom the host's paths do not concern; the log has the file's.
    """
    _log.error("%s: %s", path, why)
    uid = path.parent.name
    return DataLoss(f"{path.name}: {why}", uid, "delete the image and fetch it again")


def _hidden(directory: Path) -> list[Path]:
    return [path for path in directory.iterdir() if path.name.startswith(".")]


def _made(path: Path) -> Path:
    path.mkdir()
    return path


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _renamed(path: Path, target: Path) -> bool:
    try:
        path.rename(target)
    except FileNotFoundError:
        return target.exists()
    return True


def _is_tree(path: Path, image: Image) -> bool:
    """Tell whether an image's source is a directory; raises for what is not as it has to be."""
    if not path.exists():
        raise NotFound("no such file", str(path), "name a file on the host that will have it")
    if image.format == "oci_layout" or image.boot == "direct":
        if not path.is_dir():
            wanted = "the directory of a layout, or of a manifest for boot direct"
            raise InvalidInput(image.uid, (Violation("source", wanted),))
        return True
    if path.is_symlink() or not path.is_file():
        found = "link" if path.is_symlink() else "directory" if path.is_dir() else "device or pipe"
        wanted = f"a file itself for the format {image.format}; {path} is a {found}"
        raise InvalidInput(image.uid, (Violation("source", wanted),))
    return False
