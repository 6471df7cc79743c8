"""A node on this very machine: real zones by runc, killed at every side and brought back.

As root on Linux with the packages of `make packages`; there is nothing to test without them.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fifo.cli.demo.fleet_client import FleetClient
from fifo.hypervisors.linux.guests import spawning, zone_image
from fifo.hypervisors.linux.keeper_client import KeeperClient
from tests.system.node_process import NodeProcess, fifo, rows
from tests.system.real_node import left

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("runc"),
    reason="real zones want root and runc; the simulated node's tests run everywhere",
)

PREFIX = "syst"
SUBNET = "10.118.0.0/24"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    directory = tmp_path_factory.mktemp("real")
    for path in (directory, *directory.parents[:2]):
        path.chmod(path.stat().st_mode | 0o711)
    yield directory
    asyncio.run(end_keeper(directory))


async def end_keeper(directory: Path) -> None:
    keeper = await KeeperClient.connect(directory / "run" / "keeper", patience_s=2.0)
    await keeper.shutdown(force=True)
    await keeper.close()


@pytest.fixture(scope="module")
def node(base: Path) -> Iterator[NodeProcess]:
    image = asyncio.run(zone_image.build(spawning.run, base / "guests"))
    shutil.copy(image.path("rootfs"), base / "zone.tar")
    with NodeProcess(base, "--prefix", PREFIX, "--sample-s", "0.5", driver="linux") as running:
        client = FleetClient(running.socket)
        client.import_image("zone", base / "zone.tar", "ROOTFS_TAR", "LX")
        client.create_network("lan", SUBNET)
        client.close()
        yield running
        if running.process is None:
            running.start()
        client = FleetClient(running.socket)
        client.delete_all()
        client.close()
        remove_strangers(running)
        assert running.stop() == 0


def remove_strangers(node: NodeProcess) -> None:
    """Leave nothing of a test that failed half way."""
    (host,) = rows(node.fifo("hypervisor", "list", "-o", "json"))
    for uid in host.get("foreign_instances", ()):
        node.fifo("hypervisor", "remove-foreign", host["name"], uid, "--yes")


def client_of(node: NodeProcess) -> FleetClient:
    return FleetClient(node.socket)


def create(node: NodeProcess, *names: str) -> FleetClient:
    client = client_of(node)
    for operation in [client.begin_create(name, "LX", "zone", 64) for name in names]:
        client.wait(operation)
    return client


def fetch(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/", timeout=5) as answer:
        text: str = answer.read().decode()
    return text


def await_pid_change(client: FleetClient, name: str, before: Any) -> Any:
    return client.await_restart(name, before.restarts)


def test_zones_answer_at_their_addresses_and_run_commands(node: NodeProcess) -> None:
    client = create(node, "web-1", "web-2")
    for name in ("web-1", "web-2"):
        assert f"hostname: {name}" in fetch(client.get(name).addresses[0])
    # What is piped in ends a shell, with its status, and leaves a console.
    shell = node.fifo("instance", "console", "web-1", "--shell", told="exit 5\n")
    assert (shell.returncode, "shell exited" in shell.stderr) == (5, True), shell
    assert node.fifo("instance", "console", "web-1", "--shell").returncode == 0
    assert "detached" in node.fifo("instance", "console", "web-1").stderr
    done = node.fifo("instance", "exec", "web-1", "--", "sh", "-c", "hostname; exit 7")
    assert (done.returncode, done.stdout.strip()) == (7, "web-1")
    assert node.fifo("instance", "logs", "web-1").returncode == 0
    assert rows(node.fifo("-o", "json", "instance", "stats", "web-1"))["processes"] >= 1


def test_a_zone_whose_init_is_killed_is_back_within_a_second(node: NodeProcess) -> None:
    client = create(node, "victim")
    before = client.get("victim")
    began_s = time.monotonic()
    os.kill(before.pid, signal.SIGKILL)
    after = await_pid_change(client, "victim", before)
    assert time.monotonic() - began_s < 1.5
    assert after.pid != before.pid
    assert "hostname: victim" in fetch(after.addresses[0])
    assert any("killed by signal 9" in told for told in client.story("victim"))


def test_zones_outlive_a_killed_node_and_what_ended_meanwhile_is_known(node: NodeProcess) -> None:
    client = create(node, "survivor", "ends")
    survivor, ends = client.get("survivor"), client.get("ends")
    client.close()
    node.kill()
    assert "hostname: survivor" in fetch(survivor.addresses[0])
    os.kill(ends.pid, signal.SIGTERM)
    node.start()
    client = client_of(node)
    client.await_restart("ends", ends.restarts)
    assert client.get("survivor").pid == survivor.pid
    assert client.get("survivor").restarts == survivor.restarts
    assert "hostname: survivor" in fetch(survivor.addresses[0])


def restore(node: NodeProcess, *forgotten: str, backup: str = "early") -> None:
    """Kill the node and put its store back; what is named of its private files is put aside too."""
    node.kill()
    private = node.base / "data" / "private"
    for own in ("store", *forgotten):
        shutil.rmtree(private / own)
    restored = fifo("store", "restore", str(node.base / backup), str(node.base / "data"))
    assert restored.returncode == 0, restored.stderr
    node.start()


def test_zones_that_a_restored_backup_does_not_know_are_adopted_untouched_or_removed(
    node: NodeProcess,
) -> None:
    # Longer than others: a node that was killed looks at its host anew, twice.
    assert node.fifo("admin", "backup", str(node.base / "early")).returncode == 0
    client = create(node, "young", "doomed")
    young, doomed = client.get("young"), client.get("doomed")
    client.close()
    restore(node)
    host, foreign = node.await_foreign(2)
    assert foreign == {young.uid, doomed.uid}
    adopted = node.fifo("hypervisor", "adopt-foreign", host, young.uid)
    assert adopted.returncode == 0, adopted.stderr
    client = client_of(node)
    now = client.get("young")
    assert (now.pid, now.restarts, now.addresses) == (young.pid, 0, young.addresses)
    assert "hostname: young" in fetch(now.addresses[0])
    assert node.fifo("instance", "exec", "young", "--", "true").returncode == 0
    removed = node.fifo("hypervisor", "remove-foreign", host, doomed.uid, "--yes")
    assert removed.returncode == 0, removed.stderr
    assert not Path(f"/proc/{doomed.pid}").exists()
    assert doomed.uid not in left(node.base, PREFIX).directories
    client.close()
    # Now nobody knows it but the host.
    restore(node, "agents")
    assert node.await_foreign(1) == (host, {young.uid})
    refused = node.fifo("hypervisor", "adopt-foreign", host, young.uid)
    assert (refused.returncode, "a leftover without a spec" in refused.stderr) == (5, True)
    assert "hostname: young" in fetch(young.addresses[0])
    removed = node.fifo("hypervisor", "remove-foreign", host, young.uid, "--yes")
    assert removed.returncode == 0, removed.stderr
    assert not Path(f"/proc/{young.pid}").exists()
    assert young.uid not in left(node.base, PREFIX).directories


def test_what_is_not_on_the_host_any_more_is_told_and_made_anew_only_when_it_is_started(
    node: NodeProcess,
) -> None:
    # Longer than others: two zones, and a node that is killed and looks at its host anew.
    client = create(node, "lost", "past")
    for name in ("lost", "past"):
        wrote = node.fifo("instance", "exec", name, "--", "sh", "-c", "echo data > /precious")
        assert wrote.returncode == 0, wrote.stderr
    assert node.fifo("instance", "stop", "lost", "--force").returncode == 0
    lost, past = client.get("lost").uid, client.get("past").uid
    assert node.fifo("admin", "backup", str(node.base / "later")).returncode == 0
    assert node.fifo("instance", "delete", "past", "--yes").returncode == 0
    client.close()
    node.kill()
    shutil.rmtree(node.base / "data" / "instances" / "instances" / lost)
    restore(node, backup="later")
    reasons = {}
    for name in ("lost", "past"):
        until_s = time.monotonic() + 10.0
        while (told := rows(node.fifo("instance", "get", name, "-o", "json")))["state"] != "FAILED":
            assert time.monotonic() < until_s, told
        reasons[name] = told["state_reason"]
    assert reasons["lost"] == "its data is no longer on this host"
    assert "deleted since the backup that was restored" in reasons["past"]
    assert not {lost, past} & set(left(node.base, PREFIX).directories)
    for name in ("lost", "past"):
        started = node.fifo("instance", "start", name)
        assert started.returncode == 0, started.stderr
        assert node.fifo("instance", "exec", name, "--", "test", "-e", "/precious").returncode == 1
        assert any("made anew" in text for text in client_of(node).story(name))


def test_after_the_last_delete_nothing_is_left_on_the_host(node: NodeProcess) -> None:
    client = create(node, "last")
    client.delete_all()
    found = left(node.base, PREFIX)
    assert found.none, found


def test_a_node_that_is_killed_while_it_creates_leaks_and_doubles_nothing(
    node: NodeProcess,
) -> None:
    for delay_s in (0.0, 0.02, 0.05, 0.1):
        client = client_of(node)
        names = [f"torn-{round(1000 * delay_s)}-{number}" for number in range(3)]
        operations = [client.begin_create(name, "LX", "zone", 64) for name in names]
        client.close()
        signal.sigtimedwait([], delay_s)
        node.kill()
        node.start()
        client = client_of(node)
        for operation in operations:
            client.wait(operation)
        addresses = {client.get(name).addresses[0] for name in names}
        assert len(addresses) == len(names)
        for name in names:
            assert f"hostname: {name}" in fetch(client.get(name).addresses[0])
        assert client.delete_all() == len(names)
        client.close()
    found = left(node.base, PREFIX)
    assert found.none, found
