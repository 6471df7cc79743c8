"""Several nodes on one kind of host, joined by a memory network, with one clock the test moves."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from supervisors import AsyncioHost, Future, Node, Ref, SimulatedHost, ThreadHost, limits
from supervisors.messages import SYSTEM
from supervisors.remote.distribution import Distribution
from supervisors.remote.memory_transport import MemoryNetwork, MemoryTransport
from supervisors.remote.payloads import Payloads
from tests.supervisors.world import REAL_PATIENCE_S, ManualClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from supervisors.process import Process
    from supervisors.remote.peer_link import Bounds


class Cluster:
    """Nodes by name, driven from the test's thread."""

    kind: str

    def __init__(self, *, bounds: Bounds | None = None, **network: Any) -> None:
        self.payloads = Payloads()
        self.network = MemoryNetwork(bounds=bounds, **network)
        self.nodes: dict[str, Node] = {}
        self.transports: dict[str, MemoryTransport] = {}
        self.hosts: dict[str, Any] = {}

    # -- nodes and wires ---------------------------------------------------------------------

    def add(self, name: str, creation: int = 1) -> Node:
        """Make a node that is not connected yet."""
        self.nodes[name] = node = self._make_node(name, creation)
        self.transports[name] = transport = self.network.join(node)
        self.on_shard(name, lambda: Distribution(node, transport, self.payloads))
        return node

    def distribution(self, name: str) -> Distribution:
        """Give what a node knows of the others."""
        found = self.nodes[name].distribution
        assert found is not None
        return found

    def connect(self, *pairs: str) -> None:
        """Connect nodes, `"ab"` being a and b, and let them greet."""
        for pair in pairs:
            self.network.connect(*pair)
        self.settle()

    def cut(self, *pairs: str) -> None:
        """Cut connections and let both sides notice."""
        for pair in pairs:
            self.network.cut(*pair)
        self.settle()

    def part(self, *pairs: str) -> None:
        """Cut connections for long enough that the links are lost."""
        self.cut(*pairs)
        self.advance(limits.PEER_SUSPENDED_S + 0.01)

    def crash(self, name: str) -> None:
        """End a node without a word to anyone."""
        self.network.leave(name)
        self._close_node(name)
        del self.nodes[name], self.transports[name]

    # -- processes ---------------------------------------------------------------------------

    def start(
        self, node: str, process_class: type[Process], *args: Any, **options: Any
    ) -> Ref[Any]:
        """Start a process on a node and wait for its init."""
        started: Ref[Any] = self.wait(self.nodes[node].start(process_class, *args, **options))
        return started

    def seen_from(self, node: str, ref: Ref[Any]) -> Ref[Any]:
        """Give a ref as it would arrive at a node."""
        return self.distribution(node).address(ref.pid)

    def do(self, ref: Ref[Any], action: Callable[[Any], Any]) -> Any:
        """Let a process do something in its own turn, and wait for the result."""
        process = ref._process
        return self.wait(process.in_turn(lambda: action(process)))

    def seen(self, ref: Ref[Any]) -> list[Any]:
        """Let everything run, then list what a `Probe` got to see, also a dead one."""
        self.settle()
        return list(ref._process.seen)

    # -- time --------------------------------------------------------------------------------

    def wait(self, future: Future[Any]) -> Any:
        """Let everything run, and time pass where nothing can, until a future is settled."""
        while True:
            self.settle()
            if future.done():
                return future.result()
            due_s = self._next_due_s()
            assert due_s is not None, "nothing is left that could settle the future"
            self._set_clock(due_s)

    def advance(self, duration_s: float) -> None:
        """Let time pass on all nodes, firing what falls due on the way."""
        until_s = self.now_s() + duration_s
        while True:
            self.settle()
            due_s = self._next_due_s()
            if due_s is None or due_s > until_s:
                break
            self._set_clock(due_s)
        self._set_clock(until_s)
        self.settle()

    def now_s(self) -> float:
        """Give the time of all nodes."""
        raise NotImplementedError

    def settle(self) -> None:
        """Let everything run that can without time passing, until nothing is on its way."""
        raise NotImplementedError

    def on_shard(self, node: str, function: Callable[[], Any]) -> Any:
        """Run a function on a node's thread between turns and give its result."""
        raise NotImplementedError

    def close(self) -> None:
        """Stop the hosts."""

    def _make_node(self, name: str, creation: int) -> Node:
        raise NotImplementedError

    def _close_node(self, name: str) -> None:
        raise NotImplementedError

    def _next_due_s(self) -> float | None:
        dues = [
            self.on_shard(name, node.shard.timers.next_live_s) for name, node in self.nodes.items()
        ]
        return min((due for due in dues if due is not None), default=None)

    def _set_clock(self, now_s: float) -> None:
        raise NotImplementedError


