"""A process that holds a driver with a VM, to be killed: `python -m ...vm.node_process`.

Arguments: the directory of a `VmHost`, its prefix, and the two numbers of its network.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.hypervisors.linux.vm.vm_host import VmHost
from tests.hypervisors.linux.zone_host import network


async def work(directory: Path, prefix: str, first: int, second: int) -> None:
    """Start a VM, say its uid, and measure it until killed."""
    zones = VmHost(directory, prefix, network(first, second))
    driver = await zones.open()
    wanted = await zones.running()
    sys.stdout.write(f"{wanted.spec.uid}\n")
    sys.stdout.flush()
    while True:
        await driver.stats()


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
