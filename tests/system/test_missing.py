"""A machine on which something is missing: the node says what, and what to do."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fifo.cli.demo.fleet_client import FleetClient
from fifo.hypervisors.linux.guests import spawning, zone_image
from fifo.hypervisors.linux.layout import PASSABLE
from fifo.v1.instance_pb2 import Instance
from tests.cli.test_storage_mark import obey
from tests.house.source import ROOT
from tests.hypervisors.linux.keeper.keeper_host import KeeperHost
from tests.hypervisors.linux.zone_host import why_not
from tests.system.node_process import NodeProcess, fifo, rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Without = Callable[..., NodeProcess]

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "zones can run here")

RUNTIMES = ("runc", "crun")
START_S = 30.0
DEMO_S = 120.0
SUBNET = "10.127.0.0/24"


def programs(base: Path, missing: tuple[str, ...]) -> Path:
    """Give a directory with all programs of this machine but some, by how their names begin."""
    path = base / "bin"
    path.mkdir()
    for place in os.environ["PATH"].split(os.pathsep):
        for program in Path(place).glob("*"):
            link = path / program.name
            if not program.name.startswith(missing) and not link.is_symlink():
                link.symlink_to(program)
    return path


class Bare(NodeProcess):
    """A node of the Linux driver that finds some programs and not others."""

    def __init__(self, base: Path, *missing: str) -> None:
        super().__init__(base, "--prefix", f"m{secrets.token_hex(2)}", driver="linux")
        self.path = programs(base, missing)

    def environment(self) -> dict[str, str]:  # type: ignore[override]
        return super().environment() | {"PATH": str(self.path)}

    def end_keeper(self) -> None:
        """End what outlives the node on purpose."""
        keeper = self.base / "run" / "keeper"
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_bytes()
            except OSError:
                continue
            if str(keeper).encode() in words:
                os.kill(int(process.name), signal.SIGTERM)


@pytest.fixture
def without() -> Iterator[Without]:
    """Make a node in a directory that other users can pass, and end all that it started."""
    base = Path(tempfile.mkdtemp(prefix="fifo-bare-"))
    base.chmod(PASSABLE)
    made: list[Bare] = []

    def make(*missing: str) -> NodeProcess:
        made.append(Bare(base, *missing))
        return made[0]

    yield make
    for node in made:
        node.kill()
        node.end_keeper()
    shutil.rmtree(base, ignore_errors=True)


def test_without_a_runtime_there_are_no_zones_and_the_host_says_what_to_install(
    without: Without,
) -> None:
    with without(*RUNTIMES) as node:
        (host,) = rows(node.fifo("hypervisor", "list", "-o", "json"))
        assert host["brands"] == ["KVM"]
        assert host["missing"]["runc"] == (
            "it is not installed, or may not be executed; install runc on the host"
        )
        assert host["missing"]["lx"].startswith("no OCI runtime works: ")
        assert host["missing"]["lx"].count("runc: it is not installed") == 1


@pytest.mark.skipif(not shutil.which("runc"), reason="runc is not installed")
def test_a_runtime_that_is_installed_later_is_found_by_a_probe_and_runs_zones(
    without: Without,
) -> None:
    # A guest is built, which on a busy machine takes longer than one test may.
    faulthandler.cancel_dump_traceback_later()
    node = without(*RUNTIMES)
    runc = Path(shutil.which("runc") or "")
    zone = asyncio.run(zone_image.build(spawning.run, node.base / "guests")).path("rootfs")
    with node:
        refused = node.fifo(
            "image", "import", "zone", "--file", str(zone), "--brand", "lx", "--format",
            "rootfs_tar",
        )  # fmt: skip
        assert "no host that is ready runs lx" in refused.stderr
        (node.base / "bin" / "runc").symlink_to(runc)
        (host,) = rows(node.fifo("hypervisor", "list", "-o", "json"))
        probed = node.fifo("hypervisor", "probe", host["name"].rpartition("/")[2])
        assert probed.returncode == 0, probed.stderr
        (host,) = rows(node.fifo("hypervisor", "list", "-o", "json"))
        assert set(host["brands"]) == {"LX", "KVM"}
        client = FleetClient(node.socket)
        client.import_image("zone", zone, "ROOTFS_TAR", "LX")
        client.create_network("lan", SUBNET)
        client.wait(client.begin_create("web", "LX", "zone", 64))
        assert client.get("web").state == Instance.RUNNING
        client.delete_all()
        client.close()


def test_without_a_runtime_and_qemu_a_node_that_shall_be_real_does_not_start(
    without: Without,
) -> None:
    node = without(*RUNTIMES, "qemu-")
    done = subprocess.run(
        [sys.executable, "-m", "fifo", "serve", *node.arguments],
        cwd=ROOT, env=node.environment(), capture_output=True, text=True, timeout=START_S,
        check=False,
    )  # fmt: skip
    assert done.returncode not in {0, 1}
    assert "it can run neither zones nor VMs" in done.stderr
    assert "install runc and qemu-system-x86" in done.stderr
    assert "Traceback" not in done.stderr
    assert not fifo("--server", f"unix:{node.socket}", "hypervisor", "list").stdout
    assert no_keeper_of(node)


def test_without_a_runtime_and_qemu_a_node_that_becomes_simulated_leaves_no_keeper(
    without: Without,
) -> None:
    node = without(*RUNTIMES, "qemu-")
    node.arguments = (*node.arguments, "--driver", "auto")
    with node:
        (host,) = rows(node.fifo("hypervisor", "list", "-o", "json"))
        assert "simulated" in str(host)
        assert no_keeper_of(node)


def test_without_its_storage_a_node_does_not_start_until_it_is_back_or_given_up(
    without: Without,
) -> None:
    node = without()
    storage = node.base / "data" / "instances"
    with node:
        pass
    storage.rename(node.base / "away")
    done = fifo("serve", *node.arguments)
    assert done.returncode == 6
    assert f"storage_dir {storage}: it is not the storage that this node's" in done.stderr
    assert list(storage.iterdir()) == []
    storage.rmdir()
    (node.base / "away").rename(storage)
    with node:
        pass
    storage.rename(node.base / "lost")
    obey(fifo("serve", *node.arguments).stderr)
    with node:
        assert node.fifo("hypervisor", "list").returncode == 0


def no_keeper_of(node: NodeProcess) -> bool:
    """Tell whether a node had a keeper and has none."""
    directory = node.base / "run" / "keeper"
    assert (directory / "keeper.journal").exists()
    return not list(KeeperHost(directory).ours())


@pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="QEMU is not installed")
def test_a_demo_where_zones_cannot_run_says_what_is_missing_and_goes_on_simulated(
    tmp_path: Path,
) -> None:
    # It is the whole demo, with its guests built first.
    faulthandler.cancel_dump_traceback_later()
    path = programs(tmp_path, RUNTIMES)
    done = subprocess.run(
        [sys.executable, "-m", "fifo", "demo"],
        cwd=ROOT, env={"PATH": str(path), "HOME": str(tmp_path)}, capture_output=True, text=True,
        timeout=DEMO_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no real hypervisor here, the hosts are simulated" in done.stdout
    assert "it cannot run lx (no OCI runtime works: " in done.stdout
    assert done.stdout.count("runc: it is not installed") == 1
    assert "install runc and qemu-system-x86, and run as root" in done.stdout
    assert "Done in" in done.stdout
