"""The steps of the demo, on a thread of its own beside the node's loop."""

from __future__ import annotations

import os
import signal
import time
import urllib.request
from typing import TYPE_CHECKING, Final, NamedTuple

from fifo.agent import names
from fifo.cli.demo.console import await_prompt
from fifo.cli.trees import tree_lines
from fifo.model.instance import Exit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fifo.cli.demo.fleet_client import FleetClient
    from fifo.cli.demo.screen import Screen
    from fifo.hypervisors.simulated.host import SimulatedHost
    from supervisors import Node

ZONES: Final = ("web-1", "web-2", "web-3")
VM: Final = "vm-1"
ZONE_MIB: Final = 64
VM_MIB: Final = 128
SUBNET: Final = "10.117.0.0/24"
SHOWN_METRICS: Final = (
    "fifo_instances", "fifo_hypervisor_claimed", "fifo_instance_restarts_total",
    "fifo_instance_cpu_seconds_total", "fifo_operations", "fifo_store_commits_total",
)  # fmt: skip


class Cast(NamedTuple):
    """Who plays: the node, its host, images by brand, and where metrics are.

    `simulated` is the host in memory, None where zones and VMs are real.
    """

    node: Node
    host: str
    images: dict[str, Path]
    metrics_port: int
    simulated: SimulatedHost | None


def prepare(client: FleetClient, images: dict[str, Path], screen: Screen) -> None:
    """Bring in what instances are made from: the images, and a network with addresses."""
    with screen.step("import the images of a zone and a VM"):
        client.import_image("zone", images["LX"], "ROOTFS_TAR", "LX")
        client.import_image("vm", images["KVM"], "QCOW2", "KVM")
    with screen.step("make a network with addresses"):
        client.create_network("lan", SUBNET)


class Demo:
    """The play, in order; every method is a part of it."""

    def __init__(self, client: FleetClient, cast: Cast, screen: Screen) -> None:
        self.client = client
        self.cast = cast
        self.screen = screen
        self.real = cast.simulated is None

    def play(self) -> None:
        """Run all parts."""
        self.create()
        if self.real:
            self.reach()
        self.kill()
        self.look()
        self.clear()

    def create(self) -> None:
        """Three zones and a VM."""
        screen, client = self.screen, self.client
        screen.title("Create three zones and a virtual machine")
        prepare(client, self.cast.images, screen)
        with screen.step("create four instances at once") as told:
            operations = [client.begin_create(name, "LX", "zone", ZONE_MIB) for name in ZONES]
            operations.append(client.begin_create(VM, "KVM", "vm", VM_MIB))
            for operation in operations:
                client.wait(operation)
            for name in (*ZONES, VM):
                found = client.get(name)
                told.append(f"{name} {', '.join(found.addresses)}")

    def reach(self) -> None:
        """A zone by HTTP, the VM by its console."""
        with self.screen.step("ask a zone over HTTP") as told:
            told.append(self.fetch(self.client.get(ZONES[0]).addresses[0]))
        with self.screen.step("wait at the VM's console for its prompt") as told:
            told.append(await_prompt(self.client, VM) or "no prompt came")

    @staticmethod
    def fetch(address: str) -> str:
        """Fetch a zone's page and give its first line."""
        with urllib.request.urlopen(f"http://{address}/", timeout=5) as answer:
            text: str = answer.read().decode()
        return text.splitlines()[0]

    def kill(self) -> None:
        """A zone's init, the VM's QEMU, an instance's actor."""
        self.screen.title("Kill what runs, and see it come back")
        self.back("kill -9 of a zone's init", ZONES[1], self.kill_process)
        self.back("kill -9 of the VM's QEMU", VM, self.kill_process)
        with self.screen.step("kill of an instance's actor") as told:
            told.append(self.kill_actor(ZONES[2]))

    def back(self, what: str, name: str, kill: Callable[[str], None]) -> None:
        """Kill something of an instance and tell when it ran again and what happened."""
        before = self.client.get(name)
        with self.screen.step(what) as told:
            kill(name)
            after = self.client.await_restart(name, before.restarts)
            told.append(f"{name} runs again, process {before.pid} is now {after.pid}")
        self.screen.say("\n".join(self.client.story(name)[-2:]))

    def kill_process(self, name: str) -> None:
        """Kill an instance's process on the host, real or simulated."""
        found = self.client.get(name)
        simulated = self.cast.simulated
        if simulated is None:
            os.kill(found.pid, signal.SIGKILL)
        else:
            end = Exit(at=time.time(), signal=signal.SIGKILL)
            self.cast.node.shard.run_on_shard(lambda: simulated.end(found.uid, end))

    def kill_actor(self, name: str) -> str:
        """Kill the process that tends an instance; the instance itself must not notice."""
        found = self.client.get(name)
        own = names.instance(self.cast.host, found.uid)
        actor = self.cast.node.whereis(own)
        assert actor is not None, "every instance has an actor"
        began_s = time.monotonic()
        actor.kill()
        while (successor := self.cast.node.whereis(own)) in (None, actor):
            self.client.pause(0.001)
        took_ms = 1000 * (time.monotonic() - began_s)
        after = self.client.get(name)
        untouched = "untouched" if after.pid == found.pid else "RESTARTED"
        return f"{actor.pid} is now {successor.pid} after {took_ms:.0f} ms, {name} {untouched}"

    def look(self) -> None:
        """The tree, the events, some metrics."""
        self.screen.title("The supervision tree")
        self.screen.say("\n".join(tree_lines(self.client.tree())))
        self.screen.title(f"What happened to {ZONES[1]}")
        self.screen.say("\n".join(self.client.story(ZONES[1])))
        self.screen.title("Some metrics")
        url = f"http://127.0.0.1:{self.cast.metrics_port}/metrics"
        with urllib.request.urlopen(url, timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        wanted = [line for line in lines if line.startswith(SHOWN_METRICS)]
        self.screen.say("\n".join(wanted[:16]))

    def clear(self) -> None:
        """Delete everything."""
        self.screen.title("Leave nothing behind")
        with self.screen.step("delete all instances") as told:
            told.append(f"{self.client.delete_all()} deleted")
