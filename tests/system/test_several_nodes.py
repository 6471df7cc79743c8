"""Several nodes on this very machine: one is never harmed by another that is started wrongly.

As root on Linux with the packages of `make packages`; there is nothing to test without them.
"""

from __future__ import annotations

import asyncio
import faulthandler
import queue
import secrets
import shutil
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING, NamedTuple

import pytest

from fifo.cli.demo.fleet_client import FleetClient
from fifo.hypervisors.linux.bridges import LINKS, links
from fifo.hypervisors.linux.guests import spawning, vm_images, zone_image
from fifo.hypervisors.linux.guests.vm import PROMPT
from fifo.hypervisors.linux.interfaces import is_ours
from fifo.v1 import console_service_pb2
from tests.house.source import ROOT
from tests.hypervisors.linux.keeper.keeper_host import KeeperHost
from tests.hypervisors.linux.zone_host import why_not
from tests.system.node_process import NodeProcess, fifo, rows
from tests.system.test_real_zones import end_keeper

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(
    bool(why_not()) or not shutil.which("qemu-system-x86_64"),
    reason=why_not() or "VMs want QEMU",
)

PREFIX = f"s{secrets.token_hex(2)}"
OTHER = f"s{secrets.token_hex(2)}"
SUBNET = "10.124.0.0/24"
REFUSED = 6
NAMES = ("web", "vm")
VM_MIB = 96
CONSOLE_S = 300.0
"""Longer than all of these tests together."""


class First(NamedTuple):
    """A node with a zone, a command in that, a VM, and who is attached to that one's console."""

    node: NodeProcess
    command: subprocess.Popen[str]
    console: Console


class Sight(NamedTuple):
    """What a second node could harm; a link that was made anew has another number."""

    pids: tuple[int, int, int]
    restarts: tuple[int, int]
    links: frozenset[tuple[str, str]]
    socket: tuple[int, int]
    keeper: int


class Console:
    """Somebody who was attached to the VM's console before anything happened, and still is."""

    def __init__(self, client: FleetClient) -> None:
        self._typed: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._shown = client.consoles.Attach(self._requests(), timeout=CONSOLE_S)

    def _requests(self) -> Iterator[console_service_pb2.AttachRequest]:
        request = console_service_pb2.AttachRequest()
        request.open.name = "orgs/default/instances/vm"
        request.open.mode = console_service_pb2.AttachRequest.Open.CONSOLE
        yield request
        while typed := self._typed.get():
            yield console_service_pb2.AttachRequest(data=typed)

    def until(self, words: str) -> None:
        """Wait until it shows something."""
        shown = ""
        for answer in self._shown:
            shown += answer.data.decode(errors="replace")
            if words in shown:
                return
        raise AssertionError(f"the console ended without {words!r}: {shown}")

    def echo(self) -> None:
        """See that the guest's shell answers."""
        said = secrets.token_hex(4)
        # Its echo alone does not have the word in one piece.
        self._typed.put(f"echo {said[:4]}''{said[4:]}\n".encode())
        self.until(said)

    def close(self) -> None:
        """Detach."""
        self._typed.put(b"")
        self._shown.cancel()


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[First]:
    # A VM's disk is built and booted, which on a busy machine takes longer than one test may.
    faulthandler.cancel_dump_traceback_later()
    base = tmp_path_factory.mktemp("first")
    for path in (base, *base.parents[:2]):
        path.chmod(path.stat().st_mode | 0o711)
    image = asyncio.run(zone_image.build(spawning.run, base / "guests"))
    shutil.copy(image.path("rootfs"), base / "zone.tar")
    disk = asyncio.run(vm_images.disk(spawning.run, base / "guests"))
    shutil.copy(disk.path("disk"), base / "vm.qcow2")
    try:
        with NodeProcess(base, "--prefix", PREFIX, driver="linux") as node:
            client = FleetClient(node.socket)
            client.import_image("zone", base / "zone.tar", "ROOTFS_TAR", "LX")
            client.import_image("vm", base / "vm.qcow2", "QCOW2", "KVM")
            client.create_network("lan", SUBNET)
            client.wait(client.begin_create("vm", "KVM", "vm", VM_MIB))
            console = Console(client)
            client.wait(client.begin_create("web", "LX", "zone", 64))
            console.until(PROMPT)
            with begin_command(node) as command:
                yield First(node, command, console)
                command.kill()
            console.close()
            client.delete_all()
            client.close()
            assert node.stop() == 0
    finally:
        asyncio.run(end_keeper(base))


