"""Watches: every change once, in order, from any revision that is kept, or an end that says why."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from fifo.store import limits
from fifo.store.contract import (
    CLOSED,
    COMPACTED,
    FAILED,
    OVERFLOW,
    Delete,
    Put,
    Txn,
    WatchBatch,
    WatchEnded,
)
from fifo.store.intervals import TO_END
from supervisors.errors import MailboxFull
from tests.store.engines import PATIENCE_S, Watcher

if TYPE_CHECKING:
    from fifo.store.contract import Delivery, EndReason, KeyValue, Store
    from tests.store.engines import Engine


def write(store: Store, *keys: bytes) -> int:
    puts = tuple(Put(key, b"") for key in keys)
    return store.txn(Txn(then=puts)).get(timeout=PATIENCE_S).revision


def told(events: list[KeyValue]) -> list[tuple[bytes, int]]:
    return [(kv.key, kv.mod_revision) for kv in events]


def test_a_watch_tells_what_comes_and_nothing_of_what_was(store: Store) -> None:
    write(store, b"a")
    watcher = Watcher(store, b"a", b"c")
    write(store, b"a")
    write(store, b"c")
    store.delete(b"a").get(timeout=PATIENCE_S)
    put, delete = watcher.events(2)
    assert (put.key, put.mod_revision, put.version, put.deleted) == (b"a", 3, 2, False)
    assert (delete.key, delete.mod_revision, delete.value, delete.deleted) == (b"a", 5, b"", True)


def test_a_watch_from_a_revision_begins_with_its_changes(store: Store) -> None:
    for key in (b"a", b"b", b"a", b"x"):
        write(store, key)
    watcher = Watcher(store, b"a", b"c", from_revision=3)
    assert told(watcher.events(2)) == [(b"b", 3), (b"a", 4)]
    write(store, b"b")
    assert told(watcher.events(1)) == [(b"b", 6)]


def test_a_watch_of_one_key_tells_of_no_other(store: Store) -> None:
    watcher = Watcher(store, b"a", from_revision=1)
    write(store, b"a\0", b"a", b"aa")
    assert told(watcher.events(1)) == [(b"a", 2)]


def test_a_watch_from_the_future_waits_for_it(store: Store) -> None:
    watcher = Watcher(store, b"a", TO_END, from_revision=4)
    for key in (b"a", b"b", b"c", b"d"):
        write(store, key)
    assert told(watcher.events(2)) == [(b"c", 4), (b"d", 5)]


def test_the_changes_of_a_txn_come_together(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "WATCH_CHUNK_EVENTS", 2)
    live = Watcher(store, b"a", TO_END)
    write(store, b"a", b"b", b"c", b"d", b"e")
    store.txn(Txn(then=(Delete(b"a"), Put(b"b", b""), Delete(b"c")))).get(timeout=PATIENCE_S)
    write(store, b"z")
    late = Watcher(store, b"a", TO_END, from_revision=2)
    for watcher in (live, late):
        batches: list[WatchBatch] = []
        while not batches or batches[-1].revision < 4:
            delivery = watcher.deliveries.get(timeout=PATIENCE_S)
            assert isinstance(delivery, WatchBatch)
            batches.append(delivery)
        ends = [(batch.events[0].mod_revision, batch.revision) for batch in batches]
        assert all(end < begin for (_, end), (begin, _) in itertools.pairwise(ends))
        assert [kv.mod_revision for batch in batches for kv in batch.events] == [2] * 5 + [
            3
        ] * 3 + [4]


def test_a_late_watch_meets_the_present_without_gap_or_repetition(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WATCH_CHUNK_EVENTS", 7)
    writes = [store.put(b"k%d" % (number % 5), b"") for number in range(150)]
    watchers = []
    for number, done in enumerate(writes):
        done.get(timeout=PATIENCE_S)
        if number % 10 == 0:
            watchers.append(Watcher(store, b"k", TO_END, from_revision=2))
            if len(writes) < 160:
                writes.append(store.put(b"k", b""))
    last = store.revision
    for watcher in watchers:
        seen = [kv.mod_revision for kv in watcher.events(last - 1)]
        assert seen == list(range(2, last + 1))


def test_many_watches_of_one_interval_are_all_told(store: Store) -> None:
    watchers = [Watcher(store, b"a", b"b") for _ in range(5)]
    watchers += [Watcher(store, b"a") for _ in range(5)]
    write(store, b"a")
    for watcher in watchers:
        assert told(watcher.events(1)) == [(b"a", 2)]
    assert store.statistics().watches == 10


def test_a_cancelled_watch_is_told_nothing_more(store: Store) -> None:
    first, second = Watcher(store, b"a"), Watcher(store, b"a")
    write(store, b"a")
    assert told(first.events(1)) == [(b"a", 2)]
    first.watch.cancel()
    first.watch.cancel()
    write(store, b"a")
    assert told(second.events(2)) == [(b"a", 2), (b"a", 3)]
    assert first.deliveries.empty()
    assert store.statistics().watches == 1


def test_a_watch_knows_how_far_it_has_told(store: Store) -> None:
    watcher = Watcher(store, b"a")
    assert watcher.watch.revision == 1
    write(store, b"a")
    write(store, b"b")
    # Nothing of the last txn matched: all of it has been told all the same.
    assert watcher.watch.revision == 3
    token = watcher.watch.revision
    watcher.watch.cancel()
    write(store, b"a")
    assert told(Watcher(store, b"a", from_revision=token + 1).events(1)) == [(b"a", 4)]


def test_a_watch_of_what_is_compacted_ends_at_once(store: Store) -> None:
    for _ in range(4):
        write(store, b"a")
    store.compact(4).get(timeout=PATIENCE_S)
    assert Watcher(store, b"a", from_revision=3).ended() == WatchEnded(COMPACTED, 2)
    assert told(Watcher(store, b"a", from_revision=4).events(2)) == [(b"a", 4), (b"a", 5)]


def test_a_deletion_at_the_revision_compacted_to_is_still_told(store: Store) -> None:
    write(store, b"a")
    revision = store.delete(b"a").get(timeout=PATIENCE_S).revision
    store.compact(revision).get(timeout=PATIENCE_S)
    write(store, b"b")
    events = Watcher(store, b"a", TO_END, from_revision=revision).events(2)
    assert [(kv.key, kv.deleted) for kv in events] == [(b"a", True), (b"b", False)]


def test_a_live_watch_outlives_compaction(store: Store) -> None:
    watcher = Watcher(store, b"a")
    write(store, b"a")
    store.compact(2).get(timeout=PATIENCE_S)
    write(store, b"a")
    assert told(watcher.events(2)) == [(b"a", 2), (b"a", 3)]


def test_a_watch_is_told_when_its_store_is_closed(engine: Engine) -> None:
    store = engine.open()
    watcher = Watcher(store, b"a")
    write(store, b"b")
    engine.close(store)
    assert watcher.ended() == WatchEnded(CLOSED, 2)


@pytest.mark.parametrize(
    ("error", "reason"), [(ValueError("broken"), FAILED), (MailboxFull("it", 1), OVERFLOW)]
)
def test_who_cannot_take_an_event_has_its_watch_ended(
    store: Store, error: Exception, reason: EndReason
) -> None:
    deliveries: list[Delivery] = []

    def refuse(delivery: Delivery) -> None:
        deliveries.append(delivery)
        if isinstance(delivery, WatchBatch) and delivery.revision == 3:
            raise error

    store.watch(b"a", None, 0, refuse)
    sane = Watcher(store, b"a")
    for _ in range(3):
        write(store, b"a")
    events = sane.events(3)
    assert deliveries == [
        WatchBatch((events[0],), 2),
        WatchBatch((events[1],), 3),
        WatchEnded(reason, 2),
    ]


def test_a_watch_can_write_to_its_store(store: Store) -> None:
    """What a delivery starts is told after it, in its order."""

    def answer(delivery: Delivery) -> None:
        if isinstance(delivery, WatchBatch):
            store.put(b"answer", b"%d" % delivery.revision)

    store.watch(b"ask", None, 0, answer)
    watcher = Watcher(store, b"a", b"b")
    write(store, b"ask")
    assert told(watcher.events(2)) == [(b"ask", 2), (b"answer", 3)]


def test_a_store_opened_again_goes_on_where_a_watch_stopped(engine: Engine) -> None:
    store = engine.open()
    watcher = Watcher(store, b"a", TO_END)
    write(store, b"a")
    store.delete(b"a").get(timeout=PATIENCE_S)
    seen = told(watcher.events(2))
    engine.close(store)
    token = watcher.ended().last_revision
    store = engine.open()
    write(store, b"b")
    assert seen + told(Watcher(store, b"a", TO_END, token + 1).events(1)) == [
        (b"a", 2),
        (b"a", 3),
        (b"b", 4),
    ]
    assert told(Watcher(store, b"a", TO_END, 1).events(3))[:2] == seen
