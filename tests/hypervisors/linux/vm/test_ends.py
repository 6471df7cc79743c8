"""VMs outlive who watches them; what stops, hangs or has no room is told as what it is."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fifo.hypervisors.linux import cgroups, mounting
from fifo.hypervisors.linux.keeper_client import KeeperClient
from fifo.hypervisors.linux.layout import PASSABLE, Layout
from fifo.hypervisors.linux.vm import limits
from fifo.hypervisors.linux.vm.monitor import Monitor
from fifo.model.errors import DeadlineExceeded, DriverFailed
from fifo.model.restart import describe
from tests.hypervisors.linux.test_adoption import Ear
from tests.hypervisors.linux.vm.vm_host import PROMPT, VmHost, small_vm, why_not

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fifo.hypervisors.driver import Wanted

ROOM_KIB = 6 * 1024
ROOM_MIB = 12
MIB = 1024 * 1024


async def test_a_vm_goes_on_without_its_node_and_the_next_one_knows_it(zones: VmHost) -> None:
    node = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.hypervisors.linux.vm.node_process", *zones.arguments(),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert node.stdout is not None
    uid = (await node.stdout.readline()).decode().strip()
    node.kill()
    await node.wait()
    # It boots while there is no node, and the keeper writes down what it says.
    kept = Layout(zones.settings.state_dir, zones.settings.run_dir).find(uid)
    keeper = await KeeperClient.connect(zones.keeper_host.directory)
    shown = ""
    async for data in await keeper.attach(uid):
        shown += data.decode()
        if PROMPT.search(shown):
            break
    await keeper.close()
    driver = await zones.open()
    assert PROMPT.search((await driver.logs(uid, 10_000)).decode())
    seen = await driver.inspect(uid)
    assert seen is not None
    assert (seen.state, seen.pid, seen.start_id) == ("running", kept.pid, 1)
    terminal = await zones.terminal(zones.as_wanted(kept))
    assert await terminal.type("echo still here") == "still here\n"
    await terminal.close()
    for _ in range(3):
        await zones.close()
        driver = await zones.open()
        assert [disk.name for disk in (await driver.stats())[0].disks] == ["disk0"]
    end = await driver.stop(uid, 20.0)
    assert end is not None
    assert (end.code, end.forced) == (0, False)


async def test_a_qemu_that_was_killed_is_told_with_its_signal(zones: VmHost) -> None:
    driver = await zones.open()
    wanted = await zones.running()
    ear = Ear(zones)
    await ear.until(bool)
    seen = await driver.inspect(wanted.spec.uid)
    assert seen is not None
    os.kill(seen.pid, signal.SIGKILL)
    await ear.until(lambda _: wanted.spec.uid in ear.ends())
    end = ear.ends()[wanted.spec.uid].exit
    assert (end.code, end.signal, end.orderly) == (None, signal.SIGKILL, False)
    assert (await driver.start(wanted, 2)).state == "running"


async def test_a_qemu_that_hangs_is_measured_without_it_and_stopped_by_force(
    zones: VmHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = await zones.open()
    wanted = await zones.running()
    seen = await driver.inspect(wanted.spec.uid)
    assert seen is not None
    monkeypatch.setattr(limits, "QUIT_S", 0.1)
    os.kill(seen.pid, signal.SIGSTOP)
    path = zones.settings.run_dir / "vm" / wanted.spec.uid / "qmp"
    monitor = Monitor(wanted.spec.uid, path)
    with pytest.raises(DeadlineExceeded, match="did not answer query-status"):
        await monitor.ask("query-status", timeout_s=0.1)
    await monitor.close()
    end = await driver.stop(wanted.spec.uid, 0.1)
    assert end is not None
    assert (end.signal, end.forced) == (signal.SIGKILL, True)


async def test_a_start_that_qemu_refuses_says_why_and_can_be_repeated(zones: VmHost) -> None:
    driver = await zones.open()
    wanted = zones.wanted()
    await driver.create(wanted)
    disk = zones.settings.state_dir / "instances" / wanted.spec.uid / "disks" / "0.qcow2"
    _break(disk)
    with pytest.raises(DriverFailed, match=r"QEMU did not start: .*qcow2"):
        await driver.start(wanted, 1)
    left = await zones.leftovers()
    assert (left.links, left.rules[:-1], left.sockets) == ((), (), ())
    seen = await driver.inspect(wanted.spec.uid)
    assert seen is not None
    assert (seen.state, seen.start_id, seen.exit) == ("stopped", 0, None)
    _mend(disk)
    assert (await driver.start(wanted, 1)).state == "running"
    left = await zones.remove_all()
    assert left.none, left


def _break(disk: Path) -> None:
    with disk.open("r+b") as file:
        file.write(b"NOT")


def _mend(disk: Path) -> None:
    with disk.open("r+b") as file:
        file.write(b"QFI")


async def test_a_panic_is_an_end_and_a_failure(zones: VmHost) -> None:
    driver = await zones.open()
    wanted = await zones.running()
    ear = Ear(zones)
    terminal = await zones.terminal(wanted)
    await terminal.channel.write(b"echo c >/proc/sysrq-trigger\n")
    await ear.until(lambda _: wanted.spec.uid in ear.ends())
    end = ear.ends()[wanted.spec.uid].exit
    assert (end.code, end.signal, end.forced, end.resets) == (1, None, False, 0)
    assert b"Kernel panic" in await driver.logs(wanted.spec.uid, 10_000)
    await terminal.close()


async def test_a_guest_that_starts_anew_for_ever_is_ended_and_says_why(
    zones: VmHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RESETS", 2)
    await zones.open()
    wanted = await zones.running(script="#!/bin/sh\nreboot -f\n")
    ear = Ear(zones)
    await ear.until(lambda _: wanted.spec.uid in ear.ends())
    end = ear.ends()[wanted.spec.uid].exit
    assert (end.signal, end.forced, end.resets) == (signal.SIGKILL, False, 2)
    left = await zones.remove_all()
    assert left.none, left


# -- memory of the host that is used up -----------------------------------------------------------


async def test_a_qemu_that_is_killed_for_want_of_memory_is_told_as_that(zones: VmHost) -> None:
    driver = await zones.open()
    wanted = await zones.running()
    uid = wanted.spec.uid
    ear = Ear(zones)
    terminal = await zones.terminal(wanted)
    limit_mib = _leave(f"{zones.settings.cgroup}/{uid}", ROOM_MIB)
    # The guest is allowed more than its QEMU is: its disk in memory fills.
    size = f"bs=1M count={4 * ROOM_MIB}"
    await terminal.channel.write(f"dd if=/dev/zero of=/x {size}\n".encode())
    await ear.until(lambda _: uid in ear.ends())
    end = ear.ends()[uid].exit
    assert (end.code, end.signal, end.forced) == (None, signal.SIGKILL, False)
    assert describe(end) == f"killed: out of memory ({limit_mib} MiB)"
    await terminal.close()
    # Its group goes with it: the next start has the limit that is wanted.
    assert (await driver.start(wanted, 2)).state == "running"
    left = await zones.remove_all()
    assert left.none, left


def _leave(group: str, room_mib: int) -> int:
    """Limit a group to little more memory than it uses now; gives the limit, in MiB."""
    limit_mib = cgroups.usage(group).memory_bytes // MIB + room_mib
    names = {"memory.limit_in_bytes", "memory.max"}
    (file,) = (
        each for path in cgroups.paths(group) for each in path.iterdir() if each.name in names
    )
    file.write_text(str(limit_mib * MIB), encoding="ascii")
    return limit_mib


# -- a disk of the host that is full --------------------------------------------------------------


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """Give the root of a file system that holds the small VM's image and little else."""
    if reason := why_not():
        pytest.skip(reason)
    directory = Path(tempfile.mkdtemp(prefix="fzs"))
    images = small_vm()
    size_kib = sum(path.stat().st_blocks for path in images.rglob("*")) // 2 + ROOM_KIB
    mounting.mount("tmpfs", directory, "tmpfs", mounting.NODEV, f"size={size_kib}k,mode=711")
    (directory / "state").mkdir()
    (directory / "state").chmod(PASSABLE)
    shutil.copytree(images, directory / "state" / "images")
    (directory / "state" / "images").chmod(PASSABLE)
    yield directory
    mounting.unmount(directory)
    directory.rmdir()


