"""The same test on three hosts: a world is a node with a clock that only the test moves.

Tests are plain functions that talk to the node from outside. `world.wait(future)` lets everything
run and, when nothing can, jumps the clock to the next timer, so a five-second timeout costs
microseconds on every host and no test sleeps.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from supervisors import AsyncioHost, Future, Node, Ref, SimulatedHost, ThreadHost
from supervisors.messages import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Callable

    from supervisors.process import Process
    from supervisors.reports import Report

REAL_PATIENCE_S = 20.0
"""How long a test waits for something real (a thread, a worker) before it is given up."""


class ManualClock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        """Give the time."""
        return self.now_s


class World:
    """A node under one host, driven from the test's thread."""

    kind: str
    node: Node

    def __init__(self) -> None:
        self.reports: list[Report] = []

    def _listen(self) -> None:
        self.node.reports.subscribe(self.reports.append)

    def start(self, process_class: type[Process], *args: Any, **options: Any) -> Ref[Any]:
        """Start a process and wait for its init."""
        ref: Ref[Any] = self.wait(self.node.start(process_class, *args, **options))
        return ref

    def call(self, ref: Ref[Any], message: Any, timeout_s: float | None = 5.0) -> Any:
        """Call a process and wait for the answer."""
        return self.wait(ref.call(message, timeout_s))

    def wait(self, future: Future[Any]) -> Any:
        """Let everything run, and time pass where nothing can, until a future is settled."""
        raise NotImplementedError

    def settle(self) -> None:
        """Let everything run that can without time passing."""
        raise NotImplementedError

    def advance(self, duration_s: float) -> None:
        """Let time pass, firing what falls due on the way."""
        raise NotImplementedError

    def now_s(self) -> float:
        """Give the world's time."""
        raise NotImplementedError

    def on_shard(self, function: Callable[[], Any]) -> Any:
        """Run a function on the shard's thread between turns and give its result."""
        raise NotImplementedError

    def close(self) -> None:
        """Stop the host."""

    def supervisor_reports(self) -> list[tuple[str, Any, Any]]:
        """List (context, offender's id, reason) of the supervisor reports so far."""
        return [
            (report.context, report.offender.id if report.offender else None, report.reason)
            for report in self.reports
            if report.kind == "supervisor"
        ]


class SimulatedWorld(World):
    """Everything on the test's own thread."""

    kind = "simulated"

    def __init__(self, seed: int | None = None) -> None:
        super().__init__()
        self.host = SimulatedHost(seed=seed)
        self.node = self.host.node(log_reports=False)
        self._listen()

    def wait(self, future: Future[Any]) -> Any:
        return future.get()

    def settle(self) -> None:
        self.host.run_ready()

    def advance(self, duration_s: float) -> None:
        self.host.advance(duration_s)

    def now_s(self) -> float:
        return self.host.now_s

    def on_shard(self, function: Callable[[], Any]) -> Any:
        return function()


class ThreadedWorld(World):
    """A node on another thread, with a manual clock."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()

    def _nudge(self) -> None:
        self.node.shard.host.wake_from_outside()

    def on_shard(self, function: Callable[[], Any]) -> Any:
        done = threading.Event()
        told: list[Any] = []

        def run() -> None:
            try:
                told.append((function(), None))
            except Exception as error:  # noqa: BLE001 - raised again on the test's thread
                told.append((None, error))
            done.set()

        self.node.shard.run_on_shard(run)
        assert done.wait(REAL_PATIENCE_S), "the shard did not run"
        value, error = told[0]
        if error is not None:
            raise error
        return value

    def settle(self) -> None:
        shard = self.node.shard
        idle = threading.Event()

        def look() -> None:
            if shard.runq or shard.timers.due or shard.inbound:
                shard.inbound.append((None, SYSTEM, look, None))
            else:
                idle.set()

        shard.run_on_shard(look)
        assert idle.wait(REAL_PATIENCE_S), "the shard never came to rest"

    def wait(self, future: Future[Any]) -> Any:
        while True:
            self.settle()
            if future.done():
                return future.result()
            due_s = self.on_shard(self.node.shard.timers.next_live_s)
            if due_s is None:
                return future.get(timeout=REAL_PATIENCE_S)
            self.clock.now_s = max(self.clock.now_s, due_s)
            self._nudge()

    def advance(self, duration_s: float) -> None:
        until_s = self.clock.now_s + duration_s
        while True:
            self.settle()
            due_s = self.on_shard(self.node.shard.timers.next_live_s)
            if due_s is None or due_s > until_s:
                break
            self.clock.now_s = max(self.clock.now_s, due_s)
            self._nudge()
        self.clock.now_s = until_s
        self._nudge()
        self.settle()

    def now_s(self) -> float:
        return self.clock.now_s


class ThreadWorld(ThreadedWorld):
    """The thread host."""

    kind = "thread"

    def __init__(self) -> None:
        super().__init__()
        self.host = ThreadHost(clock=self.clock)
        self.node = self.host.node(log_reports=False)
        self._listen()

    def close(self) -> None:
        self.host.close()


class AsyncioWorld(ThreadedWorld):
    """The asyncio host, its loop on a thread of its own."""

    kind = "asyncio"

    def __init__(self) -> None:
        super().__init__()
        ready = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._main(ready)), name="loop", daemon=True
        )
        self._thread.start()
        assert ready.wait(REAL_PATIENCE_S)
        self._listen()

    async def _main(self, ready: threading.Event) -> None:
        self.loop = asyncio.get_running_loop()
        self._closing = asyncio.Event()
        self.host = AsyncioHost(clock=self.clock)
        self.node = self.host.node(log_reports=False)
        ready.set()
        await self._closing.wait()
        self.host.close()

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()


WORLDS: dict[str, Callable[[], World]] = {
    "simulated": SimulatedWorld,
    "asyncio": AsyncioWorld,
    "thread": ThreadWorld,
}
