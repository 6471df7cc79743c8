"""Leases: keys that end with who holds them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fifo.model.errors import LeaseNotFound
from fifo.store.contract import Compare, Put, Txn
from fifo.store.intervals import TO_END
from tests.store.engines import PATIENCE_S, Watcher

if TYPE_CHECKING:
    from fifo.store.contract import Store
    from tests.store.engines import Engine


def names(store: Store) -> list[bytes]:
    kvs = store.range(b"\0", TO_END).get(timeout=PATIENCE_S).kvs
    return [kv.key for kv in kvs]


def granted(store: Store, ttl_s: int, *keys: bytes) -> int:
    lease = store.grant(ttl_s).get(timeout=PATIENCE_S)
    store.txn(Txn(then=tuple(Put(key, b"", lease) for key in keys))).get(timeout=PATIENCE_S)
    return lease


def test_a_lease_that_gives_no_sign_of_life_ends_with_its_keys_in_one_revision(
    engine: Engine,
) -> None:
    store = engine.open()
    granted(store, 5, b"a", b"b")
    store.put(b"c", b"").get(timeout=PATIENCE_S)
    watcher = Watcher(store, b"\0", TO_END)
    engine.advance(4.9)
    assert names(store) == [b"a", b"b", b"c"]
    engine.advance(0.2)
    gone = watcher.events(2)
    assert [(kv.key, kv.deleted, kv.mod_revision) for kv in gone] == [
        (b"a", True, 4),
        (b"b", True, 4),
    ]
    assert names(store) == [b"c"]
    assert store.statistics().leases == 0


def test_a_sign_of_life_gives_the_full_time_again(engine: Engine) -> None:
    store = engine.open()
    lease = granted(store, 5, b"a")
    for _ in range(4):
        engine.advance(4)
        assert store.keep_alive(lease).get(timeout=PATIENCE_S) == 5
    assert names(store) == [b"a"]
    watcher = Watcher(store, b"a")
    engine.advance(5.1)
    watcher.events(1)
    with pytest.raises(LeaseNotFound):
        store.keep_alive(lease).get(timeout=PATIENCE_S)


def test_leases_end_each_at_its_time(engine: Engine) -> None:
    store = engine.open()
    for ttl_s, key in ((9, b"c"), (3, b"a"), (6, b"b")):
        granted(store, ttl_s, key)
    watcher = Watcher(store, b"a", b"d")
    for key in (b"a", b"b", b"c"):
        engine.advance(3.1)
        assert [kv.key for kv in watcher.events(1)] == [key]


def test_revoking_deletes_the_keys_now(store: Store) -> None:
    lease = granted(store, 5, b"a", b"b")
    assert store.revoke(lease).get(timeout=PATIENCE_S) is None
    assert names(store) == []
    assert store.revision == 3
    for late in (store.revoke(lease), store.keep_alive(lease), store.put(b"a", b"", lease=lease)):
        with pytest.raises(LeaseNotFound, match="it has ended; stop acting"):
            late.get(timeout=PATIENCE_S)


def test_a_lease_without_keys_ends_without_a_revision(store: Store) -> None:
    lease = store.grant(5).get(timeout=PATIENCE_S)
    store.revoke(lease).get(timeout=PATIENCE_S)
    assert store.revision == 1


def test_the_last_put_says_which_lease_a_key_has(engine: Engine) -> None:
    store = engine.open()
    first = granted(store, 5, b"a", b"b", b"c", b"d")
    second = granted(store, 50, b"b")
    store.put(b"c", b"").get(timeout=PATIENCE_S)
    store.delete(b"d").get(timeout=PATIENCE_S)
    store.put(b"d", b"").get(timeout=PATIENCE_S)
    compares = tuple(
        Compare(key, "lease", "=", lease)
        for key, lease in ((b"a", first), (b"b", second), (b"c", 0), (b"d", 0))
    )
    assert store.txn(Txn(compares)).get(timeout=PATIENCE_S).succeeded
    watcher = Watcher(store, b"a")
    engine.advance(6)
    watcher.events(1)
    assert names(store) == [b"b", b"c", b"d"]


def test_a_store_opened_again_gives_each_lease_its_full_time(engine: Engine) -> None:
    store = engine.open()
    lease = granted(store, 5, b"a")
    ended = granted(store, 5, b"b")
    store.revoke(ended).get(timeout=PATIENCE_S)
    engine.advance(4)
    engine.close(store)
    engine.advance(100)
    store = engine.open()
    watcher = Watcher(store, b"a")
    engine.advance(4.9)
    assert names(store) == [b"a"]
    assert store.keep_alive(lease).get(timeout=PATIENCE_S) == 5
    with pytest.raises(LeaseNotFound):
        store.keep_alive(ended).get(timeout=PATIENCE_S)
    engine.advance(5.1)
    watcher.events(1)
    assert names(store) == []


def test_a_closed_store_does_nothing_when_a_lease_is_over(engine: Engine) -> None:
    store = engine.open()
    granted(store, 5, b"a")
    engine.close(store)
    engine.advance(10)
    assert names(engine.open()) == [b"a"]
