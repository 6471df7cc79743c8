"""A full ext4 disk, on which not even a new name has room: what makes room is done all the same."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fifo.hypervisors.linux import layout
from tests.hypervisors.linux import ext4_disk, full_disk
from tests.hypervisors.linux.test_adoption import Ear
from tests.hypervisors.linux.zone_host import ZoneHost, small_zone, why_not, zone_image_record

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def zones() -> Iterator[ZoneHost]:
    """Give a share of this host on a small ext4 disk of its own, without an image yet."""
    if reason := why_not() or ext4_disk.why_not():
        pytest.skip(reason)
    small_zone()
    elsewhere = Path(tempfile.mkdtemp(prefix="fzr"))
    elsewhere.chmod(layout.PASSABLE)
    with ext4_disk.mounted() as place:
        made = ZoneHost.make(None, place)
        full_disk.run_elsewhere(made, elsewhere)
        yield made
        made.clear()
    shutil.rmtree(elsewhere)


def crowd(directory: Path) -> list[Path]:
    """Make names as long as those of deletes, until no more fits on the full disk."""
    made: list[Path] = []
    for number in itertools.count():
        path = directory / f".beside-{number:034}"
        try:
            path.touch()
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            return made
        made.append(path)
    return made


async def test_what_makes_room_is_done_where_not_even_a_name_has_any(zones: ZoneHost) -> None:
    await zones.open()
    await zones.driver.fetch_image(zone_image_record(small_zone()[1]), lambda *_: None)
    ending, stopping, going, beside = [await zones.running() for _ in range(4)]
    ear = Ear(zones)
    await ear.until(bool)
    seen = await zones.driver.inspect(ending.spec.uid)
    assert seen is not None
    disk = full_disk.FullDisk(zones.directory)
    disk.leave(0)
    names = crowd(zones.driver.host.layout.instances)
    os.kill(seen.pid, signal.SIGKILL)
    await ear.until(lambda _: ending.spec.uid in ear.ends())
    assert await zones.driver.stop(stopping.spec.uid, 0.0) is not None
    with pytest.raises(OSError, match="No space left"):
        (zones.driver.host.layout.instances / f".gone-{going.spec.uid}").touch()
    await zones.driver.delete(going.spec.uid)
    assert await zones.driver.inspect(going.spec.uid) is None
    assert list(zones.driver.host.layout.spare.iterdir()) == []
    disk.clear()
    for path in names:
        path.unlink()
    found = {each.uid: each.state for each in await zones.driver.inventory()}
    stopped = dict.fromkeys((ending.spec.uid, stopping.spec.uid), "stopped")
    assert found == {**stopped, beside.spec.uid: "running"}
    assert (await zones.driver.start(ending, 2)).state == "running"
    left = await zones.remove_all()
    assert left.none, left


async def test_what_a_killed_node_left_half_deleted_under_that_name_is_swept(
    zones: ZoneHost,
) -> None:
    await zones.open()
    spare = zones.driver.host.layout.spare
    await zones.close()
    (spare / "root").mkdir()
    await zones.open()
    assert list(spare.iterdir()) == []
