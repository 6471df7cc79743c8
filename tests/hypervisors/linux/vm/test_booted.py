"""What can be seen of a VM that has booted: from inside, from its network, and from the host.

One VM serves all tests, each with a driver of its own: so each takes it over from the one before.
"""

from __future__ import annotations

import asyncio
import socket
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from fifo.hypervisors.driver import Inventory
from fifo.hypervisors.linux import cgroups
from fifo.hypervisors.linux.vm import confine
from fifo.hypervisors.linux.vm.control_group import memory_limit_mib
from fifo.model.instance import Disk, Nic
from tests.hypervisors.linux import runner
from tests.hypervisors.linux.test_adoption import Ear
from tests.hypervisors.linux.vm.vm_host import VmHost, firmware_image, small_vm, why_not

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fifo.hypervisors.driver import Wanted

MIB = 1024 * 1024
OTHER_MAC = "02:00:00:00:00:99"
OTHER_NUMBER = 99


@pytest.fixture(scope="module")
def zones() -> Iterator[VmHost]:
    if reason := why_not():
        pytest.skip(reason)
    made = VmHost.make(small_vm())
    assert isinstance(made, VmHost)
    yield made
    made.clear()


@pytest.fixture(scope="module")
def booted(zones: VmHost) -> Wanted:
    """Give a VM that has booted, and leaves it so."""

    async def boot() -> Wanted:
        await zones.open()
        wanted = await zones.running()
        await (await zones.terminal(wanted)).close()
        await zones.close()
        return wanted

    return asyncio.run(boot())


def address(wanted: Wanted) -> str:
    (addresses,) = wanted.claim.addresses.values()
    return addresses[0].partition("/")[0]


async def test_the_guest_is_what_it_was_told_to_be(zones: VmHost, booted: Wanted) -> None:
    await zones.open()
    terminal = await zones.terminal_again(booted)
    assert await terminal.type("hostname") == f"{booted.spec.hostname}\n"
    shown = await terminal.type("ip addr show dev eth0")
    assert all(each in shown for each in next(iter(booted.claim.addresses.values())))
    gateway = zones.network.pools[0].gateway
    assert f"default via {gateway}" in await terminal.type("ip route")
    assert await terminal.type("cat /etc/resolv.conf") == f"nameserver {gateway}\n"
    assert "/dev/vda" in await terminal.type("df /data")
    await terminal.close()


async def test_it_answers_over_its_tap_and_is_counted(zones: VmHost, booted: Wanted) -> None:
    driver = await zones.open()
    (before,) = await driver.stats()

    def get() -> bytes:
        with urllib.request.urlopen(f"http://{address(booted)}/", timeout=5) as answer:
            return bytes(answer.read())

    assert f"hostname: {booted.spec.hostname}".encode() in await asyncio.to_thread(get)
    (after,) = await driver.stats()
    assert after.nics[0].interface == "net0"
    assert after.nics[0].sent_bytes > before.nics[0].sent_bytes
    assert after.nics[0].received_packets > before.nics[0].received_packets
    assert [disk.name for disk in after.disks] == ["disk0"]
    assert after.memory_limit_bytes == memory_limit_mib(booted.spec) * MIB
    assert after.filesystem_used_bytes < after.filesystem_size_bytes == 64 * MIB


async def test_no_other_address_leaves_it(zones: VmHost, booted: Wanted) -> None:
    await zones.open()
    terminal = await zones.terminal_again(booted)
    await terminal.type(f"g={zones.network.pools[0].gateway}")
    ping = "ping -c1 -W1 {}$g >/dev/null; echo $?"
    own, stolen = booted.spec.nics[0].mac, zones.address(0, OTHER_NUMBER, bare=True)
    assert await terminal.type(ping.format("")) == "0\n"
    await terminal.type(f"ip addr add {stolen}/32 dev eth0")
    assert await terminal.type(ping.format(f"-I{stolen} ")) == "1\n"
    await terminal.type(f"ip addr del {stolen}/32 dev eth0")
    for mac, answer in ((OTHER_MAC, "1\n"), (own, "0\n")):
        for change in ("down", f"address {mac}", "up"):
            await terminal.type(f"ip link set eth0 {change}")
        assert await terminal.type(ping.format("")) == answer
    await terminal.close()


async def test_its_qemu_has_no_right_but_to_what_is_its_own(zones: VmHost, booted: Wanted) -> None:
    driver = await zones.open()
    seen = await driver.inspect(booted.spec.uid)
    assert seen is not None
    status = dict(line.split(":\t", 1) for line in _read(f"/proc/{seen.pid}/status").splitlines())
    user = str(confine.first_user(zones.settings.uid_base))
    assert status["Uid"].split() == status["Gid"].split() == [user] * 4
    assert status["Groups"].split() == []
    assert {status[name].strip("0") for name in ("CapEff", "CapPrm", "CapBnd", "CapInh")} == {""}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    groups = cgroups.paths(f"{zones.settings.cgroup}/{booted.spec.uid}")
    joined = {path.name for path in groups if str(seen.pid) in _read(path / "cgroup.procs").split()}
    assert joined == {booted.spec.uid}
    owners = {
        _owner(path)
        for path in (
            zones.settings.run_dir / "vm" / booted.spec.uid / "qmp",
            zones.settings.state_dir / "instances" / booted.spec.uid / "disks" / "0.qcow2",
        )
    }
    assert owners == {int(user)}


