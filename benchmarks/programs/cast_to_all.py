"""One cast to each of many idle servers, in rounds.

Run as `python -m benchmarks.programs.cast_to_all SERVERS ROUNDS`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.programs import meter, stage

if TYPE_CHECKING:
    from supervisors import Node


async def measure(node: Node) -> None:
    """Cast to all; the last one's answer ends a round."""
    count, rounds = map(int, sys.argv[1:])
    servers = await stage.servers(node, count)
    began_s = meter.now_cpu_s()
    for round_number in range(1, rounds + 1):
        for server in servers:
            server.cast("tick")
        assert await servers[-1].call("count") == round_number
    spent_s = meter.now_cpu_s() - began_s
    for server in servers:
        assert await server.call("count") == rounds
    meter.emit("cast_to_all", count * rounds / spent_s, "casts/CPU s")


if __name__ == "__main__":
    stage.run(measure)
