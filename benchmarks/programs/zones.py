"""Real zones through a node: one after the other, fifty at once, and killed.

Run as `python -m benchmarks.programs.zones ONE_BY_ONE BATCH KILLS` as root.
"""

from __future__ import annotations

import os
import signal
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from benchmarks.programs import fifo_stage
from benchmarks.programs.meter import emit
from fifo.cli.demo.fleet_client import FleetClient

if TYPE_CHECKING:
    from tests.system.node_process import NodeProcess

SUBNET = "10.119.0.0/24"


def resident_bytes(pid: int) -> int:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def ours_bytes(running: NodeProcess) -> int:
    """Resident memory of the node and its keeper."""
    assert running.process is not None
    keeper = str(running.base / "run" / "keeper")
    pids = [running.process.pid]
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if keeper in entry.read_bytes().decode().split("\0"):
                pids.append(int(entry.parent.name))
        except OSError:
            continue
    return sum(map(resident_bytes, pids))


def one_by_one(client: FleetClient, count: int) -> None:
    """Time each create from the call until the zone runs."""
    times = []
    for number in range(count):
        began_s = time.perf_counter()
        client.wait(client.begin_create(f"one-{number}", "LX", "zone", 64))
        times.append(time.perf_counter() - began_s)
    emit("zone_create", 1000 * statistics.median(times), "ms")


def kill(client: FleetClient, count: int) -> None:
    """Time each zone from the kill of its init until it runs again."""
    times = []
    for number in range(count):
        name = f"many-{number}"
        before = client.get(name)
        began_s = time.perf_counter()
        os.kill(before.pid, signal.SIGKILL)
        client.await_restart(name, before.restarts)
        times.append(time.perf_counter() - began_s)
    times.sort()
    emit("zone_restart_p99", times[min(len(times) - 1, int(0.99 * len(times)))], "s")


def main() -> None:
    """Measure on a fresh node with the Linux driver."""
    singles, batch, kills = map(int, sys.argv[1:])
    with fifo_stage.node("--prefix", "bench", driver="linux") as running:
        client = FleetClient(running.socket)
        client.create_network("lan", SUBNET)
        client.wait(client.begin_create("warm-up", "LX", "zone", 64))
        one_by_one(client, singles)
        client.delete_all()
        before = ours_bytes(running)
        began_s = time.perf_counter()
        names = [f"many-{number}" for number in range(batch)]
        uvloop.run(create_batch(running, names))
        emit("zones_at_once", time.perf_counter() - began_s, "s")
        emit("memory_a_zone", (ours_bytes(running) - before) / batch / 1024, "KiB")
        kill(client, kills)
        client.delete_all()
        client.close()


async def create_batch(running: NodeProcess, names: list[str]) -> None:
    """Create zones by one call."""
    await fifo_stage.AioClient(running).create_batch(names, "networks/lan")


if __name__ == "__main__":
    main()
