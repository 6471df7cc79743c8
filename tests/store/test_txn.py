"""Txns: compares, the branch they choose, and what an operation answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fifo.store.contract import (
    Compare,
    Delete,
    DeleteRange,
    Get,
    KeyValue,
    Put,
    RangeReply,
    Txn,
    TxnReply,
    absent,
    exists,
    unchanged,
)
from fifo.store.intervals import TO_END
from tests.store.engines import PATIENCE_S

if TYPE_CHECKING:
    from fifo.store.contract import Operation, Store

YES = Put(b"yes", b"")
NO = Put(b"no", b"")


def do(store: Store, *then: Operation, compares: tuple[Compare, ...] = ()) -> TxnReply:
    return store.txn(Txn(compares, then)).get(timeout=PATIENCE_S)


def test_an_empty_store_has_revision_one_and_the_first_txn_two(store: Store) -> None:
    assert store.revision == 1
    assert do(store, Put(b"a", b"1")) == TxnReply(succeeded=True, revision=2, responses=(None,))
    assert store.revision == 2


def test_all_that_a_txn_writes_has_its_revision(store: Store) -> None:
    do(store, Put(b"a", b"1"), Put(b"b", b"2"))
    reply = store.range(b"a", b"c").get(timeout=PATIENCE_S)
    assert reply == RangeReply(
        (KeyValue(b"a", b"1", 2, 2, 1), KeyValue(b"b", b"2", 2, 2, 1)), revision=2
    )


def test_a_put_counts_versions_and_keeps_the_create_revision(store: Store) -> None:
    for value in (b"1", b"2", b"3"):
        do(store, Put(b"a", value))
    (kv,) = store.get(b"a").get(timeout=PATIENCE_S).kvs
    assert kv == KeyValue(b"a", b"3", 2, 4, 3)


def test_a_key_made_again_begins_anew(store: Store) -> None:
    do(store, Put(b"a", b"1"))
    assert store.delete(b"a").get(timeout=PATIENCE_S).responses == (1,)
    do(store, Put(b"a", b"2"))
    (kv,) = store.get(b"a").get(timeout=PATIENCE_S).kvs
    assert kv == KeyValue(b"a", b"2", 4, 4, 1)


def test_deleting_what_is_not_there_changes_nothing(store: Store) -> None:
    do(store, Put(b"a", b"1"))
    assert do(store, Delete(b"b"), DeleteRange(b"b", b"z")) == TxnReply(
        succeeded=True, revision=2, responses=(0, 0)
    )
    assert store.revision == 2


def test_a_range_is_deleted_in_one_revision(store: Store) -> None:
    for key in (b"a", b"b1", b"b2", b"c"):
        do(store, Put(key, b""))
    assert store.delete(b"b", b"c").get(timeout=PATIENCE_S) == TxnReply(
        succeeded=True, revision=6, responses=(2,)
    )
    kvs = store.range(b"a", TO_END).get(timeout=PATIENCE_S).kvs
    assert [kv.key for kv in kvs] == [b"a", b"c"]


@pytest.mark.parametrize(
    ("compare", "holds"),
    [
        (exists(b"k"), True),
        (exists(b"gone"), False),
        (absent(b"k"), False),
        (absent(b"gone"), True),
        (absent(b"deleted"), True),
        (unchanged(b"k", 3), True),
        (unchanged(b"k", 2), False),
        (unchanged(b"gone", 0), True),
        (unchanged(b"deleted", 0), True),
        (Compare(b"k", "create", "=", 2), True),
        (Compare(b"k", "create", "=", 3), False),
        (Compare(b"deleted", "create", "=", 0), True),
        (Compare(b"k", "mod", "<", 4), True),
        (Compare(b"k", "mod", ">", 3), False),
        (Compare(b"k", "mod", "!=", 3), False),
        (Compare(b"k", "version", "=", 2), True),
        (Compare(b"k", "version", ">", 2), False),
        (Compare(b"k", "lease", "=", 0), True),
        (Compare(b"k", "value", "=", b"two"), True),
        (Compare(b"k", "value", "!=", b"two"), False),
        (Compare(b"k", "value", "<", b"u"), True),
        (Compare(b"k", "value", ">", b"u"), False),
        # What is not there has no value: nothing is true of it, not even that it differs.
        (Compare(b"gone", "value", "=", b""), False),
        (Compare(b"gone", "value", "!=", b"two"), False),
        (Compare(b"deleted", "value", "!=", b"two"), False),
    ],
)
def test_a_compare_judges_by_the_present(store: Store, compare: Compare, holds: bool) -> None:
    do(store, Put(b"k", b"one"), Put(b"deleted", b""))
    do(store, Put(b"k", b"two"), Delete(b"deleted"))
    reply = store.txn(Txn((compare,), (YES,), (NO,))).get(timeout=PATIENCE_S)
    assert reply.succeeded is holds
    kvs = store.range(b"n", b"z").get(timeout=PATIENCE_S).kvs
    assert [kv.key for kv in kvs] == [b"yes" if holds else b"no"]


def test_one_compare_that_fails_chooses_the_other_branch(store: Store) -> None:
    do(store, Put(b"a", b""))
    reply = store.txn(Txn((exists(b"a"), exists(b"b")), (YES,), (Get(b"a"), Get(b"b")))).get(
        timeout=PATIENCE_S
    )
    found = RangeReply((KeyValue(b"a", b"", 2, 2, 1),), revision=2)
    assert reply == TxnReply(
        succeeded=False, revision=2, responses=(found, RangeReply((), revision=2))
    )


def test_a_get_sees_what_the_txn_wrote_before_it(store: Store) -> None:
    do(store, Put(b"a", b"1"), Put(b"b", b"1"))
    reply = do(store, Get(b"a"), Put(b"a", b"2"), Get(b"a"), Delete(b"b"), Get(b"a", b"z"))
    before, _, after, _, left = reply.responses
    assert before == RangeReply((KeyValue(b"a", b"1", 2, 2, 1),), revision=3)
    assert after == RangeReply((KeyValue(b"a", b"2", 2, 3, 2),), revision=3)
    assert left == after


def test_a_get_in_a_txn_keeps_its_limit(store: Store) -> None:
    do(store, *(Put(b"k%d" % number, b"") for number in range(4)))
    (found,) = do(store, Get(b"k", TO_END, limit=3)).responses
    assert isinstance(found, RangeReply)
    assert ([kv.key for kv in found.kvs], found.more) == ([b"k0", b"k1", b"k2"], True)


def test_of_two_txns_with_one_compare_one_succeeds(store: Store) -> None:
    claims = [store.txn(Txn((absent(b"k"),), (Put(b"k", b"%d" % number),))) for number in range(9)]
    won = [claim.get(timeout=PATIENCE_S).succeeded for claim in claims]
    assert won.count(True) == 1
    (kv,) = store.get(b"k").get(timeout=PATIENCE_S).kvs
    assert kv.value == b"%d" % won.index(True)


def test_each_txn_has_its_own_revision_however_many_are_in_flight(store: Store) -> None:
    writes = [store.put(b"k%d" % (number % 7), b"%d" % number) for number in range(100)]
    revisions = [write.get(timeout=PATIENCE_S).revision for write in writes]
    assert revisions == list(range(2, 102))
    assert store.revision == 101


def test_an_empty_txn_tells_the_revision(store: Store) -> None:
    do(store, Put(b"a", b""))
    assert do(store) == TxnReply(succeeded=True, revision=2)
