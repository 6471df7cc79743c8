"""Casts from one process to one server: `python -m benchmarks.programs.cast_to_one CASTS`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.programs import meter, stage

if TYPE_CHECKING:
    from supervisors import Node

# The sender waits for an answer now and then, since it is one turn and no one preempts it.
_BURST = 1_000


async def measure(node: Node) -> None:
    """Cast, and check that all were counted."""
    casts = int(sys.argv[1])
    (server,) = await stage.servers(node, 1)
    began_s = meter.now_cpu_s()
    for _ in range(casts // _BURST):
        for _ in range(_BURST):
            server.cast("tick")
        await server.call("ping")
    count = await server.call("count")
    spent_s = meter.now_cpu_s() - began_s
    assert count == casts, f"{count} of {casts} casts arrived"
    meter.emit("cast_to_one", casts / spent_s, "casts/CPU s")


if __name__ == "__main__":
    stage.run(measure)
