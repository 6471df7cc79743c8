"""A real virtual machine through a node: from the call to the prompt at its console.

Run as `python -m benchmarks.programs.vm COUNT` as root; `bare_vm` is its peer.
"""

from __future__ import annotations

import asyncio
import shutil
import statistics
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.programs import fifo_stage
from benchmarks.programs.meter import emit
from fifo.cli.demo.console import await_prompt
from fifo.cli.demo.fleet_client import FleetClient
from fifo.hypervisors.linux.guests import spawning, vm_images

if TYPE_CHECKING:
    from tests.system.node_process import NodeProcess

SUBNET = "10.121.0.0/24"
MEMORY_MIB = 128


def import_image(running: NodeProcess, client: FleetClient) -> None:
    """Bring the small VM's disk in."""
    image = asyncio.run(vm_images.disk(spawning.run, running.base / "guests"))
    file = running.base / "vm.qcow2"
    shutil.copy(image.path("disk"), file)
    client.import_image("vm", file, "QCOW2", "KVM")


def main() -> None:
    """Measure on a fresh node with the Linux driver."""
    with fifo_stage.node("--prefix", "bench", driver="linux") as running:
        client = FleetClient(running.socket)
        client.create_network("lan", SUBNET)
        import_image(running, client)
        times = []
        for number in range(int(sys.argv[1])):
            name = f"vm-{number}"
            began_s = time.perf_counter()
            client.wait(client.begin_create(name, "KVM", "vm", MEMORY_MIB))
            assert await_prompt(client, name), "no prompt came"
            times.append(time.perf_counter() - began_s)
            client.delete_all()
        client.close()
    emit("vm_to_prompt", statistics.median(times), "s")


if __name__ == "__main__":
    main()
