"""A node with a full disk: operations end so, nothing is left, and with room they do.

Once the instances have a disk of their own, and once all that the node writes is on the one.

As root on Linux with the packages of `make packages`; there is nothing to test without them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fifo.cli.demo.fleet_client import FleetClient
from fifo.cli.demo.remains import spawning_with_netns
from fifo.hypervisors.linux.guests import spawning, zone_image
from fifo.hypervisors.linux.layout import PASSABLE
from fifo.hypervisors.linux.leftovers import leftovers
from fifo.hypervisors.linux.settings import Settings
from tests.hypervisors.linux.full_disk import FullDisk
from tests.system.node_process import NodeProcess, rows
from tests.system.test_real_zones import end_keeper

if TYPE_CHECKING:
    from collections.abc import Iterator

NEEDED = ("runc", "qemu-img", "mkfs.ext4", "losetup")
pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, NEEDED)),
    reason=f"a real disk that is full wants root and {', '.join(NEEDED)}",
)

PREFIX = "full"
SIZE_BYTES = 4 * 1024**3
"""Sparse, and filled by blocks that are never written: placement has to find room on it."""
RESOURCE_EXHAUSTED = 7
"""What the command line ends with then."""


@contextlib.contextmanager
def ext4(place: Path, file: Path) -> Iterator[FullDisk]:
    """Mount a new file system at a place."""
    with file.open("wb") as image:
        image.truncate(SIZE_BYTES)
    _do("mkfs.ext4", "-q", "-m", "0", str(file))
    place.mkdir(parents=True)
    _do("mount", "-o", "loop", str(file), str(place))
    try:
        yield FullDisk(place)
    finally:
        # The keeper may not be quite gone.
        _do("umount", "--lazy", str(place))
        file.unlink()


def _do(*argv: str) -> None:
    subprocess.run(["/usr/bin/env", *argv], check=True, capture_output=True)


@pytest.fixture(scope="module")
def node() -> Iterator[tuple[NodeProcess, FullDisk]]:
    with tempfile.TemporaryDirectory(prefix="fzn") as name:
        base = Path(name)
        base.chmod(PASSABLE)
        yield from full_node(base, base / "data" / "instances")


def full_node(
    base: Path, place: Path, prefix: str = PREFIX
) -> Iterator[tuple[NodeProcess, FullDisk]]:
    """Give a node in a directory, with a disk of its own for what is at `place`."""
    image = asyncio.run(zone_image.build(spawning.run, base / "guests"))
    shutil.copy(image.path("rootfs"), base / "zone.tar")
    _do("qemu-img", "create", "-q", "-f", "qcow2", str(base / "vm.qcow2"), "8M")
    with ext4(place, base / "disk.img") as disk:
        try:
            with NodeProcess(base, "--prefix", prefix, driver="linux") as running:
                yield running, disk
        finally:
            asyncio.run(end_keeper(base))


IMPORTS = {
    "zone": ("--file", "zone.tar", "--format", "rootfs_tar", "--brand", "lx"),
    "vm": ("--file", "vm.qcow2", "--format", "qcow2", "--brand", "kvm"),
}
CREATES = {
    "zone": ("--brand", "lx", "--image", "zone", "--memory", "64", "--set", "quota=1"),
    "vm": ("--brand", "kvm", "--set", 'disks=[{"image": "images/vm", "boot": true}]'),
}


def ask(node: NodeProcess, kind: str, verb: str) -> subprocess.CompletedProcess[str]:
    """Import an image, or create an instance of it, and wait for what comes of it."""
    if verb == "create":
        return node.fifo("instance", "create", f"own-{kind}", *CREATES[kind])
    option, name, *more = IMPORTS[kind]
    return node.fifo("image", "import", kind, option, str(node.base / name), *more)


@pytest.mark.parametrize("kind", ["zone", "vm"])
def test_what_finds_no_room_ends_so_and_is_done_when_there_is(
    node: tuple[NodeProcess, FullDisk], kind: str
) -> None:
    running, disk = node
    for verb in ("import", "create"):
        before = files(running)
        disk.leave(0)
        refused = ask(running, kind, verb)
        assert refused.returncode == RESOURCE_EXHAUSTED, refused.stderr
        assert "make room on the host's disk" in refused.stderr
        disk.clear()
        assert files(running) == before
        assert rows(running.fifo("-o", "json", "instance", "list")) == []
        done = ask(running, kind, verb)
        assert done.returncode == 0, done.stderr
    disk.leave(0)
    assert running.end(9) is not None
    running.start()
    (found,) = rows(running.fifo("-o", "json", "instance", "list"))
    assert found["state"] == "RUNNING"
    client = FleetClient(running.socket)
    assert client.delete_all() == 1
    client.close()
    disk.clear()
    left = asyncio.run(leftovers(spawning_with_netns, settings(running)))
    assert not any(left._replace(mounts=())), left


def test_a_zone_that_ends_without_room_takes_nothing_with_it(
    node: tuple[NodeProcess, FullDisk],
) -> None:
    running, disk = node
    if not rows(running.fifo("-o", "json", "image", "list")):
        assert ask(running, "zone", "import").returncode == 0
    for name in ("ending", "beside"):
        made = running.fifo("instance", "create", name, *CREATES["zone"])
        assert made.returncode == 0, made.stderr
    disk.leave(0)
    os.kill(int(instance(running, "ending")["pid"]), signal.SIGKILL)
    while instance(running, "ending")["state"] == "RUNNING":
        pass
    assert instance(running, "beside")["state"] == "RUNNING"
    (host,) = rows(running.fifo("-o", "json", "hypervisor", "list"))
    assert host["state"] == "READY"
    for name in ("beside", "ending"):
        # Others take at once what is given back.
        disk.leave(0)
        done = running.fifo("instance", "delete", name, "--yes")
        assert done.returncode == 0, done.stderr
    disk.clear()
    left = asyncio.run(leftovers(spawning_with_netns, settings(running)))
    assert not any(left._replace(mounts=())), left


def instance(node: NodeProcess, name: str) -> dict[str, Any]:
    """Ask for an instance."""
    found = rows(node.fifo("-o", "json", "instance", "list"))
    return next(each for each in found if each["name"].endswith(f"/{name}"))


def test_with_no_room_for_anything_what_makes_room_is_done(short_path: Path) -> None:
    for running, disk in full_node(short_path, short_path / "data", "sysf"):
        assert ask(running, "zone", "import").returncode == 0
        for name in ("one", "two"):
            made = running.fifo("instance", "create", name, *CREATES["zone"])
            assert made.returncode == 0, made.stderr
        disk.leave(0)
        assert running.end(9) is not None
        running.start()
        refused = running.fifo("instance", "create", "three", *CREATES["zone"])
        assert refused.returncode == RESOURCE_EXHAUSTED, refused.stderr
        assert "make room on it; stopping and deleting go on" in refused.stderr
        for words in (
            ("instance", "stop", "one"),
            ("instance", "delete", "one", "--yes"),
            ("instance", "delete", "two", "--yes"),
            ("image", "delete", "zone", "--yes"),
            ("admin", "token", "reset", "--yes"),
        ):
            # Others take at once what is given back.
            disk.leave(0)
            done = running.fifo(*words)
            assert done.returncode == 0, (words, done.stderr)
        assert rows(running.fifo("-o", "json", "instance", "list")) == []
        disk.clear()
        for verb in ("import", "create"):
            done = ask(running, "zone", verb)
            assert done.returncode == 0, done.stderr
        disk.leave(0)
        assert running.fifo("instance", "delete", "own-zone", "--yes").returncode == 0
        assert running.stop() == 0


def test_a_node_on_a_full_disk_says_what_to_do_and_ends_without_a_traceback(
    short_path: Path,
) -> None:
    (short_path / "data").mkdir()
    _do("mount", "-t", "tmpfs", "-o", "size=16m,mode=711", "tmpfs", str(short_path / "data"))
    try:
        with NodeProcess(short_path) as running:
            disk = FullDisk(short_path / "data")
            for words, what in ((("support", "bundle"), "bundle"), (("store", "backup"), "backup")):
                disk.leave(0)
                refused = running.fifo(*words, str(short_path / "made"))
                assert refused.returncode == RESOURCE_EXHAUSTED, refused.stderr
                assert f"{short_path}/data/private: there is no room for a " in refused.stderr
                assert f"{what}, which is made there" in refused.stderr
                assert "make room on its disk" in refused.stderr
                disk.clear()
                made = running.fifo(*words, str(short_path / "made"))
                assert made.returncode == 0, made.stderr
                (short_path / "made").unlink()
            disk.leave(0)
            assert running.process is not None
            running.process.send_signal(signal.SIGTERM)
            said, _ = running.process.communicate()
            assert running.process.returncode == 1, said
            assert "a simulated host could not be kept (No space left on device)" in said
            assert "make room" in said
            assert "Traceback" not in said
            assert "Logging error" not in said
            running.process = None
            running.start()
            disk.clear()
            assert running.stop() == 0
    finally:
        _do("umount", "--lazy", str(short_path / "data"))


@pytest.fixture
def short_path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="fzn") as name:
        Path(name).chmod(PASSABLE)
        yield Path(name)


def settings(node: NodeProcess) -> Settings:
    return Settings(
        state_dir=node.base / "data" / "instances",
        run_dir=node.base / "run" / "linux",
        prefix=PREFIX,
        nic_tags={},
    )


def files(node: NodeProcess) -> set[str]:
    """Name the images and instances on the disk, unfinished ones too."""
    state = node.base / "data" / "instances"
    return {str(path) for part in ("images", "instances") for path in (state / part).iterdir()}
