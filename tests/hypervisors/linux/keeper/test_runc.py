"""Real zones: an OCI runtime run through the keeper, its console received, its init adopted."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fifo.hypervisors.linux.keeper import processes
from fifo.hypervisors.linux.keeper_client import LogFile
from fifo.model.errors import NotFound
from tests.hypervisors.linux.keeper.keeper_host import alive, ended, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fifo.hypervisors.linux.keeper_client import Finished, KeeperClient, Watched
    from tests.hypervisors.linux.keeper.keeper_host import KeeperHost

BUSYBOX = Path("/bin/busybox")
pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("runc") is None or not BUSYBOX.exists(),
    reason="zones need root, runc and busybox-static",
)
NAMESPACES = ("pid", "network", "ipc", "uts", "mount")
GUEST = "echo ready; while read line; do [ $line = quit ] && exit 5; echo got $line; done"


class Zone:
    """A bundle of busybox alone, and runc on it."""

    def __init__(self, directory: Path, script: str) -> None:
        self.name = f"keeper-{uuid.uuid4().hex[:12]}"
        self._directory = directory
        bundle = directory / self.name
        (bundle / "rootfs/bin").mkdir(parents=True)
        for place in ("proc", "dev"):
            (bundle / "rootfs" / place).mkdir()
        shutil.copy(BUSYBOX, bundle / "rootfs/bin/busybox")
        (bundle / "rootfs/bin/sh").symlink_to("busybox")
        config: dict[str, Any] = {
            "ociVersion": "1.0.2",
            "process": {
                "terminal": True,
                "user": {"uid": 0, "gid": 0},
                "args": ["/bin/sh", "-c", script],
                "env": ["PATH=/bin"],
                "cwd": "/",
            },
            "root": {"path": "rootfs"},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
                {"destination": "/dev/pts", "type": "devpts", "source": "devpts"},
            ],
            "linux": {"namespaces": [{"type": kind} for kind in NAMESPACES]},
        }
        (bundle / "config.json").write_text(json.dumps(config), encoding="utf-8")
        self.bundle = bundle

    async def runc(self, client: KeeperClient, *arguments: str) -> Finished:
        root = str(self._directory / "runc")
        return await client.run(["runc", "--root", root, *arguments], deadline_s=20)

    async def create(self, client: KeeperClient) -> int:
        """Create it with its console held by the keeper, and give the pid of its init."""
        console = await client.console_listen(
            self.name, log=LogFile(str(self._directory / "console.log"))
        )
        pid_file = self._directory / f"{self.name}.pid"
        where = ["--bundle", str(self.bundle), "--console-socket", str(console)]
        created = await self.runc(client, "create", *where, "--pid-file", str(pid_file), self.name)
        assert created.status == 0, created.stderr
        assert not console.exists()
        return int(pid_file.read_text(encoding="ascii"))

    async def start(self, client: KeeperClient) -> Watched:
        """Create, adopt and start it."""
        adopted = await client.adopt(self.name, "s1", await self.create(client))
        assert (await self.runc(client, "start", self.name)).status == 0
        return adopted


@pytest.fixture
def zones(host: KeeperHost, directory: Path) -> Iterator[ZoneMaker]:
    """Make zones and remove what is left of them, cgroups included."""
    made = ZoneMaker(directory)
    yield made
    host.clear()
    made.remove()


class ZoneMaker:
    """Makes zones and removes them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._zones: list[Zone] = []

    def make(self, script: str = GUEST) -> Zone:
        """Make a zone; nothing runs yet."""
        self._zones.append(Zone(self._directory, script))
        return self._zones[-1]

    def remove(self) -> None:
        """Remove all."""
        root = str(self._directory / "runc")
        for zone in self._zones:
            command = ["runc", "--root", root, "delete", "--force", zone.name]
            subprocess.run(command, check=True, capture_output=True)


async def test_a_zone_is_adopted_shown_and_its_exit_status_known(
    host: KeeperHost, zones: ZoneMaker, directory: Path
) -> None:
    zone = zones.make()
    async with host.client() as client:
        started = await zone.start(client)
        console = await client.attach(zone.name, write=True)
        said = b""
        await console.write(b"hello\nquit\n")
        async for data in console:
            said += data
        [record] = await host.first_exits(client, 1)
    assert b"ready\r\n" in said
    assert b"got hello\r\n" in said
    assert (record.pid, record.how, record.status) == (started.pid, "exited", 5)
    assert (directory / "console.log").read_bytes() == said


async def test_a_zone_whose_init_died_before_it_was_announced_is_known_all_the_same(
    host: KeeperHost, zones: ZoneMaker
) -> None:
    zone = zones.make("exit 9")
    async with host.client() as client:
        pid = await zone.create(client)
        assert (await zone.runc(client, "start", zone.name)).status == 0
        await ended(pid)
        await client.run(["true"], deadline_s=9)
        adopted = await client.adopt(zone.name, "s1", pid)
        [record] = await host.first_exits(client, 1)
    assert not adopted.running
    assert (record.pid, record.how, record.status) == (pid, "exited", 9)


async def test_a_zone_and_its_console_outlive_a_killed_keeper(
    host: KeeperHost, zones: ZoneMaker
) -> None:
    zone = zones.make()
    async with host.client() as client:
        started = await zone.start(client)
        await until(await client.attach(zone.name), b"ready")
        await host.kill_keeper(client)
    assert started.pid is not None
    assert alive(started.pid)
    async with host.client() as client:
        assert await client.inventory() == [started]
        console = await client.attach(zone.name, write=True)
        await until(console, b"ready")
        await console.write(b"again\n")
        await until(console, b"got again")
        await client.signal(zone.name, "s1", signal.SIGKILL)
        [record] = await host.first_exits(client, 1)
        assert (record.how, record.clean) == ("unknown", False)
        assert (await zone.runc(client, "delete", zone.name)).status == 0


async def test_a_created_zone_that_its_keeper_did_not_adopt_is_adopted_by_its_start_time(
    host: KeeperHost, zones: ZoneMaker
) -> None:
    zone = zones.make()
    async with host.client() as client:
        pid = await zone.create(client)
        found = processes.stat(pid)
        await host.kill_keeper(client)
    assert found is not None
    async with host.client() as client:
        with pytest.raises(NotFound):
            await client.adopt(zone.name, "s1", pid)
        await client.adopt(zone.name, "s1", pid, start_time=found.start_time)
        assert (await zone.runc(client, "start", zone.name)).status == 0
        console = await client.attach(zone.name)
        await until(console, b"ready")
