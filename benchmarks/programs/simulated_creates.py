"""Instances made through the API on a simulated host, durable in SQLite: alone and in batches.

Run as `python -m benchmarks.programs.simulated_creates SINGLE BATCHED`.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING

import uvloop

from benchmarks.programs import fifo_stage
from benchmarks.programs.meter import emit

if TYPE_CHECKING:
    from tests.system.node_process import NodeProcess

IN_FLIGHT = 64
BATCH = 100
BATCHES_IN_FLIGHT = 4


async def measure(running: NodeProcess, single: int, batched: int) -> None:
    """Create instances both ways and print rates by the wall clock."""
    client = fifo_stage.AioClient(running)
    await client.create("warm-up")
    gate = asyncio.Semaphore(IN_FLIGHT)

    async def one(number: int) -> None:
        async with gate:
            await client.create(f"one-{number}")

    before = fifo_stage.number(running, "fifo_store_changes_total")
    began_s = time.perf_counter()
    await asyncio.gather(*(one(number) for number in range(single)))
    emit("create_one_by_one", single / (time.perf_counter() - began_s), "instances/s")
    between = fifo_stage.number(running, "fifo_store_changes_total")
    emit("create_writes", (between - before) / single, "keys/instance")
    gate = asyncio.Semaphore(BATCHES_IN_FLIGHT)

    async def some(first: int) -> None:
        async with gate:
            await client.create_batch([f"many-{first + index}" for index in range(BATCH)])

    began_s = time.perf_counter()
    await asyncio.gather(*(some(first) for first in range(0, batched, BATCH)))
    emit("create_in_batches", batched / (time.perf_counter() - began_s), "instances/s")
    after = fifo_stage.number(running, "fifo_store_changes_total")
    emit("create_writes_in_batches", (after - between) / batched, "keys/instance")


def main() -> None:
    """Measure on a fresh node with hosts enough."""
    single, batched = map(int, sys.argv[1:])
    with fifo_stage.node("--simulated-hosts", "2") as running:
        uvloop.run(measure(running, single, batched))


if __name__ == "__main__":
    main()
