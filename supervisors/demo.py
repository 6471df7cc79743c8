"""The demonstration: 100,000 supervised processes lose a tenth of their number and regain it.

`python -m supervisors.demo` shows it and ends, `--stay` keeps the node up, with a few deaths now
and then, an observe socket and Prometheus metrics on a loopback port, until it is interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry, start_http_server

from supervisors import (
    SIMPLE_ONE_FOR_ONE,
    AsyncioHost,
    ChildSpec,
    DynamicSupervisor,
    Flags,
    GenServer,
    Node,
    Ref,
    Supervisor,
    metrics,
    reports,
    start_child,
    which_children,
)
from supervisors.observe import screen
from supervisors.observe.feed import BEGAN
from supervisors.observe.server import ObserveServer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from supervisors.observe.feed import Feed

_PROCESSES: Final = 100_000
_CELL_CHILDREN: Final = 1_000
_SHARE_KILLED: Final = 10
_SINGLE_KILLS: Final = 200
_STAY_PERIOD_S: Final = 2.0
_DRAW_S: Final = 0.02
_BAR_WIDTH: Final = 40
_TREE_WIDTH: Final = 80
_TREE_LINES: Final = 14
_SPARKS: Final = "▁▂▃▄▅▆▇█"
_SPARKS_SHOWN: Final = 48


class Worker(GenServer):
    """One of many; all it has is a number."""

    def init(self, number: int) -> None:
        """Take the number."""
        self.number = number


@dataclass(frozen=True, slots=True)
class Town:
    """The tree of the demonstration: a root, its cells, and how many workers they hold."""

    node: Node
    root: Ref[Supervisor]
    workers: int

    def worker(self, number: int) -> Ref[Worker] | None:
        """Find a worker by its number, None while it is dead."""
        return self.node.whereis(_name(number))


class Progress:
    """One line that is drawn again and again on a terminal, and left out anywhere else."""

    def __init__(self) -> None:
        self._live = sys.stdout.isatty()
        self._drawn_s = 0.0

    def draw(self, now: int, of: int, text: str) -> None:
        """Show a bar, at most fifty times a second."""
        if not self._live or time.monotonic() - self._drawn_s < _DRAW_S:
            return
        self._drawn_s = time.monotonic()
        filled = _BAR_WIDTH * now // max(of, 1)
        bar = "█" * filled + "░" * (_BAR_WIDTH - filled)
        sys.stdout.write(f"\r  {bar} {now:>9,} {text}\x1b[K")
        sys.stdout.flush()

    def clear(self) -> None:
        """Make room for a line that stays."""
        if self._live:
            sys.stdout.write("\r\x1b[K")


def _name(number: int) -> str:
    return f"worker-{number}"


def _rss_bytes() -> int:
    resident_pages = int(Path("/proc/self/statm").read_text().split()[1])
    return resident_pages * os.sysconf("SC_PAGE_SIZE")


def _say(line: str = "") -> None:
    print(line, flush=True)


# -- starting -------------------------------------------------------------------------------------


async def start_town(node: Node, workers: int, progress: Progress) -> Town:
    """Start the tree: every worker registered by name, its init answered, under its cell."""
    before_bytes, began_s = _rss_bytes(), time.monotonic()
    cells = -(-workers // _CELL_CHILDREN)
    flags = Flags(SIMPLE_ONE_FOR_ONE, intensity=10 * _CELL_CHILDREN, period=1)
    worker = ChildSpec("worker", (Worker,), name=_name)
    specs = [
        ChildSpec(f"cell-{number}", (DynamicSupervisor, (flags, [worker])), type="supervisor")
        for number in range(cells)
    ]
    root = await node.start(Supervisor, Flags(), specs, name="town")
    rows = await which_children(root)
    supervisors = [ref for _, ref, _, _ in reversed(rows)]
    for index, supervisor in enumerate(supervisors):
        numbers = range(index * _CELL_CHILDREN, min((index + 1) * _CELL_CHILDREN, workers))
        for started in [start_child(supervisor, number) for number in numbers]:
            if not started.done():
                await started
        progress.draw(numbers.stop, workers, "started")
    took_s = time.monotonic() - began_s
    progress.clear()
    each_bytes = (_rss_bytes() - before_bytes) / workers
    _say(
        f"started   {workers:,} workers under {cells:,} supervisors in {took_s:.2f} s:"
        f" {workers / took_s:,.0f}/s, {each_bytes:,.0f} B each"
    )
    return Town(node, root, workers)


# -- losing and regaining -------------------------------------------------------------------------


class Losses:
    """Kills workers and waits, by the observer's feed, until their successors have begun."""

    def __init__(self, town: Town) -> None:
        self._town = town
        self._feed: Feed = town.node.observer.subscribe({BEGAN})
        self._killed_s: dict[str, float] = {}
        self.latencies_s: list[float] = []

    def kill(self, numbers: Sequence[int]) -> None:
        """Kill workers, all before anything else runs."""
        clock = self._town.node.shard.host.clock
        for number in numbers:
            ref = self._town.worker(number)
            if ref is not None:
                self._killed_s[_name(number)] = clock()
                ref.kill()

    @property
    def missing(self) -> int:
        """How many have no successor yet."""
        return len(self._killed_s)

    async def some_back(self) -> None:
        """Wait for the next successors."""
        for change in await self._feed.read():
            killed_s = self._killed_s.pop(change.name or "", None)
            if killed_s is not None:
                self.latencies_s.append(change.at_s - killed_s)

    def close(self) -> None:
        """Stop listening."""
        self._feed.close()