def begin_command(node: NodeProcess) -> subprocess.Popen[str]:
    """Have a command in the zone say again what it is told."""
    words = ("--server", f"unix:{node.socket}", "instance", "exec", "web", "--", "cat")
    return subprocess.Popen(
        [sys.executable, "-m", "fifo", *words],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=node.environment(),
    )


def echo(command: subprocess.Popen[str]) -> None:
    """See that the command goes on."""
    said = secrets.token_hex(4)
    assert command.stdin is not None
    assert command.stdout is not None
    print(said, file=command.stdin, flush=True)
    assert command.stdout.readline() == f"{said}\n"


def look(first: First) -> Sight:
    """See how the instances are, and that the node serves them and does what it is asked."""
    node = first.node
    echo(first.command)
    first.console.echo()
    client = FleetClient(node.socket)
    found = [client.get(name) for name in NAMES]
    client.close()
    (host,) = rows(node.fifo("-o", "json", "hypervisor", "list"))
    assert host["state"] == "READY"
    for name, own in zip(NAMES, found, strict=True):
        with urllib.request.urlopen(f"http://{own.addresses[0]}/", timeout=5) as answer:
            assert f"hostname: {name}" in answer.read().decode()
    assert node.process is not None
    status = node.socket.stat()
    return Sight(
        (node.process.pid, *(own.pid for own in found)),
        tuple(own.restarts for own in found),
        frozenset(
            (name, (LINKS / name / "ifindex").read_text(encoding="ascii"))
            for name in links()
            if is_ours(PREFIX, name)
        ),
        (status.st_ino, status.st_mode),
        (node.base / "run" / "keeper" / "keeper.sock").stat().st_ino,
    )


def serve(data: str, run: str, prefix: str, *more: str) -> subprocess.CompletedProcess[str]:
    return fifo(
        "serve", "--data-dir", data, "--run-dir", run, "--prefix", prefix,
        "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", *more,
    )  # fmt: skip


@pytest.mark.parametrize("driver", ["linux", "auto"])
@pytest.mark.parametrize(
    ("words", "held"),
    [
        (("{own}/data", "{first}/run", OTHER), "run_dir {first}/run"),
        (("{first}/data", "{own}/run", OTHER), "data_dir {first}/data"),
        (("{own}/data", "{own}/run", PREFIX), f"prefix {PREFIX}"),
        (
            ("{own}/data", "{own}/run", OTHER, "--storage-dir", "{first}/data/instances"),
            "storage_dir {first}/data/instances",
        ),
    ],
    ids=["run_dir", "data_dir", "prefix", "storage_dir"],
)
def test_a_node_that_would_share_a_thing_with_another_is_refused_before_it_touches_any(
    first: First, tmp_path: Path, words: tuple[str, ...], held: str, driver: str
) -> None:
    places = {"first": first.node.base, "own": tmp_path}
    before = look(first)
    data, run, *more = (word.format(**places) for word in words)
    second = serve(data, run, *more, "--driver", driver)
    assert second.returncode == REFUSED, second.stderr
    assert f"{held.format(**places)}: process {before.pids[0]} has it" in second.stderr
    assert "a data_dir, run_dir, prefix and ports of its own" in second.stderr
    assert "Traceback" not in second.stderr
    assert list(KeeperHost(tmp_path / "run" / "keeper").ours()) == []
    assert look(first) == before


def test_a_node_whose_port_is_taken_leaves_no_keeper_behind(first: First, tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    before = look(first)
    second = serve(
        str(tmp_path / "data"), str(tmp_path / "run"), OTHER,
        "--driver", "linux", "--listen", first.node.address,
    )  # fmt: skip
    assert second.returncode == REFUSED, second.stderr
    assert first.node.address in second.stderr
    # It came so far as to have one.
    assert (tmp_path / "run" / "keeper" / "keeper.journal").exists()
    assert list(KeeperHost(tmp_path / "run" / "keeper").ours()) == []
    assert look(first) == before


def test_nodes_that_share_nothing_serve_beside_each_other(first: First, tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    before = look(first)
    try:
        with NodeProcess(tmp_path, "--prefix", OTHER, driver="linux") as second:
            (host,) = rows(second.fifo("-o", "json", "hypervisor", "list"))
            assert host["state"] == "READY"
            assert look(first) == before
            second.kill()
            second.start()
            assert second.stop() == 0
    finally:
        asyncio.run(end_keeper(tmp_path))
    assert look(first) == before
