"""Memory and start-up of supervised, registered servers.

Run as `python -m benchmarks.programs.start SUPERVISORS CHILDREN`, children of each supervisor.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.programs import meter, stage
from supervisors import start_child

if TYPE_CHECKING:
    from supervisors import Node


async def measure(node: Node) -> None:
    """Start one child after the other, each when the last one's init has answered."""
    count, children = map(int, sys.argv[1:])
    supervisors = await stage.dynamic_supervisors(await stage.start_tree(node, count))
    rss_bytes = meter.rss_bytes()
    began_s = meter.now_cpu_s()
    number = 0
    for supervisor in supervisors:
        for _ in range(children):
            number += 1
            await start_child(supervisor, stage.name(number))
    spent_s = meter.now_cpu_s() - began_s
    meter.emit("memory", (meter.rss_bytes() - rss_bytes) / number, "bytes/process")
    meter.emit("start", number / spent_s, "processes/CPU s")


if __name__ == "__main__":
    stage.run(measure)
