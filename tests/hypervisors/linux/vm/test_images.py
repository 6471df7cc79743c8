"""Disks of strangers: what stands alone and is whole is taken, and written anew."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from fifo.hypervisors.linux import mounting
from fifo.hypervisors.linux.images.cache import Cache
from fifo.hypervisors.linux.layout import PASSABLE
from fifo.hypervisors.linux.settings import ImageLimits, Settings
from fifo.hypervisors.linux.storage.overlay import OverlayStorage
from fifo.hypervisors.linux.vm import images
from fifo.hypervisors.linux.vm.images import Importer
from fifo.model import records
from fifo.model.errors import DataLoss, FifoError, InvalidInput, NoRoom, NotFound
from fifo.model.image import Image
from fifo.model.image_manifest import ImageFile, ImageManifest
from tests.hypervisors.linux import runner
from tests.hypervisors.linux.guests.built import directory as built_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UID = "00000000-0000-4000-9000-000000000001"
MIB = 1024 * 1024

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("qemu-img") is None, reason="needs root and qemu-img"
)


@pytest.fixture
def place() -> Iterator[Path]:
    """Give a directory that other users can pass, as a node's is."""
    made = built_directory() / "import"
    built_directory().chmod(PASSABLE)
    made.mkdir()
    made.chmod(PASSABLE)
    (made / "images").mkdir()
    (made / "images").chmod(PASSABLE)
    yield made
    shutil.rmtree(made)


def qemu_img(*arguments: object) -> None:
    subprocess.run(
        ["/usr/bin/env", "qemu-img", *map(str, arguments)], check=True, capture_output=True
    )


def fetch(place: Path, source: Path | str, form: str = "qcow2", **fields: Any) -> Image:
    """Bring a disk into a cache; the cache must be as before if that fails."""
    settings = Settings(place, place, "ta", {}, image_limits=ImageLimits(unpacked_bytes=8 * MIB))
    cache = Cache(
        runner.run, settings, place / "images", OverlayStorage(runner.run, place),
        Importer(runner.run, settings).importers(),
    )  # fmt: skip
    image = Image(
        uid=UID, id="i", create_time=0.0, source=str(source), brands=("kvm",),
        **{"format": form, "boot": "disk", **fields},
    )  # fmt: skip
    try:
        return asyncio.run(cache.fetch(image, lambda *_: None))
    except FifoError as error:
        assert list((place / "images").iterdir()) == []
        told = f"{error} {getattr(error, 'violations', '')}"
        assert str(place) not in told
        raise


def disk(place: Path) -> Path:
    return place / "images" / UID / images.DISK


def content(path: Path) -> bytes:
    raw = path.with_suffix(".plain")
    qemu_img("convert", "-f", "qcow2", "-O", "raw", path, raw)
    try:
        return raw.read_bytes()
    finally:
        raw.unlink()


def filled(path: Path, *, form: str = "qcow2") -> bytes:
    """Write a disk of 2 MiB with something on it, and give what is on it."""
    data = os.urandom(MIB) + bytes(MIB)
    raw = path.with_suffix(".in")
    raw.write_bytes(data)
    qemu_img("convert", "-f", "raw", "-O", form, raw, path)
    raw.unlink()
    return data


@pytest.mark.parametrize("form", ["qcow2", "raw"])
def test_a_disk_is_written_anew_with_the_same_bytes(place: Path, form: str) -> None:
    source = place / f"disk.{form}"
    data = filled(source, form=form)
    made = fetch(place, source, form)
    assert (made.unpacked_bytes, made.size_bytes) == (2 * MIB, source.stat().st_size)
    assert content(disk(place)) == data
    assert (disk(place).stat().st_uid, disk(place).stat().st_mode & 0o777) == (0, 0o644)
    assert sorted(path.name for path in disk(place).parent.iterdir()) == [images.DISK, "image.json"]


def test_a_raw_disk_that_looks_like_a_qcow2_is_taken_as_bytes(place: Path) -> None:
    secret, source = place / "secret", place / "disk.raw"
    secret.write_bytes(b"of the host".ljust(MIB))
    qemu_img("create", "-f", "qcow2", "-b", secret, "-F", "raw", source, MIB)
    looks = source.read_bytes()
    fetch(place, source, "raw")
    found = content(disk(place))
    assert found[: len(looks)] == looks
    assert b"of the host" not in found


def with_backing(place: Path, source: Path) -> None:
    filled(place / "below.qcow2")
    qemu_img("create", "-f", "qcow2", "-b", place / "below.qcow2", "-F", "qcow2", source)


def with_backing_that_is_not_there(place: Path, source: Path) -> None:
    absent = place / "absent"
    qemu_img("create", "-u", "-f", "qcow2", "-b", absent, "-F", "raw", source, MIB)


def with_data_file(place: Path, source: Path) -> None:
    qemu_img("create", "-f", "qcow2", "-o", f"data_file={place}/data.raw", source, MIB)


def encrypted(_: Path, source: Path) -> None:
    options = "encrypt.format=aes,encrypt.key-secret=s"
    qemu_img("create", "--object", "secret,id=s,data=x", "-f", "qcow2", "-o", options, source, MIB)


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (with_backing, "a backing file"),
        (with_backing_that_is_not_there, "a backing file"),
        (with_data_file, "an external data file"),
        (encrypted, "encryption"),
    ],
)
def test_a_qcow2_that_needs_something_else_is_refused(place: Path, make: Any, what: str) -> None:
    source = place / "disk.qcow2"
    make(place, source)
    with pytest.raises(InvalidInput, match=f"stands alone; this one has {what}"):
        fetch(place, source)


