"""A node that starts with many instances in its store: to its first answer, and to all adopted.

Run as `python -m benchmarks.programs.cold_start INSTANCES`.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING

import grpc
import uvloop

from benchmarks.programs import fifo_stage
from benchmarks.programs.meter import emit
from fifo.cli.demo.fleet_client import FleetClient

if TYPE_CHECKING:
    from tests.system.node_process import NodeProcess

BATCH = 500
LOOK_S = 0.05
LINE = "fifo_instance_processes{"


async def fill(running: NodeProcess, instances: int) -> None:
    """Make the instances."""
    client = fifo_stage.AioClient(running)
    for first in range(0, instances, BATCH):
        await client.create_batch([f"i-{first + index}" for index in range(BATCH)])


def adopted(running: NodeProcess) -> int:
    """Count instances that were measured running."""
    return sum(
        line.startswith(LINE) and not line.endswith(" 0") for line in fifo_stage.page(running)
    )


def await_answer(running: NodeProcess) -> None:
    """Ask until the node answers; each time anew, since a channel waits longer and longer."""
    while True:
        if running.socket.exists():
            client = FleetClient(running.socket)
            try:
                client.get("i-0")
            except grpc.RpcError:
                pass
            else:
                return
            finally:
                client.close()
        time.sleep(LOOK_S)


def main() -> None:
    """Fill a node, end it, and start it again."""
    instances = int(sys.argv[1])
    with fifo_stage.node("--simulated-hosts", "3", "--sample-s", "0.2") as running:
        uvloop.run(fill(running, instances))
        running.stop()
        began_s = time.perf_counter()
        answering = threading.Thread(target=running.start)
        answering.start()
        await_answer(running)
        emit("cold_start_answer", time.perf_counter() - began_s, "s")
        answering.join()
        while adopted(running) < instances:
            time.sleep(LOOK_S)
        emit("cold_start_adopted", time.perf_counter() - began_s, "s")


if __name__ == "__main__":
    main()
