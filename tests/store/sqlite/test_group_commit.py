"""Group commit shares the fsync, and compaction frees the room while commits go on."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from fifo.model.errors import Compacted, StoreOverloaded
from fifo.store import limits
from fifo.store.contract import Put, Txn, absent
from fifo.store.intervals import TO_END
from fifo.store.sqlite.directory import DATABASE
from tests.store.engines import PATIENCE_S, Watcher

if TYPE_CHECKING:
    from fifo.store.contract import RangeReply, TxnReply
    from supervisors import Future
    from tests.store.engines import SqliteEngine


def rows(sqlite_engine: SqliteEngine) -> list[tuple[bytes, int]]:
    """Look at the file behind the store's back: keys with their revisions."""
    database = sqlite3.connect(sqlite_engine.directory / DATABASE)
    found = database.execute("SELECT key, id >> 20 FROM change ORDER BY id").fetchall()
    database.close()
    return found


def test_txns_in_flight_share_a_commit_and_have_revisions_of_their_own(
    sqlite: SqliteEngine,
) -> None:
    store = sqlite.open()

    def burst() -> list[Future[TxnReply]]:
        return [
            store.txn(Txn((absent(b"k%d" % number),), (Put(b"k%d" % number, b""),)))
            for number in range(200)
        ]

    replies = [write.get(timeout=PATIENCE_S) for write in sqlite.on_shard(burst)]
    assert [reply.revision for reply in replies] == list(range(2, 202))
    statistics = store.statistics()
    assert (statistics.txns, statistics.changes) == (200, 200)
    assert statistics.commits < 20


def test_a_txn_of_many_rows_is_one_commit(sqlite: SqliteEngine) -> None:
    store = sqlite.open()
    puts = tuple(Put(b"k%02d" % number, b"") for number in range(limits.TXN_OPERATIONS))
    assert len(puts) > limits.ROWS_PER_STATEMENT
    store.txn(Txn(then=puts)).get(timeout=PATIENCE_S)
    assert store.statistics().commits == 1
    assert rows(sqlite) == [(put.key, 2) for put in puts]


@pytest.mark.parametrize("step", [1, 3, 500])
def test_compaction_frees_what_nobody_can_see(
    sqlite: SqliteEngine, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    monkeypatch.setattr(limits, "SWEEP_ROWS", step)
    store = sqlite.open()
    for _ in range(10):
        store.put(b"a", b"").get(timeout=PATIENCE_S)
        store.put(b"b", b"").get(timeout=PATIENCE_S)
    store.delete(b"b").get(timeout=PATIENCE_S)
    store.put(b"b", b"").get(timeout=PATIENCE_S)
    store.delete(b"b").get(timeout=PATIENCE_S)
    store.put(b"c", b"").get(timeout=PATIENCE_S)
    store.compact(store.revision).get(timeout=PATIENCE_S)
    # The writer sweeps between commits and when it has nothing else to do.
    swept = [(b"a", 20), (b"c", 25)]
    for _ in range(40):
        store.put(b"d", b"").get(timeout=PATIENCE_S)
        if rows(sqlite)[:2] == swept:
            break
    assert rows(sqlite)[:2] == swept
    sqlite.close(store)
    store = sqlite.open()
    kvs = store.range(b"a", b"d").get(timeout=PATIENCE_S).kvs
    assert [(kv.key, kv.version) for kv in kvs] == [(b"a", 10), (b"c", 1)]


def test_a_sweep_that_was_cut_off_goes_on_after_opening(
    sqlite: SqliteEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = sqlite.open()
    for _ in range(30):
        store.put(b"a", b"").get(timeout=PATIENCE_S)
    store.compact(store.revision).get(timeout=PATIENCE_S)
    sqlite.close(store)
    # As a kill between the compaction and the sweep leaves it.
    database = sqlite3.connect(sqlite.directory / DATABASE, isolation_level=None)
    database.execute("UPDATE meta SET value = 1 WHERE name = 'swept'")
    database.close()
    store = sqlite.open()
    for _ in range(40):
        store.put(b"b", b"").get(timeout=PATIENCE_S)
        if rows(sqlite)[0] == (b"a", 31):
            break
    assert rows(sqlite)[0] == (b"a", 31)


def test_a_read_of_the_past_that_compaction_overtakes_is_refused(sqlite: SqliteEngine) -> None:
    store = sqlite.open()
    for value in (b"1", b"2", b"3"):
        store.put(b"a", value).get(timeout=PATIENCE_S)
    events = Watcher(store, b"a", TO_END, from_revision=2)
    events.events(3)

    def both() -> tuple[Future[None], Future[RangeReply]]:
        return store.compact(4), store.range(b"a", revision=2)

    compaction, read = sqlite.on_shard(both)
    compaction.get(timeout=PATIENCE_S)
    try:
        reply = read.get(timeout=PATIENCE_S)
    except Compacted:
        return
    assert [kv.value for kv in reply.kvs] == [b"1"]


def test_too_many_reads_of_the_past_are_refused(
    sqlite: SqliteEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = sqlite.open()
    for value in (b"1", b"2"):
        store.put(b"a", value).get(timeout=PATIENCE_S)
    monkeypatch.setattr(limits, "PENDING_READS", 2)
    reads = sqlite.on_shard(lambda: [store.range(b"a", revision=2) for _ in range(3)])
    assert store.statistics().pending_reads <= 2
    for read in reads[:2]:
        assert read.get(timeout=PATIENCE_S).kvs[0].value == b"1"
    with pytest.raises(StoreOverloaded, match="reads of the past wait"):
        reads[2].get(timeout=PATIENCE_S)
    assert store.range(b"a").get(timeout=PATIENCE_S).kvs[0].value == b"2"
