"""A process that holds a driver, to be killed: `python -m tests.hypervisors.linux.node_process`.

Arguments: the directory of a `ZoneHost`, its prefix, and the two numbers of its network. It starts
three zones, says their uids on its standard output, and works on until it is killed.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.hypervisors.linux.zone_host import ZoneHost, network


async def work(directory: Path, prefix: str, first: int, second: int) -> None:
    """Start zones, then more and more of what a node does."""
    zones = ZoneHost(directory, prefix, network(first, second))
    driver = await zones.open()
    started = [await zones.running() for _ in range(3)]
    sys.stdout.write(" ".join(each.spec.uid for each in started) + "\n")
    sys.stdout.flush()
    while True:
        await driver.stats()
        await driver.inventory()
        busy = await zones.running()
        await driver.delete(busy.spec.uid)


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