@pytest.mark.parametrize("kept_bytes", [MIB, 300_000, 70_000])
def test_a_qcow2_that_was_cut_off_is_found_out(place: Path, kept_bytes: int) -> None:
    source = place / "disk.qcow2"
    filled(source)
    os.truncate(source, kept_bytes)
    with pytest.raises((DataLoss, InvalidInput)) as told:
        fetch(place, source)
    assert told.value.remedy


def test_what_is_no_qcow2_is_refused(place: Path) -> None:
    source = place / "disk.qcow2"
    source.write_bytes(os.urandom(4096))
    with pytest.raises(InvalidInput, match="a qcow2; qemu-img says"):
        fetch(place, source)


def test_a_disk_that_is_too_large_is_refused_before_it_is_written(place: Path) -> None:
    source = place / "disk.qcow2"
    qemu_img("create", "-f", "qcow2", source, 9 * MIB)
    with pytest.raises(NoRoom, match="more than 8388608 bytes unpacked: its disk has 9437184"):
        fetch(place, source)
    with pytest.raises(NoRoom, match="raise --max-unpacked-size"):
        fetch(place, source, unpacked_bytes=10 * MIB)
    with pytest.raises(NoRoom, match="the 100 bytes"):
        fetch(place, source, size_bytes=100)


def test_a_file_that_is_not_there_is_named(place: Path) -> None:
    with pytest.raises(NotFound, match="absent"):
        fetch(place, place / "absent")


# -- images with a kernel -------------------------------------------------------------------------


def direct(place: Path, *, form: str = "qcow2", **changes: Any) -> Path:
    """Write an image with a kernel; `changes` are to its manifest."""
    source = place / "direct"
    source.mkdir()
    filled(source / "disk.img", form=form)
    (source / "vmlinux").write_bytes(b"kernel")
    (source / "initrd").write_bytes(b"initrd")
    roles = (("kernel", "elf", "vmlinux"), ("initrd", "cpio", "initrd"), ("disk", form, "disk.img"))
    files = tuple(
        msgspec.convert(
            {"role": role, "format": form_, "path": path, **_described(source / path)}, ImageFile
        )
        for role, form_, path in roles
    )
    manifest = ImageManifest(
        name="n", version="1", os="linux", architecture="amd64", brand="kvm", boot="direct",
        files=files, kernel_args="quiet", disk_bytes=2 * MIB,
    )  # fmt: skip
    manifest = msgspec.structs.replace(manifest, **changes)
    (source / "manifest.json").write_bytes(records.encode(manifest))
    return source


def _described(path: Path) -> dict[str, Any]:
    size_bytes, sha256 = images.digest(path)
    return {"size_bytes": size_bytes, "sha256": sha256}


def test_an_image_with_a_kernel_is_taken_as_its_manifest_says(place: Path) -> None:
    made = fetch(place, direct(place), boot="direct")
    assert (made.boot, made.unpacked_bytes) == ("direct", 2 * MIB)
    home = place / "images" / UID
    kernel = images.kernel(home)
    assert (kernel.kernel.read_bytes(), kernel.initrd.read_bytes()) == (b"kernel", b"initrd")
    assert kernel.arguments == "quiet"
    assert {path.stat().st_uid for path in home.iterdir()} == {0}
    assert not (home / images.WORK).exists()


def test_a_file_that_is_not_what_its_manifest_says_is_refused(place: Path) -> None:
    source = direct(place)
    (source / "vmlinux").write_bytes(b"kermel")
    with pytest.raises(DataLoss, match="not those that the manifest describes"):
        fetch(place, source, boot="direct")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"architecture": "arm64"}, "an image for amd64; this one is for arm64"),
        ({"disk_bytes": 0}, "disk_bytes"),
        ({"brand": "lx"}, "boot"),
    ],
)
def test_a_manifest_that_no_vm_could_be_started_from_is_refused(
    place: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidInput, match=said):
        fetch(place, direct(place, **changes), boot="direct")


def test_the_disk_beside_a_kernel_has_the_records_format(place: Path) -> None:
    with pytest.raises(InvalidInput, match="a disk of the format qcow2; the manifest says raw"):
        fetch(place, direct(place, form="raw"), boot="direct")


def test_a_kernel_beside_the_disk_needs_a_directory(place: Path) -> None:
    source = place / "disk.qcow2"
    filled(source)
    with pytest.raises(InvalidInput, match="of a manifest for boot direct"):
        fetch(place, source, boot="direct")
    with pytest.raises(InvalidInput, match="direct needs a directory"):
        fetch(place, "https://images.example.org/disk.qcow2", boot="direct")


def test_a_full_disk_is_said_and_nothing_is_left(place: Path) -> None:
    source = place / "disk.raw"
    filled(source, form="raw")
    small = place / "images"
    mounting.mount("tmpfs", small, "tmpfs", mounting.NODEV, "size=1536k,mode=711")
    try:
        with pytest.raises(NoRoom, match="make room"):
            fetch(place, source, "raw")
    finally:
        mounting.unmount(small)
