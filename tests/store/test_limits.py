"""Limits: refused whole, by every engine, before anything is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from fifo.model.errors import InvalidInput, StoreFull, StoreLimit
from fifo.store import limits
from fifo.store.contract import Compare, Delete, DeleteRange, Get, Put, Txn, absent
from fifo.store.intervals import TO_END
from tests.store.engines import PATIENCE_S, Watcher

if TYPE_CHECKING:
    from fifo.store.contract import Store

OPERATIONS = limits.TXN_OPERATIONS
LONGEST_KEY = b"k" * limits.KEY_BYTES
LARGEST_VALUE = b"v" * limits.VALUE_BYTES


def puts(count: int) -> tuple[Put, ...]:
    return tuple(Put(b"k%03d" % number, b"") for number in range(count))


@pytest.mark.parametrize(
    "txn",
    [
        Txn(tuple(absent(b"c%03d" % number) for number in range(limits.TXN_COMPARES)), puts(1)),
        Txn((), puts(OPERATIONS), puts(OPERATIONS)),
        Txn((), (Put(LONGEST_KEY, LARGEST_VALUE),)),
        Txn((), (Delete(b"k"), DeleteRange(b"a", b"z"), Delete(b"k"))),
    ],
    ids=["compares", "operations", "key and value", "deletes of one key"],
)
def test_what_is_at_a_limit_is_done(store: Store, txn: Txn) -> None:
    assert store.txn(txn).get(timeout=PATIENCE_S).succeeded


@pytest.mark.parametrize(
    ("txn", "limit", "value"),
    [
        (Txn((absent(b"k"),) * 101), "TXN_COMPARES", 101),
        (Txn((), puts(OPERATIONS + 1)), "TXN_OPERATIONS", 101),
        (Txn((), puts(1), puts(OPERATIONS + 1)), "TXN_OPERATIONS", 101),
        (Txn((), (Put(LONGEST_KEY + b"k", b""),)), "KEY_BYTES", 513),
        (Txn((absent(LONGEST_KEY + b"k"),)), "KEY_BYTES", 513),
        (Txn((), (Put(b"k", LARGEST_VALUE + b"v"),)), "VALUE_BYTES", 262_145),
        (
            Txn((), tuple(Put(b"%04d" % number, LARGEST_VALUE) for number in range(4))),
            "TXN_BYTES",
            1_048_592,
        ),
        (
            Txn((Compare(b"k" * 4, "value", "=", LARGEST_VALUE * 4),), puts(1)),
            "TXN_BYTES",
            1_048_584,
        ),
        (Txn((), (Get(b"k", TO_END, limits.RANGE_KEYS + 1),)), "RANGE_KEYS", 10_001),
    ],
)
def test_what_is_over_a_limit_is_refused_by_its_name_and_value(
    store: Store, txn: Txn, limit: str, value: int
) -> None:
    with pytest.raises(StoreLimit) as refusal:
        store.txn(txn).get(timeout=PATIENCE_S)
    assert (refusal.value.limit, refusal.value.value) == (limit, value)
    assert limit in str(refusal.value)
    assert str(value) in str(refusal.value)
    assert store.revision == 1


@pytest.mark.parametrize(
    ("txn", "wanted"),
    [
        (Txn((), (Put(b"", b""),)), "at least one byte"),
        (Txn((absent(b""),)), "at least one byte"),
        (Txn((), (Put(b"k", b"1"), Put(b"k", b"2"))), "written at most once"),
        (Txn((), (Put(b"k", b"1"), Delete(b"k"))), "written at most once"),
        (Txn((), (), (DeleteRange(b"a", TO_END), Put(b"k", b"1"))), "written at most once"),
        (Txn((), (Get(b"k", limit=0),)), "at least 1"),
        (Txn((Compare(b"k", cast("Any", "size"), "=", 1),)), "not 'size'"),
        (Txn((Compare(b"k", "mod", cast("Any", "=="), 1),)), "not '=='"),
        (Txn((Compare(b"k", "mod", "=", b"1"),)), "an int"),
        (Txn((Compare(b"k", "value", "=", 1),)), "bytes"),
        (Txn((), (cast("Any", "put"),)), "operations, not str"),
    ],
)
def test_what_makes_no_sense_is_refused(store: Store, txn: Txn, wanted: str) -> None:
    with pytest.raises(InvalidInput, match=wanted):
        store.txn(txn).get(timeout=PATIENCE_S)
    assert store.revision == 1


def test_reads_leases_and_watches_have_their_limits_too(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreLimit, match="RANGE_KEYS"):
        store.range(b"a", TO_END, limit=limits.RANGE_KEYS + 1).get(timeout=PATIENCE_S)
    with pytest.raises(InvalidInput, match="at least one byte"):
        store.range(b"").get(timeout=PATIENCE_S)
    with pytest.raises(StoreLimit, match="LEASE_TTL_S_MAX"):
        store.grant(limits.LEASE_TTL_S_MAX + 1).get(timeout=PATIENCE_S)
    with pytest.raises(InvalidInput, match="at least 1"):
        store.grant(0).get(timeout=PATIENCE_S)
    monkeypatch.setattr(limits, "LEASES", 1)
    store.grant(5).get(timeout=PATIENCE_S)
    with pytest.raises(StoreLimit, match="LEASES"):
        store.grant(5).get(timeout=PATIENCE_S)
    monkeypatch.setattr(limits, "WATCHES", 1)
    Watcher(store, b"a")
    store.put(b"b", b"").get(timeout=PATIENCE_S)
    with pytest.raises(StoreLimit, match="WATCHES"):
        Watcher(store, b"a")


def test_a_txn_deletes_a_bounded_number_of_keys(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.txn(Txn(then=puts(3))).get(timeout=PATIENCE_S)
    monkeypatch.setattr(limits, "DELETE_KEYS", 2)
    with pytest.raises(StoreLimit, match="DELETE_KEYS"):
        store.delete(b"k", TO_END).get(timeout=PATIENCE_S)
    assert store.delete(b"k", b"k002").get(timeout=PATIENCE_S).responses == (2,)


def test_a_store_that_is_full_takes_deletes_and_no_puts(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(b"a", b"v" * 90).get(timeout=PATIENCE_S)
    assert not store.statistics().alarm
    monkeypatch.setattr(store, "_live_limit_bytes", 100)
    assert store.statistics().alarm
    assert store.statistics().live_alarm_bytes == limits.ALARM_PERCENT
    with pytest.raises(StoreFull, match="delete what is no longer needed"):
        store.put(b"b", b"v" * 90).get(timeout=PATIENCE_S)
    store.delete(b"a").get(timeout=PATIENCE_S)
    store.put(b"b", b"v" * 90).get(timeout=PATIENCE_S)


def test_a_lease_holds_a_bounded_number_of_keys(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = store.grant(5).get(timeout=PATIENCE_S)
    monkeypatch.setattr(limits, "LEASE_KEYS", limits.TXN_OPERATIONS)
    store.put(b"a", b"", lease=lease).get(timeout=PATIENCE_S)
    with pytest.raises(StoreLimit, match="LEASE_KEYS"):
        store.put(b"b", b"", lease=lease).get(timeout=PATIENCE_S)