def _read(path: str | Path) -> str:
    return Path(path).read_text(encoding="utf-8")


def _owner(path: Path) -> int:
    return path.stat().st_uid


async def test_its_screen_is_there_for_root_alone(zones: VmHost, booted: Wanted) -> None:
    await zones.open()
    path = zones.settings.run_dir / "vm" / booted.spec.uid / "vnc"

    def greet() -> bytes:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(5.0)
            line.connect(str(path))
            return line.recv(12)

    assert await asyncio.to_thread(greet) == b"RFB 003.008\n"
    assert _mode(path.parent) == 0o700


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


async def test_limits_and_leaves_change_at_once_and_the_rest_waits(
    zones: VmHost, booted: Wanted
) -> None:
    driver = await zones.open()
    nic = booted.spec.nics[0]
    added = Nic(interface="net1", mac="02:00:00:01:ff:01", network=nic.network)
    changed = msgspec.structs.replace(
        booted.spec, generation=2, cpu_cap=150, max_physical_memory=512, ram=128, tags={"a": 1},
        nics=(msgspec.structs.replace(nic, allow_ip_spoofing=True),),
    )  # fmt: skip
    applied = await driver.update(booted._replace(spec=changed))
    assert set(applied.live) == {"cpu_cap", "max_physical_memory", "nics"}
    assert set(applied.at_start) == {"ram", "tags"}
    (stats,) = await driver.stats()
    assert stats.memory_limit_bytes == 512 * MIB
    more = msgspec.structs.replace(changed, nics=(*changed.nics, added))
    claim = msgspec.structs.replace(
        booted.claim, addresses=booted.claim.addresses | {added.mac: (zones.address(0, 77),)}
    )
    applied = await driver.update(booted._replace(spec=more, claim=claim))
    assert applied == ((), ("ram", "tags", "nics"))
    # The next driver finds the interface that it runs with, whatever is wanted by now.
    await zones.close()
    driver = await zones.open()
    assert [nic.interface for nic in (await driver.stats())[0].nics] == ["net0"]
    # And the leave that it has.
    argv = ["nft", "list", "table", "bridge", zones.settings.table]
    listed = (await runner.run(argv, deadline_s=5.0)).stdout
    assert b"ether type ip accept" in listed
    await driver.update(booted)


async def test_a_guest_that_reboots_is_reset_and_has_not_ended(
    zones: VmHost, booted: Wanted
) -> None:
    driver = await zones.open()
    before = await driver.inspect(booted.spec.uid)
    terminal = await zones.terminal_again(booted)
    await terminal.channel.write(b"reboot\n")
    # The shell may be gone before it prompts once more, or not: both are a reboot.
    while "BusyBox" not in await terminal.prompt():
        pass
    assert await driver.inspect(booted.spec.uid) == before
    await terminal.close()


async def test_a_roll_back_brings_back_what_the_disk_held(zones: VmHost, booted: Wanted) -> None:
    driver, uid = await zones.open(), booted.spec.uid
    terminal = await zones.terminal_again(booted)
    await terminal.type("echo before >/data/file; sync")
    await driver.snapshot(uid, "1")
    await terminal.type("echo after >/data/file; sync")
    await driver.snapshot(uid, "2")
    await terminal.close()
    end = await driver.stop(uid, 20.0)
    assert end is not None
    assert (end.code, end.forced) == (0, False)
    await driver.roll_back(uid, "1")
    assert [taken.name for taken in await driver.snapshots(uid)] == ["1"]
    await driver.start(booted, 2)
    terminal = await zones.terminal(booted)
    assert await terminal.type("cat /data/file") == "before\n"
    await driver.delete_snapshot(uid, "1")
    assert await driver.snapshots(uid) == ()
    await terminal.close()


async def test_a_killed_keeper_costs_a_vm_neither_its_life_nor_its_console(
    zones: VmHost, booted: Wanted
) -> None:
    driver, uid = await zones.open(), booted.spec.uid
    before = await driver.inspect(uid)
    ear = Ear(zones)
    await ear.until(bool)
    await zones.keeper_host.kill_keeper(zones.keeper)
    await ear.until(lambda heard: len([e for e in heard if isinstance(e, Inventory)]) > 1)
    assert await driver.inspect(uid) == before
    terminal = await zones.terminal_again(booted)
    assert await terminal.type("echo still here") == "still here\n"
    await terminal.close()
    # Nobody was its parent when it ended: that counts as a failure, though it powered down.
    end = await driver.stop(uid, 20.0)
    assert end is not None
    assert (end.code, end.signal, end.orderly) == (None, None, False)
    left = await zones.remove_all()
    assert left.none, left


async def test_a_disk_of_its_own_is_booted_by_firmware(zones: VmHost) -> None:
    driver = await zones.open()
    image = firmware_image()
    await driver.fetch_image(image, lambda *_: None)
    disk = Disk(path="disk0", image=image.uid, boot=True, size=100)
    wanted = await zones.running(disks=(disk,))
    terminal = await zones.terminal(wanted)
    assert await terminal.type("cat /sys/block/vda/size") == f"{100 * MIB // 512}\n"
    assert "/dev/vda1" in await terminal.type("df /data")
    await terminal.close()
    left = await zones.remove_all()
    assert left.none, left
