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
import time
import urllib.request
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fifo.cli.demo.console import await_prompt
from fifo.cli.demo.fleet_client import FleetClient
from fifo.cli.demo.remains import spawning_with_netns
from fifo.hypervisors.linux.guests import spawning, vm_images, zone_image
from fifo.hypervisors.linux.guests.vm import PROMPT
from fifo.hypervisors.linux.leftovers import Leftovers, leftovers
from fifo.hypervisors.linux.process_end import ended
from fifo.hypervisors.linux.settings import Settings
from fifo.v1.instance_pb2 import Instance
from tests.hypervisors.linux.keeper.keeper_host import KeeperHost
from tests.hypervisors.linux.zone_host import why_not
from tests.system.node_process import NodeProcess, rows
from tests.system.test_real_zones import end_keeper

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

pytestmark = pytest.mark.skipif(
    bool(why_not()) or not shutil.which("qemu-system-x86_64") or not shutil.which("unshare"),
    reason=why_not() or "VMs want QEMU, and a boot of its own unshare",
)

PREFIX = f"r{secrets.token_hex(2)}"
SUBNET = "10.125.0.0/24"
ZONES = tuple(f"web-{number}" for number in range(6))
"""More than are started at one time."""
LIMIT_S = 60.0
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
def node(tmp_path: Path) -> Iterator[NodeProcess]:
    # VMs boot, twice: on a busy machine that takes longer than one test may.
    faulthandler.cancel_dump_traceback_later()
    for path in (tmp_path, *tmp_path.parents[:2]):
        path.chmod(path.stat().st_mode | 0o711)
    zone = asyncio.run(zone_image.build(spawning.run, tmp_path / "guests"))
    shutil.copy(zone.path("rootfs"), tmp_path / "zone.tar")
    disk = asyncio.run(vm_images.disk(spawning.run, tmp_path / "guests"))
    shutil.copy(disk.path("disk"), tmp_path / "vm.qcow2")
    made = NodeProcess(tmp_path, "--prefix", PREFIX, driver="linux")
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
        asyncio.run(end_keeper(tmp_path))


def left(node: NodeProcess) -> Leftovers:
    settings = Settings(
        state_dir=node.base / "data" / "instances",
        run_dir=node.base / "run" / "linux",
        prefix=PREFIX,
        nic_tags={},
    )
    return asyncio.run(leftovers(spawning_with_netns, settings))


def named(found: Iterable[str], uids: Collection[str]) -> set[str]:
    """Give which uids are in names of things."""
    return {uid for uid in uids for name in found if uid in name}


def await_state(
    client: FleetClient, name: str, state: Instance.State.ValueType, not_pid: int = 0
) -> Any:
    until_s = time.monotonic() + LIMIT_S
    while time.monotonic() < until_s:
        found = client.get(name)
        if found.state == state and found.pid != not_pid:
            return found
        client.pause(0.05)
    raise AssertionError(f"{name} has not come to {Instance.State.Name(state)}: {found}")


def answers(instance: Any, name: str) -> bool:
    with urllib.request.urlopen(f"http://{instance.addresses[0]}/", timeout=5) as answer:
        return f"hostname: {name}" in answer.read().decode()


def test_after_a_reboot_what_is_wanted_starts_and_what_is_stale_goes(node: NodeProcess) -> None:
    first = boot(node)
    client = FleetClient(node.socket)
    client.import_image("zone", node.base / "zone.tar", "ROOTFS_TAR", "LX")
    client.import_image("vm", node.base / "vm.qcow2", "QCOW2", "KVM")
    client.create_network("lan", SUBNET)
    operations = [client.begin_create(name, "LX", "zone", 64) for name in (*ZONES, "down", "quiet")]
    operations += [client.begin_create(name, "KVM", "vm", 96) for name in ("vm", "quiet-vm")]
    for operation in operations:
        client.wait(operation)
    for name in ("quiet", "quiet-vm"):
        assert node.fifo("instance", "update", name, "autoboot=false").returncode == 0
    assert node.fifo("instance", "stop", "down").returncode == 0
    starts, stays = (*ZONES, "vm"), ("quiet", "quiet-vm", "down")
    before = {name: client.get(name) for name in (*starts, *stays)}
    client.close()

    crash(node, {own.pid for own in before.values() if own.pid})
    up = {before[name].uid for name in (*starts, "quiet", "quiet-vm")}
    machines = {before[name].uid for name in ("vm", "quiet-vm")}
    stale = left(node)
    assert named(stale.cgroups, up) == up
    assert named(stale.containers, up) == up - machines
    assert named(stale.sockets, up) == machines

    second = boot(node)
    (host,) = rows(node.fifo("-o", "json", "hypervisor", "list"))
    assert host["boot_id"] == second != first
    client = FleetClient(node.socket)
    now = {name: await_state(client, name, Instance.RUNNING, before[name].pid) for name in starts}
    for name in stays:
        assert await_state(client, name, Instance.STOPPED, before[name].pid or -1).pid == 0
    assert {own.restarts for own in now.values()} == {0}
    assert [now[name].addresses for name in starts] == [before[name].addresses for name in starts]
    assert all(answers(now[name], name) for name in ZONES)
    assert PROMPT.strip() in await_prompt(client, "vm")
    found = left(node)
    runs = {own.uid for own in now.values()}
    assert named(found.cgroups, {own.uid for own in before.values()}) == runs
    assert named(found.containers, up) == runs - machines
    assert named(found.sockets, up) == runs & machines
    # A port each, and the bridge.
    assert len(found.links) == len(runs) + 1

    for name in ("quiet", "quiet-vm"):
        assert node.fifo("instance", "start", name).returncode == 0
        assert client.get(name).state == Instance.RUNNING
    assert answers(client.get("quiet"), "quiet")
    assert client.delete_all() == len(before)
    client.close()
    found = left(node)
    assert found.none, found
