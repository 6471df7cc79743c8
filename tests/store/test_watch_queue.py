"""A watch taken at the reader's own pace, with a bound."""

from __future__ import annotations

import pytest

from fifo.store.contract import CLOSED, OVERFLOW, WatchBatch, WatchEnded
from fifo.store.memory import MemoryStore
from fifo.store.watch_queue import WatchQueue
from supervisors import SimulatedHost


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(SimulatedHost().node(log_reports=False))


def take(store: MemoryStore, queue: WatchQueue) -> object:
    """Take what waits, or comes as soon as the store's node has run."""
    taken = queue.take()
    store._shard.host.run_ready()  # type: ignore[attr-defined]
    return taken.result()


def revisions(delivery: object) -> list[int]:
    assert isinstance(delivery, WatchBatch), delivery
    return [kv.mod_revision for kv in delivery.events]


def test_what_came_before_it_is_asked_for_waits(store: MemoryStore) -> None:
    queue = WatchQueue(store, b"a", None)
    for _ in range(2):
        store.put(b"a", b"").get()
    assert revisions(take(store, queue)) == [2]
    assert queue.revision == 2
    assert revisions(take(store, queue)) == [3]
    store.put(b"b", b"").get()
    assert queue.revision == 4


def test_who_asks_first_gets_what_comes(store: MemoryStore) -> None:
    queue = WatchQueue(store, b"a", None)
    taken = queue.take()
    assert not taken.done()
    store.put(b"a", b"").get()
    assert revisions(taken.result()) == [2]


@pytest.mark.parametrize("bound", [{"queue_events": 2}, {"queue_bytes": 20}])
def test_a_slow_reader_gets_what_waits_and_then_the_end(
    store: MemoryStore, bound: dict[str, int]
) -> None:
    queue = WatchQueue(store, b"a", None, **bound)
    for _ in range(4):
        store.put(b"a", b"123456789").get()
    assert [revisions(take(store, queue)) for _ in range(2)] == [[2], [3]]
    assert take(store, queue) == WatchEnded(OVERFLOW, 3)
    assert queue.revision == 3
    assert store.statistics().watches == 0
    # Nothing was left out: it goes on from there.
    again = WatchQueue(store, b"a", None, queue.revision + 1)
    assert revisions(take(store, again)) == [4, 5]


def test_one_large_batch_is_no_overflow(store: MemoryStore) -> None:
    for _ in range(4):
        store.put(b"a", b"").get()
    queue = WatchQueue(store, b"a", None, 2, queue_events=1)
    assert revisions(take(store, queue)) == [2, 3, 4, 5]


def test_the_end_of_the_watch_comes_last(store: MemoryStore) -> None:
    queue = WatchQueue(store, b"a", None)
    store.put(b"a", b"").get()
    store.close().get()
    assert revisions(take(store, queue)) == [2]
    assert take(store, queue) == WatchEnded(CLOSED, 2)


def test_a_closed_queue_gives_nothing_more(store: MemoryStore) -> None:
    queue = WatchQueue(store, b"a", None)
    store.put(b"a", b"").get()
    queue.close()
    store.put(b"a", b"").get()
    assert not queue.take().done()
    assert store.statistics().watches == 0