class SimulatedCluster(Cluster):
    """Everything on the test's own thread, in virtual time."""

    kind = "simulated"

    def __init__(self, *, seed: int | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.host = SimulatedHost(seed=seed)

    def _make_node(self, name: str, creation: int) -> Node:
        return self.host.node(name, creation=creation, log_reports=False)

    def _close_node(self, name: str) -> None:
        self.host.nodes.remove(self.nodes[name])

    def now_s(self) -> float:
        return self.host.now_s

    def _set_clock(self, now_s: float) -> None:
        self.host.now_s = max(self.host.now_s, now_s)

    def settle(self) -> None:
        self.host.run_ready()

    def on_shard(self, node: str, function: Callable[[], Any]) -> Any:
        del node
        return function()


class ThreadedCluster(Cluster):
    """Nodes on other threads, with one manual clock."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.clock = ManualClock()

    def now_s(self) -> float:
        return self.clock.now_s

    def _set_clock(self, now_s: float) -> None:
        self.clock.now_s = max(self.clock.now_s, now_s)
        for node in self.nodes.values():
            node.shard.host.wake_from_outside()

    def on_shard(self, node: str, function: Callable[[], Any]) -> Any:
        done = threading.Event()
        told: list[Any] = []

        def run() -> None:
            try:
                told.append((function(), None))
            except Exception as error:  # noqa: BLE001 - raised again on the test's thread
                told.append((None, error))
            done.set()

        self.nodes[node].shard.run_on_shard(run)
        assert done.wait(REAL_PATIENCE_S), f"the shard of {node} did not run"
        value, error = told[0]
        if error is not None:
            raise error
        return value

    def settle(self) -> None:
        while True:
            before = self._activity()
            for node in self.nodes.values():
                self._settle_one(node)
            if before == self._activity():
                return

    def _activity(self) -> list[tuple[int, int]]:
        """What changes when anything happened: nothing can be on its way between equal looks."""
        return [
            (node.shard.turns, self.transports[name].moved) for name, node in self.nodes.items()
        ]

    def _settle_one(self, node: Node) -> None:
        shard = node.shard
        idle = threading.Event()

        def look() -> None:
            if shard.runq or shard.timers.due or shard.inbound:
                shard.inbound.append((None, SYSTEM, look, None))
            else:
                idle.set()

        shard.run_on_shard(look)
        assert idle.wait(REAL_PATIENCE_S), f"the shard of {node} never came to rest"


class ThreadCluster(ThreadedCluster):
    """Each node on a thread of its own."""

    kind = "thread"

    def _make_node(self, name: str, creation: int) -> Node:
        self.hosts[name] = host = ThreadHost(clock=self.clock, tune_gc=False)
        return host.node(name, creation=creation, log_reports=False)

    def _close_node(self, name: str) -> None:
        self.hosts.pop(name).close()

    def close(self) -> None:
        for host in self.hosts.values():
            host.close()


class AsyncioCluster(ThreadedCluster):
    """All nodes on one asyncio loop, which has a thread of its own."""

    kind = "asyncio"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        ready = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._main(ready)), name="loop", daemon=True
        )
        self._thread.start()
        assert ready.wait(REAL_PATIENCE_S)

    async def _main(self, ready: threading.Event) -> None:
        self.loop = asyncio.get_running_loop()
        self._closing = asyncio.Event()
        ready.set()
        await self._closing.wait()
        for host in self.hosts.values():
            host.close()

    def _on_loop(self, function: Callable[[], Any]) -> Any:
        async def run() -> Any:
            return function()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(REAL_PATIENCE_S)

    def _make_node(self, name: str, creation: int) -> Node:
        def make() -> Node:
            self.hosts[name] = host = AsyncioHost(clock=self.clock, tune_gc=False)
            return host.node(name, creation=creation, log_reports=False)

        return self._on_loop(make)  # type: ignore[no-any-return]

    def _close_node(self, name: str) -> None:
        self._on_loop(self.hosts.pop(name).close)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()


CLUSTERS: dict[str, type[Cluster]] = {
    "simulated": SimulatedCluster,
    "asyncio": AsyncioCluster,
    "thread": ThreadCluster,
}