def quantiles_ms(latencies_s: Sequence[float]) -> tuple[float, float]:
    """Give the median and the 99th percentile in milliseconds."""
    percentiles = statistics.quantiles(latencies_s, n=100, method="inclusive")
    return percentiles[49] * 1_000, percentiles[98] * 1_000


def sparkline(values: Sequence[int], least: int, most: int) -> str:
    """Draw values between two bounds as a row of blocks."""
    step = max(1, -(-len(values) // _SPARKS_SHOWN))
    top = len(_SPARKS) - 1
    reach = max(1, most - least)
    return "".join(_SPARKS[(value - least) * top // reach] for value in values[::step])


async def lose_many(town: Town, draw: random.Random, progress: Progress) -> None:
    """Kill a tenth at once and show how they come back."""
    losses = Losses(town)
    count = max(2, town.workers // _SHARE_KILLED)
    alive = [town.workers]
    began_s = time.monotonic()
    losses.kill(draw.sample(range(town.workers), count))
    killed_s = time.monotonic() - began_s
    while losses.missing:
        now = town.workers - losses.missing
        alive.append(now)
        progress.draw(now, town.workers, "alive")
        await losses.some_back()
    took_s = time.monotonic() - began_s
    alive.append(town.workers)
    losses.close()
    progress.clear()
    middle_ms, late_ms = quantiles_ms(losses.latencies_s)
    _say(f"killed    {count:,} of them at random, at once, in {killed_s * 1_000:.0f} ms")
    _say(
        f"regained  all {town.workers:,} after {took_s * 1_000:.0f} ms:"
        f" {count / took_s:,.0f} restarts/s"
    )
    _say(f"latency   from kill to init p50 {middle_ms:.1f} ms, p99 {late_ms:.1f} ms")
    _say(f"alive     {sparkline(alive, min(alive), town.workers)} {min(alive):,} to {max(alive):,}")


async def lose_one_by_one(town: Town, draw: random.Random) -> None:
    """Kill one, wait for its successor, and again."""
    losses = Losses(town)
    kills = min(_SINGLE_KILLS, town.workers)
    for number in draw.sample(range(town.workers), kills):
        losses.kill([number])
        while losses.missing:
            await losses.some_back()
    losses.close()
    middle_ms, late_ms = quantiles_ms(losses.latencies_s)
    _say(f"one       at a time, {kills:,} times: p50 {middle_ms:.3f} ms, p99 {late_ms:.3f} ms")


def say_reports(node: Node) -> None:
    """Show what supervisors reported."""
    counts = node.reports.counts
    told = ", ".join(
        f"{counts[reports.SUPERVISOR, context]:,} {context}"
        for context in (reports.CHILD_TERMINATED, reports.START_ERROR, reports.SHUTDOWN)
    )
    _say(f"reported  {told}")


async def show_tree(town: Town) -> None:
    """Show the first lines of the tree, as the observer has it."""
    roots = await town.node.observer.snapshot(depth=2, rows=2)
    opened = frozenset(row.pid for row in roots.rows if row.pid is not None)
    snapshot = await town.node.observer.snapshot(opened=opened, children=6)
    _say()
    for line in screen.excerpt(snapshot, opened, _TREE_WIDTH, _TREE_LINES):
        _say(line.rstrip())
    _say()


# -- staying --------------------------------------------------------------------------------------


async def stay(
    town: Town, draw: random.Random, socket: Path | None, registry: CollectorRegistry
) -> None:
    """Keep the town up, with a few deaths now and then, until the task is cancelled."""
    few = max(1, town.workers // 1_000)
    with ExitStack() as stack:
        if socket is None:
            directory = Path(tempfile.mkdtemp(prefix="supervisors-"))
            stack.callback(shutil.rmtree, directory)
            socket = directory / "observe"
        stack.enter_context(ObserveServer(town.node, socket))
        server, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
        stack.callback(thread.join)
        stack.callback(server.server_close)
        stack.callback(server.shutdown)
        _say(f"watch     {sys.executable} -m supervisors.observe --socket {socket}")
        _say(f"metrics   http://127.0.0.1:{server.server_port}/metrics")
        _say(f"staying   {few:,} workers die every {_STAY_PERIOD_S:.0f} s; interrupt to end")
        while True:
            for number in draw.sample(range(town.workers), few):
                worker = town.worker(number)
                if worker is not None:
                    worker.kill()
            await asyncio.sleep(_STAY_PERIOD_S)


# -- the whole ------------------------------------------------------------------------------------


async def run(arguments: argparse.Namespace) -> None:
    """Run the demonstration on this loop and leave nothing behind."""
    host = AsyncioHost()
    node = host.node("demo", log_reports=False)
    registry = CollectorRegistry()
    metrics.enable(node, registry)
    draw = random.Random(arguments.seed)  # noqa: S311 - whom to kill is no secret
    progress = Progress()
    root: Ref[Any] | None = None
    try:
        town = await start_town(node, arguments.processes, progress)
        root = town.root
        if arguments.stay:
            await stay(town, draw, arguments.socket, registry)
        await lose_many(town, draw, progress)
        await lose_one_by_one(town, draw)
        say_reports(node)
        await show_tree(town)
    finally:
        if root is not None:
            began_s = time.monotonic()
            await root.stop(block=False)
            _say(
                f"stopped   in {time.monotonic() - began_s:.2f} s,"
                f" {len(node.shard.processes)} processes left"
            )
        host.close()


async def _run_until_interrupted(arguments: argparse.Namespace) -> int:
    task = asyncio.ensure_future(run(arguments))
    loop = asyncio.get_running_loop()
    for interrupt in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(interrupt, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        return 0 if arguments.stay else 1
    return 0


def _count(text: str) -> int:
    count = int(text.replace(",", "").replace("_", ""))
    if count < _SHARE_KILLED:
        raise argparse.ArgumentTypeError(f"{text} is too few: at least {_SHARE_KILLED}")
    return count


def main(argv: list[str]) -> int:
    """Run the command and give its exit status."""
    parser = argparse.ArgumentParser(prog="python -m supervisors.demo", description=__doc__)
    parser.add_argument("--processes", type=_count, default=_PROCESSES, metavar="N")
    parser.add_argument("--stay", action="store_true", help="keep the node up until interrupted")
    parser.add_argument("--socket", type=Path, metavar="PATH", help="where to be watched (--stay)")
    parser.add_argument("--seed", type=int, default=0, help="chooses whom to kill")
    return asyncio.run(_run_until_interrupted(parser.parse_args(argv)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
