"""The host's cache of images: from files, layouts and a server, right ones and bad ones."""

from __future__ import annotations

import asyncio
import bz2
import gzip
import hashlib
import io
import json
import lzma
import tarfile
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from fifo.hypervisors.linux.images.cache import Cache
from fifo.hypervisors.linux.layout import PASSABLE
from fifo.hypervisors.linux.settings import ImageLimits, Settings
from fifo.hypervisors.linux.storage.overlay import OverlayStorage
from fifo.model.errors import (
    DataLoss,
    DriverFailed,
    FifoError,
    Forbidden,
    InvalidInput,
    NoRoom,
    NotFound,
    Unsupported,
)
from fifo.model.image import Image
from tests.hypervisors.linux.images.archives import directory, entry, link, tar
from tests.hypervisors.linux.runner import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

UID = "00000000-0000-4000-9000-000000000001"
ROOTFS = tar(directory("sbin"), entry("sbin/real", data=b"#!/bin/sh\n"), link("sbin/init", "real"))


def cache_of(place: Path, **changed: Any) -> Cache:
    """Make a cache in a directory, for zones without a user namespace."""
    settings = Settings(
        place, place, "ta", {}, **{"uid_base": 0, "private_sources": True, **changed}
    )
    images = place / "images"
    images.mkdir(mode=PASSABLE, exist_ok=True)
    return Cache(run, settings, images, OverlayStorage(run, place), {})


def image(source: object, form: str = "rootfs_tar", **more: Any) -> Image:
    """Describe an image."""
    raw = {"uid": UID, "id": "x", "create_time": 0.0, "format": form, "source": str(source)}
    return msgspec.convert({"type": "image/1", **raw, **more}, Image)


async def fetch(cache: Cache, wanted: Image) -> Image:
    """Fetch an image and forget its progress."""
    return await cache.fetch(wanted, lambda *_: None)


async def refused(cache: Cache, wanted: Image, error: type[FifoError], match: str = "") -> None:
    """Expect that an image is not taken, and that nothing of it is left."""
    with pytest.raises(error, match=match or None):
        await fetch(cache, wanted)
    assert list((cache.place(UID).parent).iterdir()) == []


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [
        (".tar", bytes),
        (".tar.gz", gzip.compress),
        (".tgz", gzip.compress),
        (".tar.xz", lzma.compress),
        # What was uploaded has no name that says anything: then its first bytes do.
        ("", bytes),
        ("", gzip.compress),
        ("", lzma.compress),
        ("", bz2.compress),
    ],
)
async def test_an_archive_is_unpacked_as_its_name_says_or_else_its_first_bytes(
    tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]
) -> None:
    data = pack(ROOTFS)
    source = tmp_path / f"rootfs{suffix}"
    source.write_bytes(data)
    cache = cache_of(tmp_path)
    found = await fetch(cache, image(source))
    assert (found.state, found.size_bytes) == ("ready", len(data))
    assert found.sha256 == hashlib.sha256(data).hexdigest()
    assert found.unpacked_bytes == 10
    assert (cache.rootfs(UID) / "sbin" / "real").read_bytes() == b"#!/bin/sh\n"
    assert cache.config(UID).init_links == "real"
    assert cache.uids() == (UID,)
    assert cache.find(UID) == found


