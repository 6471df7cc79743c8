"""Making, changing and starting VMs whose guests need not boot: disks, models, faults anywhere."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from fifo.hypervisors.linux.keeper_runner import runner
from fifo.hypervisors.linux.vm import made
from fifo.model.errors import DataLoss, FifoError, InvalidInput, NotFound, Unsupported, WrongState
from fifo.model.image import Image
from fifo.model.instance import Disk, InstanceSpec
from tests.hypervisors.linux.faulty_runner import FaultyRun
from tests.hypervisors.linux.vm.vm_host import IMAGE_UID, VmHost

if TYPE_CHECKING:
    from pathlib import Path

    from fifo.hypervisors.driver import Wanted
    from tests.hypervisors.linux.faulty_runner import How

BOOT = Disk(path="disk0", image=IMAGE_UID, boot=True)
COMMANDS_OF_A_START = 4
"""The bridge, the rules, the tap, the disk about it."""
MIB = 1024 * 1024


def directory(zones: VmHost, wanted: Wanted) -> Path:
    return zones.settings.state_dir / "instances" / wanted.spec.uid


def changed(wanted: Wanted, **fields: Any) -> Wanted:
    spec: InstanceSpec = msgspec.structs.replace(wanted.spec, generation=2, **fields)
    return wanted._replace(spec=spec)


async def test_every_model_of_disk_and_interface_is_started(zones: VmHost) -> None:
    driver = await zones.open()
    wanted = zones.wanted(
        nics=2,
        vcpus=2,
        disks=(
            BOOT,
            *(Disk(path=model, size=4, model=model) for model in ("virtio", "scsi", "ide", "ahci")),
            Disk(path="cd", image=IMAGE_UID, media="cdrom", model="ide"),
        ),
    )
    first, second = wanted.spec.nics
    wanted = changed(wanted, nics=(first, msgspec.structs.replace(second, model="e1000")))
    await driver.create(wanted)
    await driver.start(wanted, 1)
    (stats,) = await driver.stats()
    names = [disk.name for disk in stats.disks]
    assert names == ["disk0", "virtio", "scsi", "ide", "ahci", "cd"]
    assert [nic.interface for nic in stats.nics] == ["net0", "net1"]
    taken = await driver.snapshot(wanted.spec.uid, "a")
    assert await driver.snapshots(wanted.spec.uid) == (taken,)
    left = await zones.remove_all()
    assert left.none, left


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"disks": (msgspec.structs.replace(BOOT, size=63),)}, "at least 64 MiB, as its image"),
        ({"disks": (BOOT, Disk(path="b"))}, r"disks\[1\]\.size: a size in MiB, or an image"),
        ({"disks": (BOOT, Disk(path="b", size=2**40))}, "at most"),
        ({"disks": (Disk(path="b", size=1, model="floppy"),)}, "one of ahci, ide, scsi, virtio"),
    ],
)
async def test_a_disk_that_cannot_be_is_refused_and_nothing_is_made(
    zones: VmHost, fields: dict[str, Any], said: str
) -> None:
    driver = await zones.open()
    wanted = zones.wanted(**fields)
    with pytest.raises(InvalidInput, match=said):
        await driver.create(wanted)
    assert (await zones.leftovers()).none


async def test_a_zones_image_and_another_brand_make_no_vm(zones: VmHost) -> None:
    driver = await zones.open()
    absent = "00000000-0000-4000-9000-0000000000cc"
    with pytest.raises(NotFound, match="fetch the image first"):
        await driver.create(zones.wanted(disks=(Disk(path="a", image=absent),)))
    with pytest.raises(Unsupported, match="brand bhyve is not for a Linux host"):
        await driver.create(changed(zones.wanted(), brand="bhyve"))
    wanted = zones.wanted()
    spec = changed(wanted, nics=(msgspec.structs.replace(wanted.spec.nics[0], model="ne2k"),))
    with pytest.raises(InvalidInput, match=r"nics\[0\]\.model"):
        await driver.create(spec)
    assert (await zones.leftovers()).none


async def test_disks_of_a_stopped_vm_come_grow_and_go(zones: VmHost) -> None:
    driver = await zones.open()
    wanted = zones.wanted(disks=(BOOT, Disk(path="data", size=8)))
    await driver.create(wanted)
    with pytest.raises(InvalidInput, match="a disk is not made smaller"):
        await driver.update(changed(wanted, disks=(BOOT, Disk(path="data", size=4))))
    grown = (BOOT, Disk(path="data", size=16), Disk(path="more", size=2))
    applied = await driver.update(changed(wanted, disks=grown))
    assert applied == (("disks",), ())
    found = made.read(directory(zones, wanted))
    sizes = [(disk.path, disk.size_bytes // MIB, disk.number) for disk in found.disks]
    assert sizes == [("disk0", 64, 0), ("data", 16, 1), ("more", 2, 2)]
    await driver.snapshot(wanted.spec.uid, "a")
    await driver.update(changed(wanted, disks=(BOOT, Disk(path="data", size=32))))
    assert _files(directory(zones, wanted)) == ["0.qcow2", "1.qcow2"]
    # What was made larger since the snapshot is as it was, and is made larger again for its start.
    await driver.roll_back(wanted.spec.uid, "a")
    assert made.read(directory(zones, wanted)).disks[1].size_bytes == 16 * MIB
    larger = changed(wanted, disks=(BOOT, Disk(path="data", size=32), Disk(path="new", size=1)))
    await driver.start(larger, 1)
    found = made.read(directory(zones, wanted))
    assert [(disk.size_bytes // MIB, disk.number) for disk in found.disks] == [
        (64, 0), (32, 1), (1, 3)
    ]  # fmt: skip
    applied = await driver.update(changed(wanted, disks=(BOOT,)))
    assert applied == ((), ("disks",))
    assert len(_files(directory(zones, wanted))) == 3


def _files(place: Path) -> list[str]:
    return sorted(path.name for path in (place / made.DISKS).iterdir())


async def test_each_vm_has_a_user_of_its_own(zones: VmHost) -> None:
    driver = await zones.open()
    wanted = [zones.wanted() for _ in range(4)]
    await asyncio.gather(*(driver.create(each) for each in wanted))
    users = {made.read(directory(zones, each)).user for each in wanted}
    assert len(users) == 4
    await driver.delete(wanted[1].spec.uid)
    again = zones.wanted()
    await driver.create(again)
    assert made.read(directory(zones, again)).user in users


async def test_a_vm_whose_record_is_gone_says_so_and_can_be_deleted(zones: VmHost) -> None:
    driver = await zones.open()
    wanted = zones.wanted()
    await driver.create(wanted)
    _forget(directory(zones, wanted))
    with pytest.raises(DataLoss, match="delete the instance"):
        await driver.start(wanted, 1)
    await driver.delete(wanted.spec.uid)
    assert (await zones.leftovers()).none


async def test_a_network_that_is_to_be_another_stays_until_the_vm_ends(zones: VmHost) -> None:
    driver = await zones.open()
    wanted = await zones.running(nics=2)
    other = msgspec.structs.replace(zones.network, uid=f"{zones.network.uid[:-1]}2", vlan_id=7)
    nic = msgspec.structs.replace(wanted.spec.nics[1], network=other.uid)
    less = changed(wanted, nics=(nic,))._replace(networks=(other,))
    assert await driver.update(less) == ((), ("nics",))
    await zones.close()
    driver = await zones.open()
    left = await zones.leftovers()
    assert (len(left.links), len(left.rules)) == (3, 3)
    assert len((await driver.stats())[0].nics) == 2
    await driver.stop(wanted.spec.uid, 0.0)
    left = await zones.leftovers()
    assert (left.links, left.rules) == ((), (zones.settings.table,))


def _forget(place: Path) -> None:
    (place / made.RECORD).unlink()


async def test_a_vm_is_made_of_the_image_of_another(zones: VmHost) -> None:
    driver = await zones.open()
    wanted = zones.wanted()
    await driver.create(wanted)
    image = Image(
        uid="00000000-0000-4000-9000-0000000000dd", id="captured", create_time=0.0,
        format="qcow2", source="", boot="disk", brands=("kvm",),
    )  # fmt: skip
    captured = await driver.capture_image(wanted.spec.uid, image)
    assert (captured.boot, captured.unpacked_bytes) == ("direct", 64 * MIB)
    assert captured.from_instance == wanted.spec.uid
    await driver.delete(wanted.spec.uid)
    child = zones.wanted(disks=(Disk(path="disk0", image=image.uid, boot=True),))
    await driver.create(child)
    assert (await driver.start(child, 1)).state == "running"
    with pytest.raises(WrongState, match="is made of it"):
        await driver.delete_image(image.uid)


# -- faults ---------------------------------------------------------------------------------------


async def opened(zones: VmHost) -> FaultyRun:
    """Open the driver with a runner that can fail, through the keeper as ever."""
    faulty = FaultyRun(lambda: runner(zones.keeper))
    await zones.open(faulty)
    return faulty


async def test_a_start_takes_few_processes(zones: VmHost) -> None:
    faulty = await opened(zones)
    # The first has the bridge made.
    await zones.running()
    wanted = zones.wanted()
    await zones.driver.create(wanted)
    faulty.disarm()
    await zones.driver.start(wanted, 1)
    assert sorted(command.split()[0] for command in faulty.commands) == ["genisoimage", "ip", "nft"]
    await zones.driver.stop(wanted.spec.uid, 0.0)
    faulty.disarm()
    await zones.driver.start(wanted, 2)
    assert sorted(command.split()[0] for command in faulty.commands) == ["ip", "nft"]


@pytest.mark.parametrize("how", ["refused", "lost"])
async def test_a_start_that_fails_at_any_command_is_taken_back(zones: VmHost, how: How) -> None:
    faulty = await opened(zones)
    for number in range(COMMANDS_OF_A_START):
        wanted = zones.wanted()
        await zones.driver.create(wanted)
        faulty.arm(number, how)
        with pytest.raises(FifoError, match="made to fail"):
            await zones.driver.start(wanted, 1)
        faulty.disarm()
        seen = await zones.driver.inspect(wanted.spec.uid)
        assert seen is not None
        assert (seen.state, seen.start_id, seen.exit) == ("stopped", 0, None)
        await zones.driver.delete(wanted.spec.uid)
        left = await zones.leftovers()
        assert left.none, (number, how, left)


@pytest.mark.parametrize("how", ["stuck", "stuck_after"])
async def test_a_node_that_dies_anywhere_in_a_start_leaves_nothing(zones: VmHost, how: How) -> None:
    faulty = await opened(zones)
    for number in range(COMMANDS_OF_A_START):
        wanted = zones.wanted()
        await zones.driver.create(wanted)
        faulty.arm(number, how)
        start = asyncio.ensure_future(zones.driver.start(wanted, 1))
        await faulty.reached.wait()
        start.cancel()
        await asyncio.gather(start, return_exceptions=True)
        await zones.close()
        faulty.disarm()
        await zones.open(faulty)
        left = await zones.leftovers()
        assert (left.links, left.sockets) == ((), ()), (number, how, left)
        await zones.driver.delete(wanted.spec.uid)
        left = await zones.leftovers()
        assert left.none, (number, how, left)


async def test_a_node_that_dies_before_qemu_answers_kills_that_and_starts_another(
    zones: VmHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = await zones.open()
    wanted = zones.wanted()
    await driver.create(wanted)
    reached = asyncio.Event()

    async def stuck(*_: Any, **__: Any) -> None:
        reached.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patched:
        patched.setattr(type(zones.keeper), "console_connect", stuck)
        start = asyncio.ensure_future(driver.start(wanted, 1))
        await reached.wait()
        start.cancel()
        await asyncio.gather(start, return_exceptions=True)
    (half,) = await zones.keeper.inventory()
    assert half.running
    await zones.close()
    driver = await zones.open()
    assert not any(each.running for each in await zones.keeper.inventory())
    assert (await driver.start(wanted, 1)).state == "running"
    left = await zones.remove_all()
    assert left.none, left


@pytest.mark.parametrize("how", ["refused", "lost"])
async def test_a_create_and_a_delete_that_fail_can_be_repeated(zones: VmHost, how: How) -> None:
    faulty = await opened(zones)
    wanted = zones.wanted()
    faulty.arm(0, how)
    with pytest.raises(FifoError, match="made to fail"):
        await zones.driver.create(wanted)
    assert await zones.driver.inventory() == ()
    faulty.disarm()
    await zones.driver.create(wanted)
    for number in range(3):
        await zones.driver.start(wanted, number + 1)
        faulty.arm(number, how)
        with pytest.raises(FifoError, match="made to fail"):
            await zones.driver.delete(wanted.spec.uid)
        faulty.disarm()
        await zones.driver.delete(wanted.spec.uid)
        left = await zones.leftovers()
        assert left.none, (number, how, left)
        await zones.driver.create(wanted)
