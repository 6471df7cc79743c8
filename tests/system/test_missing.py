"""A machine on which something is missing: the node says what, and what to do."""

from __future__ import annotations

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

from fifo.hypervisors.linux.layout import PASSABLE
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


class Bare(NodeProcess):
    """A node of the Linux driver that finds some programs and not others."""

    def __init__(self, base: Path, *missing: str) -> None:
        super().__init__(base, "--prefix", f"m{secrets.token_hex(2)}", driver="linux")
        self.path = base / "bin"
        self.path.mkdir()
        for place in os.environ["PATH"].split(os.pathsep):
            for program in Path(place).glob("*"):
                link = self.path / program.name
                if not program.name.startswith(missing) and not link.is_symlink():
                    link.symlink_to(program)

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
            "runc: it is not installed, or may not be executed; install runc on the host"
        )
        assert "no OCI runtime works" in host["missing"]["lx"]


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
