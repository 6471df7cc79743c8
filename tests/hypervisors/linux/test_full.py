"""A full disk: what is asked for is refused with what to do, nothing is left, and it goes on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from fifo.hypervisors.driver import Ended
from fifo.hypervisors.linux import layout, mounting
from fifo.hypervisors.linux.commands import CommandOutput, failure
from fifo.model.errors import NoRoom
from tests.hypervisors.linux import full_disk
from tests.hypervisors.linux.keeper.keeper_host import ended
from tests.hypervisors.linux.test_adoption import Ear
from tests.hypervisors.linux.vm.vm_host import VmHost, guest_image, image_record
from tests.hypervisors.linux.vm.vm_host import why_not as why_no_vms
from tests.hypervisors.linux.zone_host import ZoneHost, small_zone, why_not, zone_image_record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fifo.hypervisors.driver import Wanted
    from fifo.model.image import Image

SIZES_BYTES = {"zone": 40 * 1024**2, "vm": 128 * 1024**2}


@pytest.fixture(params=["zone", "vm"])
def zones(request: pytest.FixtureRequest) -> Iterator[ZoneHost]:
    """Give a share of this host on a small disk of its own, without an image yet."""
    kind: str = request.param
    if reason := why_not() if kind == "zone" else why_no_vms():
        pytest.skip(reason)
    small_zone()
    elsewhere = Path(tempfile.mkdtemp(prefix="fzr"))
    elsewhere.chmod(layout.PASSABLE)
    with full_disk.mounted(SIZES_BYTES[kind]) as disk:
        made = (VmHost if kind == "vm" else ZoneHost).make(None, disk.place)
        full_disk.run_elsewhere(made, elsewhere)
        yield made
        disk.clear()
        made.clear()
    shutil.rmtree(elsewhere)


def image_of(zones: ZoneHost) -> Image:
    """Describe the image that instances are made of."""
    if isinstance(zones, VmHost):
        return image_record(guest_image().directory)
    return zone_image_record(small_zone()[1])


async def with_image(zones: ZoneHost) -> None:
    """Open the driver and bring the image in."""
    await zones.open()
    await zones.driver.fetch_image(image_of(zones), lambda *_: None)


@contextlib.contextmanager
def full(zones: ZoneHost, *, but_pages: int = 0) -> Iterator[None]:
    """Leave no room on the disk, or next to none."""
    disk = full_disk.FullDisk(zones.directory)
    disk.leave(but_pages)
    try:
        yield
    finally:
        disk.clear()


@pytest.mark.parametrize("but_pages", [0, 73])
async def test_an_image_is_refused_until_there_is_room(zones: ZoneHost, but_pages: int) -> None:
    await zones.open()
    images = zones.settings.state_dir / "images"
    with full(zones, but_pages=but_pages):
        with pytest.raises(NoRoom, match="make room on the host's disk"):
            await zones.driver.fetch_image(image_of(zones), lambda *_: None)
        assert list(images.iterdir()) == []
    assert (await zones.driver.fetch_image(image_of(zones), lambda *_: None)).state == "ready"


async def _life(zones: ZoneHost, wanted: Wanted) -> None:
    await zones.driver.create(wanted)
    await zones.driver.start(wanted, 1)


@pytest.mark.parametrize("but_pages", [0, 2])
async def test_an_instance_is_refused_until_there_is_room(zones: ZoneHost, but_pages: int) -> None:
    await with_image(zones)
    neighbour = await zones.running()
    before = await zones.leftovers()
    wanted = zones.wanted()
    both = tuple(sorted((*before.directories, wanted.spec.uid)))
    with full(zones, but_pages=but_pages):
        # With a little room there is enough for its directory, and none to start it.
        with pytest.raises(NoRoom, match="make room on the host's disk"):
            await _life(zones, wanted)
        # What was acknowledged is there: a directory may be; nothing of a start is.
        left = await zones.leftovers()
        assert left._replace(directories=before.directories) == before
        assert left.directories in {before.directories, both}
    seen = await zones.driver.inspect(wanted.spec.uid)
    assert seen is None or seen.state == "stopped"
    await zones.driver.create(wanted)
    assert (await zones.driver.start(wanted, 2)).state == "running"
    found = await zones.driver.inspect(neighbour.spec.uid)
    assert found is not None
    assert found.state == "running"
    left = await zones.remove_all()
    assert left.none, left


async def test_a_change_is_refused_and_the_instance_is_as_it_was(zones: ZoneHost) -> None:
    await with_image(zones)
    wanted = zones.wanted(alias="before")
    await zones.driver.create(wanted)
    after = wanted._replace(spec=msgspec.structs.replace(wanted.spec, alias="after"))
    with full(zones):
        with pytest.raises(
            NoRoom, match=r"no room on the disk of .*; make room on the host's disk"
        ):
            await zones.driver.update(after)
        kept = zones.driver.host.layout.find(wanted.spec.uid)
        assert kept.spec.alias == "before"
        another = msgspec.structs.replace(image_of(zones), uid=f"{image_of(zones).uid[:-1]}9")
        with pytest.raises(NoRoom, match="make room on the host's disk"):
            await zones.driver.capture_image(wanted.spec.uid, another)
        assert await zones.driver.images() == (image_of(zones).uid,)
    assert (await zones.driver.update(after)).live == ("alias",)


def _written(zones: ZoneHost, wanted: Wanted) -> bool:
    return zones.driver.host.layout.find(wanted.spec.uid).exit is not None


async def _pid(zones: ZoneHost, wanted: Wanted) -> int:
    seen = await zones.driver.inspect(wanted.spec.uid)
    assert seen is not None
    assert seen.state == "running"
    return seen.pid


async def test_an_end_is_told_without_room_and_the_host_stays_in_sight(zones: ZoneHost) -> None:
    await with_image(zones)
    ending, stopping, going = [await zones.running() for _ in range(3)]
    uid = ending.spec.uid
    ear = Ear(zones)
    await ear.until(bool)
    pid = await _pid(zones, ending)
    with full(zones):
        os.kill(pid, signal.SIGKILL)
        await ear.until(lambda _: uid in ear.ends())
        assert ear.ends()[uid].exit.signal == signal.SIGKILL
        assert not _written(zones, ending)
        seen = await zones.driver.inspect(uid)
        assert seen is not None
        assert (seen.state, seen.exit) == ("stopped", ear.ends()[uid].exit)
        states = {each.uid: each.state for each in await zones.driver.inventory()}
        assert states == {
            uid: "stopped", stopping.spec.uid: "running", going.spec.uid: "running"
        }  # fmt: skip
        # Nothing of those beside it waits for its record.
        end = await zones.driver.stop(stopping.spec.uid, 0.0)
        assert end is not None
        assert end.forced
        await zones.driver.delete(going.spec.uid)
        assert await zones.driver.stop(uid, 0.0) is None
    while not (_written(zones, ending) and _written(zones, stopping)):
        await zones.keeper.inventory()
    # What was told is not told again, and all of it can be started as ever.
    assert [event.uid for event in ear.heard if isinstance(event, Ended)].count(uid) == 1
    for each in (ending, stopping):
        assert (await zones.driver.start(each, 2)).state == "running"
    left = await zones.remove_all()
    assert left.none, left


async def test_what_ended_is_deleted_before_its_end_could_be_written_down(zones: ZoneHost) -> None:
    await with_image(zones)
    ending, other = await zones.running(), await zones.running()
    ear = Ear(zones)
    await ear.until(bool)
    pid = await _pid(zones, ending)
    with full(zones):
        os.kill(pid, signal.SIGKILL)
        await ear.until(lambda _: ending.spec.uid in ear.ends())
        await zones.driver.delete(ending.spec.uid)
        assert await zones.driver.inspect(ending.spec.uid) is None
        assert not zones.driver.host.watch.ends.owing
        await zones.driver.delete(other.spec.uid)
        left = await zones.leftovers()
        assert left.none, left


async def test_commands_in_a_zone_end_while_the_end_of_another_cannot_be_written_down(
    zones: ZoneHost,
) -> None:
    if isinstance(zones, VmHost):
        pytest.skip("there is no agent in a VM to run a command")
    await with_image(zones)
    ending, beside = await zones.running(), await zones.running()
    ear = Ear(zones)
    await ear.until(bool)
    pid = await _pid(zones, ending)
    with full(zones):
        os.kill(pid, signal.SIGKILL)
        await ear.until(lambda _: ending.spec.uid in ear.ends())
        assert await zones.execute(beside, "sh", "-c", "echo there; exit 7") == (7, "there\n")


async def test_a_node_starts_on_a_full_disk_and_knows_what_ended(zones: ZoneHost) -> None:
    await with_image(zones)
    ending, other = await zones.running(), await zones.running()
    uid = ending.spec.uid
    pid = await _pid(zones, ending)
    await zones.close()
    with full(zones):
        os.kill(pid, signal.SIGKILL)
        await ended(pid)
        # The one before the last is killed with the end told and not written.
        for _ in range(2):
            await zones.close()
            await zones.open()
            ear = Ear(zones)
            await ear.until(lambda _: uid in ear.ends())  # noqa: B023 -- waited for in its turn
            assert ear.ends()[uid].exit.signal == signal.SIGKILL
        found = {each.uid: each.state for each in await zones.driver.inventory()}
        assert found == {uid: "stopped", other.spec.uid: "running"}
        await zones.driver.delete(other.spec.uid)
    while not _written(zones, ending):
        await zones.keeper.inventory()


async def test_instances_are_stopped_and_deleted_to_make_room(zones: ZoneHost) -> None:
    await with_image(zones)
    stopping, going = await zones.running(), await zones.running()
    with full(zones):
        end = await zones.driver.stop(stopping.spec.uid, 0.0)
        assert end is not None
        assert end.forced
        await zones.driver.delete(going.spec.uid)
        await zones.driver.delete(stopping.spec.uid)
        left = await zones.leftovers()
        assert left.none, left


async def test_a_snapshot_of_a_vm_says_so(zones: ZoneHost) -> None:
    if not isinstance(zones, VmHost):
        pytest.skip("a zone on a plain directory has no snapshots")
    await with_image(zones)
    wanted = zones.wanted()
    uid = wanted.spec.uid
    await zones.driver.create(wanted)
    taken = await zones.driver.snapshot(uid, "a")
    with full(zones):
        for refused in (zones.driver.snapshot(uid, "b"), zones.driver.delete_snapshot(uid, "a")):
            with pytest.raises(NoRoom, match="make room on the host's disk"):
                await refused
    assert await zones.driver.snapshots(uid) == (taken,)
    await asyncio.gather(zones.driver.snapshot(uid, "b"), zones.driver.delete_snapshot(uid, "a"))
    assert [each.name for each in await zones.driver.snapshots(uid)] == ["b"]


@pytest.mark.parametrize(
    "words", ["No space left on device", "no space left on device", "EDQUOT: disk quota exceeded"]
)
def test_a_program_that_found_no_room_is_understood_however_it_writes_that(words: str) -> None:
    assert isinstance(failure(("runc",), CommandOutput(1, b"", words.encode())), NoRoom)


def test_a_record_that_found_no_room_leaves_no_draft(tmp_path: Path) -> None:
    mounting.mount("tmpfs", tmp_path, "tmpfs", mounting.NODEV, "size=8k")
    try:
        layout.replace(tmp_path / "record", b"short")
        with pytest.raises(OSError, match="No space left"):
            layout.replace(tmp_path / "record", bytes(9_000))
        assert [path.name for path in tmp_path.iterdir()] == ["record"]
        assert (tmp_path / "record").read_bytes() == b"short"
    finally:
        mounting.unmount(tmp_path)
