"""What metrics cost: the same casts with metrics on and off, by turns in one process.

Run as `python -m benchmarks.programs.metrics_cost CASTS SERVERS`: casts to one server in a block,
and servers that each get one cast in a block. A pair of blocks, one with metrics and one without,
in an order drawn by lot, gives one ratio of CPU times; printed is the median over all pairs. With
metrics off nothing is counted per message and no turn is timed.
"""

from __future__ import annotations

import random
import statistics
import sys
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry

from benchmarks.programs import meter, stage
from supervisors import metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from supervisors import Node

# Enough pairs that the median moves by less than half a per cent on a busy machine.
_PAIRS: Final = 101
# As in cast_to_one: the sender waits for an answer now and then.
_BURST: Final = 1_000
_SEED: Final = 64


async def median_cost(node: Node, block: Callable[[], Awaitable[None]]) -> float:
    """Give the median cost of metrics in per cent of the CPU time without."""
    shard = node.shard
    switched_on = shard.meter
    draw = random.Random(_SEED)
    ratios = []
    for _ in range(_PAIRS):
        spent_s = {}
        for on in draw.sample((True, False), 2):
            shard.meter = switched_on if on else None
            began_s = meter.now_cpu_s()
            await block()
            spent_s[on] = meter.now_cpu_s() - began_s
        ratios.append(spent_s[True] / spent_s[False])
    shard.meter = switched_on
    return (statistics.median(ratios) - 1) * 100


async def measure(node: Node) -> None:
    """Measure both."""
    casts, count = map(int, sys.argv[1:])
    if node.shard.meter is None:
        metrics.enable(node, CollectorRegistry())
    servers = await stage.servers(node, count)

    async def cast_to_one() -> None:
        server = servers[0]
        for _ in range(casts // _BURST):
            for _ in range(_BURST):
                server.cast("tick")
            await server.call("ping")

    async def cast_to_all() -> None:
        for server in servers:
            server.cast("tick")
        await servers[-1].call("ping")

    meter.emit("metrics_cost_cast_to_one", await median_cost(node, cast_to_one), "%")
    meter.emit("metrics_cost_cast_to_all", await median_cost(node, cast_to_all), "%")


if __name__ == "__main__":
    stage.run(measure)
