"""The program that unpacks an image, in a process of its own: `python -m ...images.unpack`.

Hours of decompression and a parser fed by strangers have no place on the node's loop. It reads a
`Job` from its standard input, opens what it needs, and then has the new root as its own (chroot),
bounded in memory; what it answers on its standard output is a `Verdict`, by whatever end.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import resource
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, cast

import msgspec

from fifo.hypervisors.linux import limits, zstd
from fifo.hypervisors.linux.images import oci
from fifo.hypervisors.linux.images.archive import DIRECTORY, Bounds, Refused, TooMuch, Unpacker
from fifo.hypervisors.linux.images.oci import Layer
from fifo.hypervisors.linux.init import ImageConfig
from fifo.model.errors import NotReady

if TYPE_CHECKING:
    from collections.abc import Callable

SUFFIXES: Final = {
    ".tar": "",
    ".tar.gz": "gzip",
    ".tgz": "gzip",
    ".tar.xz": "xz",
    ".txz": "xz",
    ".tar.bz2": "bzip2",
    ".tar.zst": "zstd",
    ".tzst": "zstd",
}
"""What a file's name says of its compression."""
MAGIC: Final = {
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ\0": "xz",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "zstd",
}
"""How a compressed stream begins, for files whose names say nothing: an upload has none. That it is
a tar inside is what the record says, and every way of reading it has the same bounds."""


def opened(file: IO[bytes], compression: str) -> IO[bytes]:
    """Give the uncompressed stream of a file, of which nothing is read yet; raises NotReady."""
    match compression:
        case "gzip":
            return cast("IO[bytes]", gzip.GzipFile(fileobj=file, mode="rb"))
        case "xz":
            return cast("IO[bytes]", lzma.LZMAFile(file))
        case "bzip2":
            return cast("IO[bytes]", bz2.BZ2File(file))
        case "zstd":
            return cast("IO[bytes]", zstd.Reader(file, "image"))
        case _:
            return file


class Job(msgspec.Struct, frozen=True):
    """What to unpack, as an OCI layout or one archive of a root file system, and to where.

    With both `source` and `layout` it first unpacks that archive of an OCI layout to `layout`, an
    empty directory, and goes on there.
    """

    root: str
    uid_base: int
    unpacked_bytes: int
    entries: int
    machine: str
    source: str = ""
    compression: str = ""
    layout: str = ""


class Verdict(msgspec.Struct, frozen=True):
    """What came of it: `refused` says why the image is not taken, `failed` what went wrong here.

    `too_much`: it is refused for what it unpacks to. `missing` is a package that the host lacks.
    """

    unpacked_bytes: int = 0
    entries: int = 0
    config: ImageConfig = ImageConfig()
    refused: str = ""
    too_much: bool = False
    failed: str = ""
    error_number: int = 0
    missing: str = ""


def compression_of(name: str, path: Path) -> str:
    """Tell an archive's compression by the name it came under, else by its first bytes."""
    for suffix, compression in SUFFIXES.items():
        if name.endswith(suffix):
            return compression
    with path.open("rb") as file:
        first = file.read(max(map(len, MAGIC)))
    return next((found for magic, found in MAGIC.items() if first.startswith(magic)), "")


def work(job: Job, confine: Callable[[str], None]) -> Verdict:
    """Do a job; `confine` has the process see nothing but the root, where it may."""
    try:
        with ExitStack() as held:
            layers, config = _layers(job)
            files = [held.enter_context(layer.path.open("rb")) for layer in layers]
            streams = [
                opened(file, layer.compression) for file, layer in zip(files, layers, strict=True)
            ]
            root = os.open(job.root, DIRECTORY)
            held.callback(os.close, root)
            chown = os.chown if os.geteuid() == 0 else None
            if chown is not None:
                chown(root, job.uid_base, job.uid_base)
            bounds = Bounds(job.unpacked_bytes, job.entries)
            unpacker = Unpacker(root, bounds, job.uid_base, chown)
            confine(job.root)
            for stream, layer in zip(streams, layers, strict=True):
                with closing(stream):
                    unpacker.unpack(stream, whiteouts=bool(job.layout), diff_id=layer.diff_id)
            config = msgspec.structs.replace(config, init_links=_init_links(root))
            return Verdict(*unpacker.spent, config)
    except Refused as error:
        return Verdict(refused=str(error), too_much=isinstance(error, TooMuch))
    except NotReady as error:
        return Verdict(failed=error.what, missing=error.details["packages"])
    except MemoryError:
        return Verdict(refused="it needs more memory than an archive does")
    except OSError as error:
        return Verdict(failed=error.strerror or str(error), error_number=error.errno or 0)


def _layers(job: Job) -> tuple[tuple[Layer, ...], ImageConfig]:
    if not job.layout:
        return (Layer(Path(job.source), job.compression),), ImageConfig()
    layout = Path(job.layout)
    if job.source:
        place = os.open(layout, DIRECTORY)
        try:
            bounds = Bounds(job.unpacked_bytes, job.entries)
            with Path(job.source).open("rb") as file:
                Unpacker(place, bounds, 0).unpack(opened(file, job.compression))
        finally:
            os.close(place)
    return oci.read(layout, job.machine)


def _init_links(root: int) -> str:
    """Read where /sbin/init leads, through /sbin if that is a link itself (merged /usr)."""
    for path in ("sbin/init", "usr/sbin/init"):
        try:
            return os.readlink(path, dir_fd=root)
        except OSError:
            continue
    return ""


def _confine(root: str) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (limits.UNPACK_MEMORY_BYTES,) * 2)
    if os.geteuid() == 0:
        os.chroot(root)
        os.chdir("/")


def main() -> int:
    """Read the job, answer the verdict."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    os.umask(0o022)
    sys.stdout.buffer.write(msgspec.json.encode(work(job, _confine)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
