"""Roots on btrfs: quotas that hold, and a roll-back that is whole wherever it was cut off."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from fifo.hypervisors.linux.commands import succeed
from fifo.hypervisors.linux.storage.btrfs import BtrfsStorage, is_btrfs
from fifo.model.errors import FifoError, NotFound
from tests.hypervisors.linux import btrfs_disk
from tests.hypervisors.linux.faulty_runner import FaultyRun
from tests.hypervisors.linux.runner import run
from tests.hypervisors.linux.zone_host import (
    ZoneHost,
    small_zone,
    why_not,
    zone_image_record,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def disk() -> Iterator[Path]:
    """Give an empty btrfs."""
    if reason := why_not() or btrfs_disk.why_not():
        pytest.skip(reason)
    with btrfs_disk.mounted() as mounted:
        yield mounted


@pytest.fixture
def zones(disk: Path) -> Iterator[ZoneHost]:
    """Give a share of this host whose instances are on btrfs."""
    small_zone()
    made = ZoneHost.make(None, disk)
    yield made
    made.clear()


class Root:
    """A zone's directory with a root, as the driver makes it."""

    def __init__(self, storage: BtrfsStorage, place: Path) -> None:
        self.storage = storage
        self.place = place

    @property
    def text(self) -> str:
        """What the root has in its one file."""
        return (self.place / "root" / "file").read_text()

    @text.setter
    def text(self, value: str) -> None:
        (self.place / "root" / "file").write_text(value)


async def root_on(disk: Path, run_: Any = run) -> Root:
    """Make an image and a root of it."""
    storage = BtrfsStorage(run_, disk)
    await storage.prepare()
    image = disk / "image"
    image.mkdir()
    rootfs = await storage.make_image(image)
    (rootfs / "file").write_text("as in the image")
    place = disk / "zone"
    place.mkdir()
    await storage.create(place, rootfs, 1)
    return Root(storage, place)


async def test_a_root_begins_as_its_image_and_changes_alone(disk: Path) -> None:
    assert is_btrfs(disk)
    root = await root_on(disk)
    assert root.text == "as in the image"
    root.text = "changed"
    assert (disk / "image" / "rootfs" / "file").read_text() == "as in the image"


@pytest.mark.parametrize("how", ["refused", "lost"])
async def test_a_roll_back_that_is_cut_off_anywhere_is_finished_by_a_second(
    disk: Path, how: Any
) -> None:
    faulty = FaultyRun(lambda: run)
    root = await root_on(disk, faulty)
    await root.storage.snapshot(root.place, "a", 1.0)
    await root.storage.snapshot(root.place, "b", 2.0)
    failed = 0
    for number in range(8):
        root.text = f"changed {number}"
        faulty.arm(number, how)
        try:
            await root.storage.roll_back(root.place, "a")
        except FifoError:
            failed += 1
        faulty.disarm()
        assert root.text in {f"changed {number}", "as in the image"}
        await root.storage.roll_back(root.place, "a")
        assert root.text == "as in the image"
        assert [each.name for each in root.storage.snapshots(root.place)] == ["a"]
        names = sorted(path.name for path in root.place.iterdir())
        assert names == ["root", "snapshots"]
    assert failed >= 4


async def test_a_root_that_was_being_exchanged_is_found_again(disk: Path) -> None:
    root = await root_on(disk)
    await root.storage.snapshot(root.place, "a", 1.0)
    (root.place / "root").rename(root.place / "root.new")
    await root.storage.recover(root.place)
    assert root.text == "as in the image"


async def test_half_of_a_snapshot_or_a_roll_back_is_removed_when_a_node_starts(disk: Path) -> None:
    root = await root_on(disk)
    await root.storage.snapshot(root.place, "a", 1.0)
    await root.storage.snapshot(root.place, "b", 2.0)
    (root.place / "snapshots" / "s-b" / "snapshot.json").unlink()
    for name in ("root.new", "root.old"):
        await succeed(
            run, ["btrfs", "subvolume", "snapshot", f"{root.place}/root", f"{root.place}/{name}"]
        )
    await root.storage.recover(root.place)
    names = [path.name for place in (".", "snapshots") for path in (root.place / place).iterdir()]
    assert sorted(names) == ["root", "s-a", "snapshots"]


@pytest.mark.parametrize("name", [".", "..", "a%:b", "-rf"])
async def test_any_name_that_vmadm_takes_is_a_plain_name(disk: Path, name: str) -> None:
    root = await root_on(disk)
    await root.storage.snapshot(root.place, name, 1.0)
    assert [each.name for each in root.storage.snapshots(root.place)] == [name]
    root.text = "changed"
    await root.storage.roll_back(root.place, name)
    assert root.text == "as in the image"
    await root.storage.delete_snapshot(root.place, name)
    with pytest.raises(NotFound):
        await root.storage.roll_back(root.place, name)
    await root.storage.destroy(root.place)
    assert not root.place.exists()


async def test_a_quota_bounds_what_a_root_may_hold(disk: Path) -> None:
    root = await root_on(disk)
    await succeed(run, ["btrfs", "qgroup", "limit", "5M", str(root.place / "root")])
    ((used, most),) = (await root.storage.used_bytes((root.place,))).values()
    assert (most, used < most) == (5 * 1024**2, True)
    with pytest.raises(OSError, match="quota"):
        await asyncio.to_thread(_fill, root.place / "root" / "big", 8 * 1024**2)


def _fill(path: Path, size_bytes: int) -> None:
    with path.open("wb") as file:
        file.write(os.urandom(size_bytes))
        os.fsync(file.fileno())


async def test_a_zone_has_its_quota_and_its_snapshots(zones: ZoneHost) -> None:
    await zones.open()
    await zones.driver.fetch_image(zone_image_record(small_zone()[1]), lambda *_: None)
    wanted = await zones.running(quota=1)
    (stats,) = await zones.driver.stats()
    assert 1024**3 < stats.filesystem_size_bytes < 1.1 * 1024**3
    assert 0 < stats.filesystem_used_bytes < 64 * 1024**2
    spec = msgspec.structs.replace(wanted.spec, quota=2)
    assert (await zones.driver.update(wanted._replace(spec=spec))).live == ("quota",)
    (stats,) = await zones.driver.stats()
    assert 2 * 1024**3 < stats.filesystem_size_bytes < 2.1 * 1024**3
    await zones.driver.snapshot(wanted.spec.uid, "before")
    assert (await zones.execute(wanted, "sh", "-c", "echo x >/new"))[0] == 0
    await zones.driver.stop(wanted.spec.uid, 5.0)
    await zones.driver.roll_back(wanted.spec.uid, "before")
    await zones.driver.start(wanted, 2)
    assert (await zones.execute(wanted, "test", "-e", "/new"))[0] == 1
