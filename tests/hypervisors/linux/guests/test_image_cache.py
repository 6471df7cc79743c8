"""An entry of the cache is whole or not there, whoever builds, dies or damages it."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fifo.hypervisors.linux.guests import image_cache
from fifo.model.errors import DataLoss, InvalidInput
from fifo.model.image_manifest import ImageManifest

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.hypervisors.linux.guests.image_cache import GuestImage, Workplace

CONTENT = b"the root file system"


class Builder:
    """Builds the same small image each time, and counts how often it was asked to."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self, place: Workplace) -> ImageManifest:
        self.asked += 1
        (place.scratch / "left").write_bytes(b"not wanted")
        (place.image / "rootfs.tar").write_bytes(CONTENT)
        # All that build at once are in here at once.
        await asyncio.sleep(0)
        return ImageManifest(
            name="small",
            version="1",
            os="linux",
            architecture="amd64",
            brand="lx",
            boot="init",
            files=(image_cache.described(place.image, "rootfs", "tar", "rootfs.tar"),),
            command=("/sbin/init",),
        )


def obtain(cache: Path, builder: Builder, digest: str = "0") -> GuestImage:
    return asyncio.run(image_cache.obtain(cache, "zone", digest, builder))


def names(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir())


def test_an_image_is_built_once_and_then_found(tmp_path: Path) -> None:
    builder = Builder()
    first, second = obtain(tmp_path, builder), obtain(tmp_path, builder)
    assert first == second
    assert builder.asked == 1
    assert first.path("rootfs").read_bytes() == CONTENT
    assert names(tmp_path) == ["zone-0"]
    assert names(first.directory) == ["manifest.json", "rootfs.tar"]


def test_a_file_that_the_image_does_not_have_has_no_path(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        obtain(tmp_path, Builder()).path("disk")


def overwrite(entry: Path) -> None:
    (entry / "rootfs.tar").write_bytes(CONTENT.upper())


def truncate(entry: Path) -> None:
    os.truncate(entry / "rootfs.tar", 1)


def lose_a_file(entry: Path) -> None:
    (entry / "rootfs.tar").unlink()


def lose_the_manifest(entry: Path) -> None:
    (entry / "manifest.json").unlink()


def cut_the_manifest(entry: Path) -> None:
    os.truncate(entry / "manifest.json", 20)


def lengthen_the_manifest(entry: Path) -> None:
    os.truncate(entry / "manifest.json", image_cache.MANIFEST_BYTES_MAX + 1)


def name_a_file_outside(entry: Path) -> None:
    manifest = entry / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b"rootfs.tar", b"../../secret"))


DAMAGE = (
    overwrite,
    truncate,
    lose_a_file,
    lose_the_manifest,
    cut_the_manifest,
    lengthen_the_manifest,
    name_a_file_outside,
)


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_a_damaged_entry_is_told_of_and_built_anew(
    damage: Callable[[Path], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    builder = Builder()
    damage(obtain(tmp_path, builder).directory)
    with caplog.at_level(logging.WARNING):
        again = obtain(tmp_path, builder)
    assert builder.asked == 2
    assert "building it anew" in caplog.text
    assert again.path("rootfs").read_bytes() == CONTENT
    assert names(tmp_path) == ["zone-0"]


def test_a_damaged_image_is_refused_by_its_file(tmp_path: Path) -> None:
    image = obtain(tmp_path, Builder())
    overwrite(image.directory)
    with pytest.raises(DataLoss, match=r"rootfs\.tar"):
        image_cache.verify(image.directory)


def test_a_manifest_that_names_a_file_outside_is_refused_unread(tmp_path: Path) -> None:
    image = obtain(tmp_path, Builder())
    name_a_file_outside(image.directory)
    with pytest.raises(InvalidInput, match="path"):
        image_cache.verify(image.directory)


def test_builders_at_once_all_get_the_one_entry(tmp_path: Path) -> None:
    builder = Builder()

    async def all_at_once() -> list[GuestImage]:
        builds = (image_cache.obtain(tmp_path, "zone", "0", builder) for _ in range(8))
        return await asyncio.gather(*builds)

    images = asyncio.run(all_at_once())
    assert builder.asked > 1
    assert all(image == images[0] for image in images)
    assert names(tmp_path) == ["zone-0"]
    assert image_cache.verify(images[0].directory) == images[0].manifest


def test_builders_at_once_replace_a_damaged_entry(tmp_path: Path) -> None:
    builder = Builder()
    overwrite(obtain(tmp_path, builder).directory)
    test_builders_at_once_all_get_the_one_entry(tmp_path)


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    async def fail(place: Workplace) -> ImageManifest:
        (place.image / "half").touch()
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        asyncio.run(image_cache.obtain(tmp_path, "zone", "0", fail))
    assert names(tmp_path) == []


def test_a_cancelled_build_leaves_nothing(tmp_path: Path) -> None:
    async def cancel() -> None:
        begun = asyncio.Event()

        async def hang(place: Workplace) -> ImageManifest:
            begun.set()
            await asyncio.Future()
            raise AssertionError

        build = asyncio.create_task(image_cache.obtain(tmp_path, "zone", "0", hang))
        await begun.wait()
        build.cancel()
        await asyncio.gather(build, return_exceptions=True)

    asyncio.run(cancel())
    assert names(tmp_path) == []


# Builds until it is killed: says so when it has begun, and then waits for what never comes.
DOOMED = """
import asyncio, pathlib, sys
from fifo.hypervisors.linux.guests import image_cache

async def build(place):
    (place.image / "half").touch()
    print("building", flush=True)
    await asyncio.Future()

asyncio.run(image_cache.obtain(pathlib.Path(sys.argv[1]), "zone", "0", build))
"""


def test_what_a_killed_builder_left_is_cleared_by_the_next_and_no_sooner(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", DOOMED, str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as doomed:
        assert doomed.stdout
        assert doomed.stdout.readline() == "building\n"
        obtain(tmp_path, Builder(), "1")
        assert len([name for name in names(tmp_path) if name.startswith(".building-")]) == 2
        doomed.kill()
    builder = Builder()
    obtain(tmp_path, builder)
    assert builder.asked == 1
    assert names(tmp_path) == ["zone-0", "zone-1"]


def test_the_oldest_entries_of_a_kind_expire(tmp_path: Path) -> None:
    (tmp_path / "vm-0").mkdir()
    for number in range(image_cache.ENTRIES_KEPT + 2):
        image = obtain(tmp_path, Builder(), str(number))
        os.utime(image.directory, (number, number))
    assert names(tmp_path) == ["vm-0", "zone-2", "zone-3", "zone-4", "zone-5"]


def test_a_key_tells_its_inputs_apart() -> None:
    inputs = (("a", "b"), ("ab",), ("b", "a"), ("a", "b", ""))
    assert len({image_cache.key(*each) for each in inputs}) == len(inputs)


def test_a_relative_cache_gives_absolute_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert obtain(Path("cache"), Builder()).directory == tmp_path / "cache" / "zone-0"
