"""What tests of a node on this very machine share: guests to import, and what a node has left."""

from __future__ import annotations

import asyncio
import shutil
import time
from typing import TYPE_CHECKING, Any

from fifo.cli.demo.remains import spawning_with_netns
from fifo.hypervisors.linux.guests import spawning, vm_images, zone_image
from fifo.hypervisors.linux.leftovers import Leftovers, leftovers
from fifo.hypervisors.linux.settings import Settings
from fifo.v1.instance_pb2 import Instance
from tests.hypervisors.linux.zone_host import why_not as why_no_zones

if TYPE_CHECKING:
    from pathlib import Path

    from fifo.cli.demo.fleet_client import FleetClient

ZONE = "zone.tar"
VM = "vm.qcow2"
LIMIT_S = 60.0


def why_not() -> str:
    """Say why this machine cannot run zones and VMs; nothing if it can."""
    if reason := why_no_zones():
        return reason
    return "" if shutil.which("qemu-system-x86_64") else "not installed: qemu-system-x86_64"


def prepare(base: Path) -> None:
    """Put the small guests into a node's directory, which zones' users may pass then."""
    for path in (base, *base.parents[:2]):
        path.chmod(path.stat().st_mode | 0o711)
    zone = asyncio.run(zone_image.build(spawning.run, base / "guests"))
    shutil.copy(zone.path("rootfs"), base / ZONE)
    disk = asyncio.run(vm_images.disk(spawning.run, base / "guests"))
    shutil.copy(disk.path("disk"), base / VM)


def left(base: Path, prefix: str) -> Leftovers:
    """Look for what is on the host of the node in a directory."""
    settings = Settings(
        state_dir=base / "data" / "instances",
        run_dir=base / "run" / "linux",
        prefix=prefix,
        nic_tags={},
    )
    return asyncio.run(leftovers(spawning_with_netns, settings))


def await_state(
    client: FleetClient, name: str, state: Instance.State.ValueType, not_pid: int = -1
) -> Any:
    """Wait until an instance is in a state, and not by a process that it had; gives it."""
    until_s = time.monotonic() + LIMIT_S
    while time.monotonic() < until_s:
        found = client.get(name)
        if found.state == state and found.pid != not_pid:
            return found
        client.pause(0.05)
    raise AssertionError(f"{name} has not come to {Instance.State.Name(state)}: {found}")
