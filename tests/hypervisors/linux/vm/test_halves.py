"""What a node that was killed left half done of a VM's disks goes with the next thing that is done.

The deaths themselves are in `tests/hypervisors/linux/test_kills.py`; here is what they leave.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import msgspec
import pytest

from fifo.hypervisors.linux.vm import made

if TYPE_CHECKING:
    from pathlib import Path

    from tests.hypervisors.linux.vm.vm_host import VmHost


async def tags(disk: Path) -> list[str]:
    """List the snapshots in a disk's file."""
    argv = ("qemu-img", "info", "--output=json", str(disk))
    process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    told, _ = await process.communicate()
    return [each["name"] for each in json.loads(told).get("snapshots", ())]


@pytest.mark.parametrize("then", ["deleted again", "another taken"])
async def test_a_snapshot_that_was_forgotten_and_not_dropped_is_dropped_with_the_next(
    zones: VmHost, then: str
) -> None:
    driver = await zones.open()
    wanted = zones.wanted()
    uid = wanted.spec.uid
    await driver.create(wanted)
    await driver.snapshot(uid, "a")
    directory = zones.settings.state_dir / "instances" / uid
    known = made.read(directory)
    made.write(directory, msgspec.structs.replace(known, snapshots=()))
    (disk,) = (own.file(directory) for own in known.own)
    assert await tags(disk) == ["s-a"]
    if then == "deleted again":
        await driver.delete_snapshot(uid, "a")
        assert await tags(disk) == []
    else:
        await driver.snapshot(uid, "b")
        assert await tags(disk) == ["s-b"]


async def test_the_file_of_no_disk_goes_when_the_next_node_starts(zones: VmHost) -> None:
    driver = await zones.open()
    wanted = zones.wanted()
    await driver.create(wanted)
    disks = zones.settings.state_dir / "instances" / wanted.spec.uid / made.DISKS
    (disks / "7.qcow2").write_bytes(b"of a disk that was taken away")
    await zones.close()
    await zones.open()
    assert [path.name for path in disks.iterdir()] == ["0.qcow2"]
