"""A node whose host has booted anew: what is wanted running starts, and nothing stale stays.

The machine of the tests cannot be rebooted. What a reboot does is done to this node alone: all that
it runs dies at once, its mounts go, and the boot id is another. Each boot is a mount namespace, in
which a file is mounted over the kernel's word. More than after a reboot is left: the kernel still
has its control groups, interfaces and rules.

As root on Linux with the packages of `make packages`; there is nothing to test without them.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import secrets
import shutil
import signal
import urllib.request
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fifo.cli.demo.console import await_prompt
from fifo.cli.demo.fleet_client import FleetClient
from fifo.hypervisors.linux.guests.vm import PROMPT
from fifo.hypervisors.linux.process_end import ended
from fifo.v1.instance_pb2 import Instance
from tests.hypervisors.linux.keeper.keeper_host import KeeperHost
from tests.system.node_process import NodeProcess, rows
from tests.system.real_node import VM, ZONE, await_state, left, prepare, why_not
from tests.system.test_real_zones import end_keeper

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

pytestmark = pytest.mark.skipif(
    bool(why_not()) or not shutil.which("unshare"),
    reason=why_not() or "not installed: unshare",
)

PREFIX = f"r{secrets.token_hex(2)}"
SUBNET = "10.125.0.0/24"
ZONES = tuple(f"web-{number}" for number in range(6))
"""More than are started at one time."""
STARTS = (*ZONES, "vm")
QUIET = ("quiet", "quiet-vm")
"""What has autoboot switched off."""
END_S = 10.0
BOOT = """
mount --bind "$1" /proc/sys/kernel/random/boot_id && mount -t proc proc "$2" && shift 2 && exec "$@"
"""
"""In a user namespace the kernel mounts a /proc where another is that nothing is mounted in."""
KEEPER = b"fifo.hypervisors.linux.keeper"


def boot(node: NodeProcess) -> str:
    """Have the host booted for a node, and start that; gives the boot's id."""
    made = str(uuid.uuid4())
    told = node.base / f"boot-{made}"
    told.write_text(f"{made}\n")
    whole = node.base / "proc"
    whole.mkdir(exist_ok=True)
    node.before = ("unshare", "--mount", "--", "/bin/sh", "-c", BOOT, "boot", str(told), str(whole))
    node.start()
    return made


def crash(node: NodeProcess, instances: Iterable[int]) -> None:
    """End all that is a node's, as when its host loses its power."""
    node.kill()
    found = set(KeeperHost(node.base / "run" / "keeper").ours())
    keepers = {pid for pid in found if KEEPER in Path(f"/proc/{pid}/cmdline").read_bytes()}
    assert keepers
    # Who would write down how the others end, dies first.
    asyncio.run(kill(keepers))
    asyncio.run(kill((found - keepers).union(instances)))


async def kill(pids: Iterable[int]) -> None:
    held = [os.pidfd_open(pid) for pid in pids]
    for process in held:
        signal.pidfd_send_signal(process, signal.SIGKILL)
    assert all(await asyncio.gather(*(ended(process, END_S) for process in held)))
    for process in held:
        os.close(process)


@pytest.fixture
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    # VMs boot, twice: on a busy machine that takes longer than one test may.
    faulthandler.cancel_dump_traceback_later()
    # A short name: a socket's path has 107 bytes at most.
    base = tmp_path_factory.mktemp("boot")
    prepare(base)
    made = NodeProcess(base, "--prefix", PREFIX, driver="linux")
    try:
        yield made
        if made.process is None:
            made.start()
        client = FleetClient(made.socket)
        client.delete_all()
        client.close()
        assert made.stop() == 0
    finally:
        made.kill()
        asyncio.run(end_keeper(base))


def answers(instance: Any, name: str) -> bool:
    with urllib.request.urlopen(f"http://{instance.addresses[0]}/", timeout=5) as answer:
        return f"hostname: {name}" in answer.read().decode()


def create(node: NodeProcess) -> dict[str, Any]:
    """Have instances of each kind that run, and some that a boot is not to start; gives all."""
    client = FleetClient(node.socket)
    client.import_image("zone", node.base / ZONE, "ROOTFS_TAR", "LX")
    client.import_image("vm", node.base / VM, "QCOW2", "KVM")
    client.create_network("lan", SUBNET)
    operations = [client.begin_create(name, "LX", "zone", 64) for name in (*ZONES, "down", "quiet")]
    operations += [client.begin_create(name, "KVM", "vm", 96) for name in ("vm", "quiet-vm")]
    for operation in operations:
        client.wait(operation)
    for name in QUIET:
        assert node.fifo("instance", "update", name, "autoboot=false").returncode == 0
    assert node.fifo("instance", "stop", "down").returncode == 0
    found = {name: client.get(name) for name in (*STARTS, *QUIET, "down")}
    client.close()
    return found


def on_the_host(node: NodeProcess, instances: dict[str, Any]) -> dict[str, set[str]]:
    """Give of which instances the host has control groups, containers and sockets."""
    found = left(node.base, PREFIX)
    return {
        kind: {name for name, own in instances.items() if any(own.uid in each for each in of_kind)}
        for kind, of_kind in found._asdict().items()
        if kind in {"cgroups", "containers", "sockets"}
    }


def test_after_a_reboot_what_is_wanted_starts_and_what_is_stale_goes(node: NodeProcess) -> None:
    first = boot(node)
    before = create(node)
    crash(node, {own.pid for own in before.values() if own.pid})
    assert on_the_host(node, before) == {
        "cgroups": {*STARTS, *QUIET}, "containers": {*ZONES, "quiet"}, "sockets": {"vm", "quiet-vm"}
    }  # fmt: skip

    second = boot(node)
    (host,) = rows(node.fifo("-o", "json", "hypervisor", "list"))
    assert host["boot_id"] == second != first
    client = FleetClient(node.socket)
    now = {name: await_state(client, name, Instance.RUNNING, before[name].pid) for name in STARTS}
    for name in (*QUIET, "down"):
        await_state(client, name, Instance.STOPPED)
    assert {own.restarts for own in now.values()} == {0}
    assert all(own.addresses == before[name].addresses for name, own in now.items())
    assert all(answers(now[name], name) for name in ZONES)
    assert PROMPT.strip() in await_prompt(client, "vm")
    assert on_the_host(node, before) == {
        "cgroups": {*STARTS}, "containers": {*ZONES}, "sockets": {"vm"}
    }  # fmt: skip
    # A port each, and the bridge.
    assert len(left(node.base, PREFIX).links) == len(STARTS) + 1

    for name in QUIET:
        assert client.get(name).state == Instance.STOPPED
        assert node.fifo("instance", "start", name).returncode == 0
        assert client.get(name).state == Instance.RUNNING
    assert answers(client.get("quiet"), "quiet")
    assert client.delete_all() == len(before)
    client.close()
    found = left(node.base, PREFIX)
    assert found.none, found
