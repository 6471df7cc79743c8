"""The engines under one handle, so that a test of the contract is written once.

An etcd engine joins by one more class here: what it must offer is `Engine`.
"""

from __future__ import annotations

from queue import Queue
from typing import TYPE_CHECKING, Protocol, TypeVar

from fifo.store import limits
from fifo.store.contract import KeyValue, Store, WatchBatch, WatchEnded
from fifo.store.faults import NO_FAULTS
from fifo.store.memory import MemoryDisk, MemoryStore
from fifo.store.sqlite.store import SqliteStore, open_store
from supervisors import Future, ThreadHost

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fifo.store.contract import Delivery, Watch
    from fifo.store.faults import Faults
    from supervisors import Node

T = TypeVar("T")

PATIENCE_S = 20.0
"""How long a test waits for what will come; only a failing one waits so long."""


class Clock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


class Engine(Protocol):
    """What a test of the contract needs of an engine."""

    node: Node

    def open(self) -> Store:
        """Open the one store of this engine, or open it again."""

    def close(self, store: Store) -> None:
        """Close it in good order."""

    def advance(self, duration_s: float) -> None:
        """Let time pass, and what falls due happen."""

    def end(self) -> None:
        """Leave nothing behind."""


class _OnThread:
    """A node on a thread of its own, whose clock the test moves."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.host = ThreadHost(clock=self.clock, tune_gc=False)
        self.node = self.host.node(log_reports=False)
        self.store: Store | None = None

    def close(self, store: Store) -> None:
        store.close().get(timeout=PATIENCE_S)

    def advance(self, duration_s: float) -> None:
        self.clock.now_s += duration_s
        self.host.wake_from_outside()
        # One slice fires the timers, and what they post is done before the next is.
        for _ in range(3):
            self.on_shard(lambda: None)

    def on_shard(self, function: Callable[[], T]) -> T:
        """Run a function on the shard's thread and give its result."""
        future: Future[T] = Future(self.node.shard)

        def run() -> None:
            try:
                future.set(function())
            except Exception:  # noqa: BLE001 - raised again where the test waits
                future.set_exception()

        self.node.shard.run_on_shard(run)
        return future.get(timeout=PATIENCE_S)

    def end(self) -> None:
        if self.store is not None:
            self.close(self.store)
        self.host.close()


class MemoryEngine(_OnThread):
    """The memory engine."""

    def __init__(self, faults: Faults = NO_FAULTS) -> None:
        super().__init__()
        self.disk = MemoryDisk("0123456789abcdef" * 2)
        self.faults = faults

    def open(self) -> MemoryStore:
        store = self.on_shard(lambda: MemoryStore(self.node, self.disk, faults=self.faults))
        self.store = store
        return store


class SqliteEngine(_OnThread):
    """The SQLite engine."""

    def __init__(self, directory: Path, max_bytes: int = limits.DATABASE_BYTES) -> None:
        super().__init__()
        self.directory = directory
        self.max_bytes = max_bytes

    def open(self) -> SqliteStore:
        opening = open_store(self.node, self.directory, max_bytes=self.max_bytes)
        self.store = store = opening.get(timeout=PATIENCE_S)
        return store


class Watcher:
    """Collects what a watch delivers, from whatever thread."""

    def __init__(
        self, store: Store, start: bytes, end: bytes | None = None, from_revision: int = 0
    ) -> None:
        self.deliveries: Queue[Delivery] = Queue()
        self.watch: Watch = store.watch(start, end, from_revision, self.deliveries.put)

    def events(self, count: int) -> list[KeyValue]:
        """Give the next events; fails if more came with the last of them."""
        found: list[KeyValue] = []
        while len(found) < count:
            delivery = self.deliveries.get(timeout=PATIENCE_S)
            assert isinstance(delivery, WatchBatch), delivery
            found += delivery.events
        assert len(found) == count, found
        return found

    def ended(self) -> WatchEnded:
        """Give the end, which must be next."""
        delivery = self.deliveries.get(timeout=PATIENCE_S)
        assert isinstance(delivery, WatchEnded), delivery
        return delivery
