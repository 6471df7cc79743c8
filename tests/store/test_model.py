"""Every engine against the model: whatever is done to both, they answer alike."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from fifo.model.errors import Compacted
from fifo.store.contract import (
    COMPACTED,
    Compare,
    Delete,
    DeleteRange,
    Get,
    Put,
    Txn,
    WatchBatch,
)
from tests.store.engines import PATIENCE_S, MemoryEngine, SqliteEngine, Watcher
from tests.store.model import Model

if TYPE_CHECKING:
    from fifo.store.contract import KeyValue, Operation, Store
    from tests.store.engines import Engine

KEYS = st.sampled_from([b"a", b"ab", b"b", b"b\0", b"c"])
ENDS = st.sampled_from([None, b"ab", b"b", b"c", b"d", b"\0"])
VALUES = st.sampled_from([b"", b"1", b"2", b"long" * 50])
NUMBERS = st.integers(0, 12)
GETS = st.builds(Get, KEYS, ENDS, st.integers(1, 4))
RANGES = st.builds(DeleteRange, KEYS, ENDS.filter(lambda end: end is not None))
COMPARES = st.one_of(
    st.builds(
        Compare,
        KEYS,
        st.sampled_from(["mod", "create", "version", "lease"]),
        st.sampled_from(["=", "!=", "<", ">"]),
        NUMBERS,
    ),
    st.builds(Compare, KEYS, st.just("value"), st.sampled_from(["=", "!=", "<", ">"]), VALUES),
)


@st.composite
def branches(draw: st.DrawFn) -> tuple[Operation, ...]:
    """Make a branch in which no key is written twice."""
    if draw(st.booleans()):
        return tuple(draw(st.lists(st.one_of(GETS, RANGES, st.builds(Delete, KEYS)), max_size=3)))
    operations: list[Operation] = [
        Put(key, draw(VALUES)) if draw(st.integers(0, 3)) else Delete(key)
        for key in draw(st.lists(KEYS, unique=True, max_size=4))
    ]
    for get in draw(st.lists(GETS, max_size=2)):
        operations.insert(draw(st.integers(0, len(operations))), get)
    return tuple(operations)


TXNS = st.builds(
    Txn, st.lists(COMPARES, max_size=2).map(tuple), branches(), branches()
)  # fmt: skip


class Engines(RuleBasedStateMachine):
    """Does the same to a store and to the model; subclasses say which engine."""

    engine: Engine

    def make(self) -> Engine:
        """Make the engine, empty."""
        raise NotImplementedError

    @initialize()
    def begin(self) -> None:
        self.engine = self.make()
        self.store: Store = self.engine.open()
        self.model = Model()
        self.now_s = 0.0
        self.watchers: list[tuple[Watcher, bytes, bytes | None, int, list[KeyValue]]] = []

    @rule(txns=st.lists(TXNS, min_size=1, max_size=5))
    def do_txns_at_once(self, txns: list[Txn]) -> None:
        futures = [self.store.txn(txn) for txn in txns]
        for txn, future in zip(txns, futures, strict=True):
            assert future.get(timeout=PATIENCE_S) == self.model.txn(txn)
        assert self.store.revision == self.model.revision

    @rule(start=KEYS, end=ENDS, limit=st.integers(1, 5), back=NUMBERS)
    def read(self, start: bytes, end: bytes | None, limit: int, back: int) -> None:
        revision = max(1, self.model.revision - back)
        future = self.store.range(start, end, limit=limit, revision=revision)
        if revision < self.model.compacted:
            with pytest.raises(Compacted):
                future.get(timeout=PATIENCE_S)
        else:
            assert future.get(timeout=PATIENCE_S) == self.model.read(start, end, limit, revision)

    @rule(back=NUMBERS)
    def compact(self, back: int) -> None:
        revision = max(1, self.model.revision - back)
        self.store.compact(revision).get(timeout=PATIENCE_S)
        self.model.compacted = max(self.model.compacted, revision)
        assert self.store.compacted == self.model.compacted

    @precondition(lambda self: len(self.watchers) < 4)
    @rule(start=KEYS, end=ENDS, back=NUMBERS)
    def watch(self, start: bytes, end: bytes | None, back: int) -> None:
        first = max(1, self.model.revision + 1 - back)
        watcher = Watcher(self.store, start, end, first)
        if first < self.model.compacted:
            assert watcher.ended().reason == COMPACTED
        else:
            self.watchers.append((watcher, start, end, first, []))
            # Its history is read now; a compaction may take it later.
            self.look_at_watches()

    @rule()
    def look_at_watches(self) -> None:
        for watcher, start, end, first, seen in self.watchers:
            wanted = self.model.told(start, end, first)
            while len(seen) < len(wanted):
                delivery = watcher.deliveries.get(timeout=PATIENCE_S)
                assert isinstance(delivery, WatchBatch)
                assert delivery.revision >= delivery.events[-1].mod_revision
                seen.extend(delivery.events)
            assert [kv.mod_revision for kv in seen] == [kv.mod_revision for kv in wanted]
            assert sorted(seen, key=order) == sorted(wanted, key=order)

    @rule(ttl_s=st.integers(1, 9), key=KEYS)
    def hold(self, ttl_s: int, key: bytes) -> None:
        lease = self.store.grant(ttl_s).get(timeout=PATIENCE_S)
        self.model.leases[lease] = (ttl_s, self.now_s + ttl_s)
        txn = Txn(then=(Put(key, b"held", lease),))
        assert self.store.txn(txn).get(timeout=PATIENCE_S) == self.model.txn(txn)

    @precondition(lambda self: self.model.leases)
    @rule(data=st.data(), revoke=st.booleans())
    def touch(self, data: st.DataObject, revoke: bool) -> None:
        # By its age: the ids differ from run to run.
        age = data.draw(st.integers(0, len(self.model.leases) - 1))
        lease = list(self.model.leases)[age]
        if revoke:
            self.store.revoke(lease).get(timeout=PATIENCE_S)
            self.model.end_lease(lease)
        else:
            ttl_s = self.store.keep_alive(lease).get(timeout=PATIENCE_S)
            self.model.leases[lease] = (ttl_s, self.now_s + ttl_s)

    @rule(duration_s=st.integers(1, 5))
    def let_time_pass(self, duration_s: int) -> None:
        self.now_s += duration_s + 0.5
        over = [
            (due_s, lease) for lease, (_, due_s) in self.model.leases.items() if due_s <= self.now_s
        ]
        self.engine.advance(duration_s + 0.5)
        for _, lease in sorted(over):
            self.model.end_lease(lease)
        # Answered after all that was sent before it.
        assert self.store.txn(Txn()).get(timeout=PATIENCE_S).revision == self.model.revision

    @rule()
    def open_again(self) -> None:
        self.look_at_watches()
        self.engine.close(self.store)
        for watcher, *_ in self.watchers:
            assert watcher.ended().last_revision == self.model.revision
        self.watchers.clear()
        self.store = self.engine.open()
        assert (self.store.revision, self.store.compacted) == (
            self.model.revision,
            self.model.compacted,
        )
        self.model.leases = {
            lease: (ttl_s, self.now_s + ttl_s) for lease, (ttl_s, _) in self.model.leases.items()
        }

    def teardown(self) -> None:
        if hasattr(self, "model"):
            self.look_at_watches()
            self.engine.end()


def order(kv: KeyValue) -> tuple[int, bytes]:
    return kv.mod_revision, kv.key


class MemoryEngines(Engines):
    def make(self) -> Engine:
        return MemoryEngine()


class SqliteEngines(Engines):
    def make(self) -> Engine:
        self.directory = tempfile.TemporaryDirectory()
        return SqliteEngine(Path(self.directory.name))

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "directory"):
            self.directory.cleanup()


THOROUGH = settings(max_examples=20, stateful_step_count=25, deadline=None)
TestMemoryEngine = MemoryEngines.TestCase
TestMemoryEngine.settings = THOROUGH
TestSqliteEngine = SqliteEngines.TestCase
TestSqliteEngine.settings = THOROUGH
