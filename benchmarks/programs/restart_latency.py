"""Single restarts, from the kill to the new one's first answer.

Run as `python -m benchmarks.programs.restart_latency SUPERVISORS CHILDREN`.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from benchmarks.programs import meter, stage
from supervisors import Future, start_child

if TYPE_CHECKING:
    from supervisors import Node


class Up:
    """Lets the driver wait for the next init."""

    def __init__(self) -> None:
        self.next: Future[None] = Future()

    def __call__(self) -> None:
        """Note an init."""
        self.next.set()
        self.next = Future()


async def measure(node: Node) -> None:
    """Kill every child once, no two neighbours in a row."""
    count, children = map(int, sys.argv[1:])
    supervisors = await stage.dynamic_supervisors(await stage.start_tree(node, count))
    up = Up()
    for number in range(count * children):
        await start_child(supervisors[number // children], stage.name(number), up)
    times_s = []
    for child in range(children):
        for supervisor in range(count):
            name = stage.name(supervisor * children + child)
            ref = node.address(name)
            began_s = time.monotonic()
            coming = up.next
            ref.kill()
            await coming
            assert await node.address(name).call("ping") == "pong"
            times_s.append(time.monotonic() - began_s)
    times_s.sort()
    for part in (0.50, 0.99):
        wall_us = times_s[int(len(times_s) * part)] * 1_000_000
        meter.emit(f"restart_p{part * 100:.0f}", wall_us, "wall us")


if __name__ == "__main__":
    stage.run(measure)
