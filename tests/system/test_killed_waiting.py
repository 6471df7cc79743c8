"""A node that is killed while it waits for others: the next one finishes what was asked.

As root on Linux with the packages of `make packages`; there is nothing to test without them.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import secrets
import shutil
import signal
from typing import TYPE_CHECKING

import pytest

from fifo.cli.demo.fleet_client import FleetClient
from fifo.v1.instance_pb2 import Instance
from tests.hypervisors.linux.images.archives import directory, entry, tar
from tests.hypervisors.linux.images.oci_registry import serving as serving_registry
from tests.hypervisors.linux.images.stalling import OneFile, Stall, serving
from tests.hypervisors.linux.images.test_layouts import Layout
from tests.system.node_process import NodeProcess, rows
from tests.system.real_node import VM, ZONE, await_state, left, prepare, why_not
from tests.system.test_real_zones import end_keeper

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "VMs can run here")

PREFIX = f"w{secrets.token_hex(2)}"
SUBNET = "10.126.0.0/24"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    # Guests are built, which on a busy machine takes longer than one test may.
    faulthandler.cancel_dump_traceback_later()
    base = tmp_path_factory.mktemp("waits")
    prepare(base)
    words = ("--prefix", PREFIX, "--images-from-private-addresses")
    try:
        with NodeProcess(base, *words, driver="linux") as running:
            yield running
            client = FleetClient(running.socket)
            client.delete_all()
            client.close()
            assert running.stop() == 0
    finally:
        asyncio.run(end_keeper(base))


def images(node: NodeProcess) -> set[str]:
    """List what is in the host's cache of images, hidden directories too."""
    return {path.name for path in (node.base / "data" / "instances" / "images").iterdir()}


def import_killed(node: NodeProcess, stall: Stall, *words: str) -> None:
    """Have an import killed where it stalls, and see that it is finished once."""
    before = images(node)
    begun = node.fifo(
        "image", "import", "image", *words, "--brand", "lx", "--no-wait", "-o", "name"
    )
    assert begun.returncode == 0, begun.stderr
    assert node.process is not None
    stall.name(node.process.pid)
    node.process.wait()
    assert not stall.armed
    node.kill()
    node.start()
    waited = node.fifo("operation", "wait", begun.stdout.strip())
    assert waited.returncode == 0, waited.stderr
    (image,) = rows(node.fifo("-o", "json", "image", "list"))
    assert image["state"] == "READY"
    (made,) = images(node) - before
    assert not made.startswith(".")
    assert node.fifo("image", "delete", "image", "--yes").returncode == 0
    assert images(node) == before


def test_a_download_goes_on_anew(node: NodeProcess) -> None:
    archive, stall = node.base / ZONE, Stall()
    handler = type("Handler", (OneFile,), {"file": archive, "stall": stall})
    stall.arm("/image", archive.stat().st_size // 2)
    with serving(handler) as address:
        url = f"http://{address}/image"
        import_killed(node, stall, "--url", url, "--format", "rootfs_tar")


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")
def test_a_pull_goes_on_anew(node: NodeProcess, tmp_path: Path) -> None:
    layout, stall = Layout(tmp_path / "served"), Stall()
    layer = layout.layer(tar(directory("bin"), entry("bin/x", data=b"x")))
    layout.finish([layer], {})
    stall.arm(layer["digest"].removeprefix("sha256:"), layer["size"] // 2)
    with serving_registry(layout, stall=stall) as registry:
        reference = registry.image.removeprefix("docker://")
        import_killed(node, stall, "--oci", reference, "--format", "oci_layout")


def test_a_vm_that_takes_its_time_to_power_down_is_stopped_in_order(node: NodeProcess) -> None:
    # A VM boots while it is asked to stop.
    faulthandler.cancel_dump_traceback_later()
    client = FleetClient(node.socket)
    client.import_image("vm", node.base / VM, "QCOW2", "KVM")
    client.create_network("lan", SUBNET)
    client.wait(client.begin_create("vm", "KVM", "vm", 96))
    before = client.get("vm")
    # It can feel nothing until it is let go on.
    os.kill(before.pid, signal.SIGSTOP)
    begun = node.fifo("instance", "stop", "vm", "--no-wait", "-o", "name")
    assert begun.returncode == 0, begun.stderr
    await_state(client, "vm", Instance.STOPPING)
    client.close()
    node.kill()
    os.kill(before.pid, signal.SIGCONT)
    node.start()
    waited = node.fifo("operation", "wait", begun.stdout.strip())
    assert waited.returncode == 0, waited.stderr
    client = FleetClient(node.socket)
    after = client.get("vm")
    assert (after.state, after.pid, after.restarts) == (Instance.STOPPED, 0, 0)
    assert after.HasField("exit_status")
    assert after.exit_status == 0
    client.delete_all()
    client.close()
    found = left(node.base, PREFIX)
    assert found.none, found
