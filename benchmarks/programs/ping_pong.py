"""Two servers exchanging casts, two a round trip: `... ping_pong TRIPS`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.programs import meter, stage
from supervisors import Future

if TYPE_CHECKING:
    from supervisors import Node


async def measure(node: Node) -> None:
    """Serve a ball that says how often it is still to be returned."""
    trips = int(sys.argv[1])
    one, other = await stage.servers(node, 2)
    done: Future[None] = Future()
    await one.call((other, done.set))
    await other.call((one, done.set))
    began_s = meter.now_cpu_s()
    one.cast(2 * trips)
    await done
    spent_s = meter.now_cpu_s() - began_s
    meter.emit("ping_pong", spent_s * 1_000_000 / trips, "CPU us/round trip")


if __name__ == "__main__":
    stage.run(measure)