BAD: dict[str, tuple[str, bytes, dict[str, Any], type[FifoError], str]] = {
    "not what its name says": ("x.tar.gz", ROOTFS, {}, InvalidInput, "not compressed as"),
    "cut off": ("x.tar.gz", gzip.compress(ROOTFS)[:-20], {}, InvalidInput, "cut off"),
    "of a name and bytes that say nothing": ("x", b"no" * 900, {}, InvalidInput, "no whole tar"),
    "a layout that is not there": ("x", b"", {"form": "oci_layout"}, InvalidInput, "the directory"),
    "no archive": ("x.tar", b"nothing" * 200, {}, InvalidInput, "no whole tar"),
    "a climber": ("x.tar", tar(entry("../x", data=b"x")), {}, InvalidInput, "leaves the archive"),
    "of another checksum": ("x.tar", ROOTFS, {"sha256": "0" * 64}, DataLoss, "SHA-256"),
    "larger than declared": ("x.tar", ROOTFS, {"size_bytes": 100}, InvalidInput, "at most 100"),
    "larger inside than declared": ("x.tar", ROOTFS, {"unpacked_bytes": 9}, InvalidInput, "bytes"),
    "of a format for VMs": ("x.tar", ROOTFS, {"form": "qcow2"}, Unsupported, "qcow2"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
async def test_a_bad_image_is_refused_and_leaves_nothing(tmp_path: Path, case: str) -> None:
    name, data, more, error, match = BAD[case]
    (tmp_path / name).write_bytes(data)
    await refused(cache_of(tmp_path), image(tmp_path / name, **more), error, match)


async def test_a_bomb_is_stopped_at_its_bound(tmp_path: Path) -> None:
    bomb = gzip.compress(tar(entry("zeros", data=bytes(30_000_000))))
    assert len(bomb) < 40_000
    (tmp_path / "bomb.tar.gz").write_bytes(bomb)
    limited = cache_of(tmp_path, image_limits=ImageLimits(unpacked_bytes=1_000_000, entries=10))
    await refused(limited, image(tmp_path / "bomb.tar.gz"), InvalidInput, "bytes unpacked")
    many = tar(*(entry(f"f{number}") for number in range(11)))
    (tmp_path / "many.tar").write_bytes(many)
    await refused(limited, image(tmp_path / "many.tar"), InvalidInput, "entries")


async def test_what_is_no_source_is_refused(tmp_path: Path) -> None:
    cache = cache_of(tmp_path)
    await refused(cache, image("file:///etc/passwd"), InvalidInput)
    await refused(cache, image("relative.tar"), InvalidInput)
    await refused(cache, image(tmp_path / "absent.tar"), NotFound)
    await refused(cache, image(tmp_path), NotFound)
    await refused(cache, image("docker://registry.example.org/x"), InvalidInput)
    await refused(cache, image("https://example.org/x", "oci_layout"), InvalidInput)


async def test_a_fetch_that_is_given_up_is_swept_away(tmp_path: Path) -> None:
    cache = cache_of(tmp_path)
    (tmp_path / "images" / f".new-{UID}" / "rootfs").mkdir(parents=True)
    await cache.sweep()
    assert list((tmp_path / "images").iterdir()) == []


# -- OCI ---------------------------------------------------------------------------------------


class Layout:
    """An OCI image layout that a test can spoil."""

    def __init__(self, place: Path) -> None:
        self.place = place
        (place / "blobs" / "sha256").mkdir(parents=True)
        (place / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def blob(self, data: bytes, kind: str) -> dict[str, Any]:
        """Store a blob; gives its descriptor."""
        digest = hashlib.sha256(data).hexdigest()
        (self.place / "blobs" / "sha256" / digest).write_bytes(data)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}

    def finish(self, layers: list[dict[str, Any]], config: dict[str, Any]) -> None:
        """Write configuration, manifest and index."""
        kind = "application/vnd.oci.image"
        made = self.blob(json.dumps({"config": config}).encode(), f"{kind}.config.v1+json")
        manifest = {"schemaVersion": 2, "config": made, "layers": layers}
        found = self.blob(json.dumps(manifest).encode(), f"{kind}.manifest.v1+json")
        index = {"schemaVersion": 2, "manifests": [found]}
        (self.place / "index.json").write_text(json.dumps(index))

    def layer(self, archive: bytes) -> dict[str, Any]:
        """Store a layer, compressed."""
        kind = "application/vnd.oci.image.layer.v1.tar+gzip"
        return self.blob(gzip.compress(archive), kind)


CONFIG = {
    "Entrypoint": ["/bin/start"], "Cmd": ["--now"], "Env": ["PATH=/bin", "bad"],
    "WorkingDir": "/srv", "StopSignal": "SIGINT",
}  # fmt: skip


def two_layers(place: Path) -> Layout:
    """Make a layout of which the second layer takes back a file of the first."""
    layout = Layout(place)
    lower = layout.layer(tar(directory("etc"), entry("etc/old", data=b"1")))
    upper = layout.layer(tar(entry("etc/.wh.old"), entry("etc/new", data=b"22")))
    layout.finish([lower, upper], CONFIG)
    return layout


async def test_a_layout_is_unpacked_layer_by_layer(tmp_path: Path) -> None:
    two_layers(tmp_path / "oci")
    cache = cache_of(tmp_path)
    found = await fetch(cache, image(tmp_path / "oci", "oci_layout"))
    assert found.unpacked_bytes == 3
    root = cache.rootfs(UID)
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*")) == ["etc", "etc/new"]
    config = cache.config(UID)
    assert (config.command, config.environment) == (("/bin/start", "--now"), ("PATH=/bin",))
    assert (config.directory, config.stop_signal) == ("/srv", 2)


async def test_an_archive_of_a_layout_gives_the_same(tmp_path: Path) -> None:
    layout = two_layers(tmp_path / "oci")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(layout.place, ".")
    (tmp_path / "oci.tar").write_bytes(buffer.getvalue())
    cache = cache_of(tmp_path)
    await fetch(cache, image(tmp_path / "oci.tar", "oci_archive"))
    assert (cache.rootfs(UID) / "etc" / "new").read_bytes() == b"22"
    assert cache.config(UID).command == ("/bin/start", "--now")
    assert {path.name for path in cache.place(UID).iterdir()} == {
        "image.json", "config.json", "rootfs"
    }  # fmt: skip


def _corrupt(layout: Layout) -> None:
    for blob in (layout.place / "blobs" / "sha256").iterdir():
        blob.write_bytes(blob.read_bytes() + b" ")


def _without_blobs(layout: Layout) -> None:
    for blob in (layout.place / "blobs" / "sha256").iterdir():
        blob.unlink()


def _by_link(layout: Layout) -> None:
    for blob in (layout.place / "blobs" / "sha256").iterdir():
        blob.unlink()
        blob.symlink_to("/etc/passwd")


def _climbing_digest(layout: Layout) -> None:
    path = layout.place / "index.json"
    index = json.loads(path.read_text())
    index["manifests"][0]["digest"] = "sha256:../../../../etc/passwd"
    path.write_text(json.dumps(index))


def _deep(layout: Layout) -> None:
    (layout.place / "index.json").write_text("[" * 100_000)


def _other_machine(layout: Layout) -> None:
    path = layout.place / "index.json"
    index = json.loads(path.read_text())
    index["manifests"][0]["platform"] = {"os": "linux", "architecture": "s390x"}
    path.write_text(json.dumps(index))


def _zstd(layout: Layout) -> None:
    kind = "application/vnd.oci.image.layer.v1.tar+zstd"
    layout.finish([layout.blob(b"x", kind)], CONFIG)


def _many_layers(layout: Layout) -> None:
    layout.finish([layout.layer(tar())] * 129, CONFIG)


def _climbing_layer(layout: Layout) -> None:
    layout.finish([layout.layer(tar(entry("../../x", data=b"x")))], CONFIG)


SPOILERS = (
    _corrupt, _without_blobs, _by_link, _climbing_digest, _deep, _other_machine, _zstd,
    _many_layers, _climbing_layer,
)  # fmt: skip


@pytest.mark.parametrize("spoil", SPOILERS)
async def test_a_layout_that_lies_is_refused(
    tmp_path: Path, spoil: Callable[[Layout], None]
) -> None:
    spoil(two_layers(tmp_path / "oci"))
    await refused(cache_of(tmp_path), image(tmp_path / "oci", "oci_layout"), InvalidInput)


# -- from a server -----------------------------------------------------------------------------


class Server:
    """A server that answers each connection with the next of its answers, and hangs up."""

    def __init__(self, *answers: bytes) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        request = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(request.decode().split()[1])
        writer.write(self._answers.pop(0))
        writer.close()

    async def start(self) -> tuple[asyncio.Server, str]:
        """Listen on loopback; gives the server and its address."""
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def ok(data: bytes, length: int | None = None) -> bytes:
    """Make an answer with a body."""
    size = len(data) if length is None else length
    return f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode() + data


def moved(where: str) -> bytes:
    """Make a redirect."""
    return f"HTTP/1.1 302 Found\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n".encode()


async def test_an_image_is_downloaded_with_its_progress(tmp_path: Path) -> None:
    answering = Server(moved("/there/rootfs.tar"), ok(ROOTFS))
    server, address = await answering.start()
    told: list[tuple[int, int]] = []
    async with server:
        cache = cache_of(tmp_path)
        found = await cache.fetch(image(f"{address}/rootfs.tar"), lambda *step: told.append(step))
    assert answering.asked == ["/rootfs.tar", "/there/rootfs.tar"]
    assert found.sha256 == hashlib.sha256(ROOTFS).hexdigest()
    assert told == sorted(told)
    assert told[-1] == (len(ROOTFS), len(ROOTFS))


ANSWERS: dict[str, tuple[bytes, type[FifoError], str]] = {
    "not found": (b"HTTP/1.1 404 Not Found\r\n\r\n", DriverFailed, "404"),
    "cut off": (ok(ROOTFS[:100], len(ROOTFS)), DriverFailed, ""),
    "announced too large": (ok(b"", 10**15), NoRoom, "more than"),
    "no HTTP": (b"SSH-2.0-x\r\n", DriverFailed, ""),
    "a redirect to a file": (moved("file:///etc/passwd"), InvalidInput, ""),
    "a redirect to nowhere": (moved(""), DriverFailed, "redirects"),
}


@pytest.mark.parametrize("case", ANSWERS)
async def test_a_download_that_goes_wrong_leaves_nothing(tmp_path: Path, case: str) -> None:
    answer, error, match = ANSWERS[case]
    server, address = await Server(*[answer] * 8).start()
    async with server:
        await refused(cache_of(tmp_path), image(f"{address}/x.tar"), error, match)


async def test_a_download_without_a_length_is_bounded_too(tmp_path: Path) -> None:
    endless = b"HTTP/1.1 200 OK\r\n\r\n" + bytes(100_000)
    server, address = await Server(endless).start()
    async with server:
        cache = cache_of(tmp_path, image_limits=ImageLimits(download_bytes=50_000))
        await refused(cache, image(f"{address}/x.tar"), NoRoom, "50000")


async def test_a_server_inside_is_not_connected_to(tmp_path: Path) -> None:
    answering = Server(ok(ROOTFS))
    server, address = await answering.start()
    async with server:
        cache = cache_of(tmp_path, private_sources=False)
        await refused(cache, image(f"{address}/x.tar"), Forbidden, "not public")
        port = address.rpartition(":")[2]
        await refused(cache, image(f"http://localhost:{port}/x.tar"), Forbidden, "not public")
        await refused(cache, image(f"http://[::ffff:127.0.0.1]:{port}/x.tar"), Forbidden)
        reference = image(f"docker://localhost:{port}/name", "oci_layout")
        await refused(cache, reference, Forbidden, "not public")
    assert answering.asked == []