@pytest.fixture
def cramped(small_disk: Path) -> Iterator[VmHost]:
    made = VmHost.make(None, small_disk)
    assert isinstance(made, VmHost)
    yield made
    made.clear()


async def test_a_full_disk_halts_the_guest_until_there_is_room(
    cramped: VmHost, small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    driver = await cramped.open()
    wanted = await cramped.running(nics=0)
    terminal = await cramped.terminal(wanted)
    await terminal.type("source=/dev/urandom; target=/data/f")
    await terminal.type("size='bs=1M count=12 conv=fsync'")
    writing = asyncio.create_task(terminal.type("dd if=$source of=$target $size 2>&1; echo =$?"))
    while "halted by a full disk" not in caplog.text:
        assert not writing.done()
        await driver.stats()
    assert (await _state(driver, wanted)) == "running"
    while not (await driver.stats())[0].halted:
        assert not writing.done()
    mounting.mount("tmpfs", small_disk, "tmpfs", mounting.NODEV | REMOUNT, "size=200m")
    while not writing.done():
        await driver.stats()
    assert writing.result().endswith("=0\n")
    assert not (await driver.stats())[0].halted
    await terminal.close()
    left = await cramped.remove_all()
    assert left.none, left
    await cramped.close()


REMOUNT = 32
"""MS_REMOUNT, from <sys/mount.h>."""


async def _state(driver: object, wanted: Wanted) -> str:
    seen = await driver.inspect(wanted.spec.uid)  # type: ignore[attr-defined]
    return str(seen.state)
