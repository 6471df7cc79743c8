"""One server calling another with the default timeout: `... awaited_call CALLS`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.programs import meter, stage
from supervisors import Future

if TYPE_CHECKING:
    from supervisors import Node


async def measure(node: Node) -> None:
    """Let one server make all the calls."""
    calls = int(sys.argv[1])
    caller, server = await stage.servers(node, 2)
    done: Future[None] = Future()
    began_s = meter.now_cpu_s()
    caller.cast((server, calls, done.set))
    await done
    meter.emit("awaited_call", calls / (meter.now_cpu_s() - began_s), "calls/CPU s")


if __name__ == "__main__":
    stage.run(measure)
