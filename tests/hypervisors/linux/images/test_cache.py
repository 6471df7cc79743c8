"""The host's cache of images: from files and a server, right ones and bad ones."""

from __future__ import annotations

import asyncio
import bz2
import gzip
import hashlib
import lzma
from typing import TYPE_CHECKING, Any

import pytest

from fifo.hypervisors.linux.settings import ImageLimits
from fifo.hypervisors.linux.vm.images import kernel
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
from tests.hypervisors.linux.images.archives import entry, tar, zstandard
from tests.hypervisors.linux.images.caching import ROOTFS, UID, cache_of, fetch, image, refused

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fifo.hypervisors.linux.images.cache import Cache


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [
        (".tar", bytes),
        (".tar.gz", gzip.compress),
        (".tgz", gzip.compress),
        (".tar.xz", lzma.compress),
        (".tar.zst", zstandard),
        (".tzst", zstandard),
        # What was uploaded has no name that says anything: then its first bytes do.
        ("", bytes),
        ("", gzip.compress),
        ("", lzma.compress),
        ("", bz2.compress),
        ("", zstandard),
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
    "not what its name says": ("x.tar.gz", ROOTFS, {}, InvalidInput, "one is refused: it"),
    "cut off": ("x.tar.gz", gzip.compress(ROOTFS)[:-20], {}, InvalidInput, "cut off"),
    "no zstd": ("x.tar.zst", ROOTFS, {}, InvalidInput, "not compressed as"),
    "cut off zstd": ("x.tar.zst", zstandard(ROOTFS)[:-5], {}, InvalidInput, "cut off"),
    "of a name and bytes that say nothing": ("x", b"no" * 900, {}, InvalidInput, "no whole tar"),
    "a layout that is not there": ("x", b"", {"form": "oci_layout"}, InvalidInput, "the directory"),
    "no archive": ("x.tar", b"nothing" * 200, {}, InvalidInput, "no whole tar"),
    "a climber": ("x.tar", tar(entry("../x", data=b"x")), {}, InvalidInput, "leaves the archive"),
    "of another checksum": ("x.tar", ROOTFS, {"sha256": "0" * 64}, DataLoss, "SHA-256"),
    "larger than declared": ("x.tar", ROOTFS, {"size_bytes": 100}, NoRoom, "the 100 bytes"),
    "larger inside than declared": ("x.tar", ROOTFS, {"unpacked_bytes": 9}, NoRoom, "9 bytes"),
    "of a format for VMs": ("x.tar", ROOTFS, {"form": "qcow2"}, Unsupported, "qcow2"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
async def test_a_bad_image_is_refused_and_leaves_nothing(tmp_path: Path, case: str) -> None:
    name, data, more, error, match = BAD[case]
    (tmp_path / name).write_bytes(data)
    await refused(cache_of(tmp_path), image(tmp_path / name, **more), error, match)


@pytest.mark.parametrize(("suffix", "pack"), [("gz", gzip.compress), ("zst", zstandard)])
async def test_a_bomb_is_stopped_at_its_bound(
    tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]
) -> None:
    bomb = pack(tar(entry("zeros", data=bytes(30_000_000))))
    assert len(bomb) < 40_000
    (tmp_path / f"bomb.tar.{suffix}").write_bytes(bomb)
    limited = cache_of(tmp_path, image_limits=ImageLimits(unpacked_bytes=1_000_000, entries=10))
    await refused(limited, image(tmp_path / f"bomb.tar.{suffix}"), NoRoom, "bytes unpacked")
    many = tar(*(entry(f"f{number}") for number in range(11)))
    (tmp_path / "many.tar").write_bytes(many)
    await refused(limited, image(tmp_path / "many.tar"), NoRoom, "image_entries")


@pytest.mark.parametrize("declared", [0, 101, 10_000_000])
async def test_an_image_that_declares_more_than_the_host_takes_is_held_to_the_hosts_limits(
    tmp_path: Path, declared: int
) -> None:
    source = tmp_path / "x.tar"
    source.write_bytes(ROOTFS)
    short = cache_of(tmp_path, image_limits=ImageLimits(download_bytes=100))
    await refused(short, image(source, size_bytes=declared), NoRoom, "the 100 bytes")
    shallow = cache_of(tmp_path, image_limits=ImageLimits(unpacked_bytes=9))
    wanted = image(source, unpacked_bytes=declared)
    await refused(shallow, wanted, NoRoom, "raise --max-unpacked-size")


async def test_a_file_larger_than_it_may_be_is_refused_before_it_is_read(tmp_path: Path) -> None:
    source = tmp_path / "x.tar"
    with source.open("wb") as file:
        # Reading this through would take longer than any test may.
        file.truncate(2**42)
    await refused(cache_of(tmp_path), image(source), NoRoom, "image_download_bytes")
    tree = tmp_path / "oci"
    tree.mkdir()
    source.rename(tree / "blob")
    await refused(cache_of(tmp_path), image(tree, "oci_layout"), NoRoom, "--max-size")


async def test_what_is_no_source_is_refused(tmp_path: Path) -> None:
    cache = cache_of(tmp_path)
    await refused(cache, image("file:///etc/passwd"), InvalidInput)
    await refused(cache, image("relative.tar"), InvalidInput)
    await refused(cache, image(tmp_path / "absent.tar"), NotFound)
    await refused(cache, image(tmp_path), InvalidInput, "is a directory")
    await refused(cache, image("docker://registry.example.org/x"), InvalidInput)
    await refused(cache, image("https://example.org/x", "oci_layout"), InvalidInput)


READ: dict[str, Callable[[Cache], object]] = {
    "image.json": lambda cache: cache.find(UID),
    "config.json": lambda cache: cache.config(UID),
    "boot.json": lambda cache: kernel(cache.place(UID)),
}


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("data", [b"{", b'"\xff"', b"[" * 100_000])
def test_what_is_damaged_of_an_image_is_told_by_the_image_and_logged_by_its_path(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, data: bytes
) -> None:
    cache = cache_of(tmp_path)
    cache.place(UID).mkdir()
    (cache.place(UID) / name).write_bytes(data)
    check_damage(cache, name, caplog)


@pytest.mark.parametrize("name", ["config.json", "boot.json"])
def test_what_is_missing_of_an_image_is_told_by_the_image_and_logged_by_its_path(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    check_damage(cache_of(tmp_path), name, caplog)


def check_damage(cache: Cache, name: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(DataLoss, match=f"^{UID}: {name}: .*delete the image") as told:
        READ[name](cache)
    assert str(cache.place(UID)) not in str(told.value)
    assert str(cache.place(UID) / name) in caplog.text


async def test_a_fetch_that_is_given_up_is_swept_away(tmp_path: Path) -> None:
    cache = cache_of(tmp_path)
    (tmp_path / "images" / f".new-{UID}" / "rootfs").mkdir(parents=True)
    await cache.sweep()
    assert list((tmp_path / "images").iterdir()) == []


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


async def test_a_redirect_reaches_on_loopback_only_the_host_that_was_named(tmp_path: Path) -> None:
    there = Server(ok(ROOTFS), ok(ROOTFS))
    server, elsewhere = await there.start()
    port = elsewhere.rpartition(":")[2]
    leading = Server(moved(f"{elsewhere}/x.tar"), moved(f"http://localhost:{port}/x.tar"))
    named, address = await leading.start()
    async with server, named:
        cache = cache_of(tmp_path)
        assert (await fetch(cache, image(f"{address}/x.tar"))).state == "ready"
        await cache.delete(UID)
        wanted = image(f"{address}/x.tar")
        await refused(cache, wanted, Forbidden, r"localhost: leads to .*, which is this host")
    assert len(there.asked) == 1


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
