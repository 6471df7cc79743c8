"""Reads: intervals, pages, and how things were."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fifo.model.errors import Compacted, FutureRevision
from fifo.store import limits
from fifo.store.contract import Delete, Put, Txn
from fifo.store.intervals import TO_END, after
from tests.store.engines import PATIENCE_S

if TYPE_CHECKING:
    from fifo.store.contract import RangeReply, Store
    from tests.store.engines import Engine


def fill(store: Store, *keys: bytes) -> None:
    store.txn(Txn(then=tuple(Put(key, b"=" + key) for key in keys))).get(timeout=PATIENCE_S)


def keys(reply: RangeReply) -> list[bytes]:
    return [kv.key for kv in reply.kvs]


@pytest.mark.parametrize(
    ("start", "end", "wanted"),
    [
        (b"b", None, [b"b"]),
        (b"x", None, []),
        (b"a", b"b", [b"a", b"a\0", b"a\xff"]),
        (b"a\0", b"b", [b"a\0", b"a\xff"]),
        (b"a", after(b"a"), [b"a"]),
        (b"b", TO_END, [b"b", b"c"]),
        (b"\0", TO_END, [b"a", b"a\0", b"a\xff", b"b", b"c"]),
        (b"c", b"a", []),
        (b"b", b"b", []),
    ],
)
def test_an_interval_is_half_open(
    store: Store, start: bytes, end: bytes | None, wanted: list[bytes]
) -> None:
    fill(store, b"b", b"a\xff", b"c", b"a", b"a\0")
    assert keys(store.range(start, end).get(timeout=PATIENCE_S)) == wanted


def test_pages_of_one_revision_show_what_was_there_then(store: Store) -> None:
    fill(store, *(b"k%d" % number for number in range(6)))
    first = store.range(b"k", TO_END, limit=2).get(timeout=PATIENCE_S)
    assert (keys(first), first.more) == ([b"k0", b"k1"], True)
    store.txn(Txn(then=(Delete(b"k2"), Put(b"k3", b"new"), Put(b"k2a", b""), Put(b"k6", b"")))).get(
        timeout=PATIENCE_S
    )
    seen = list(first.kvs)
    page = first
    while page.more:
        start = after(page.kvs[-1].key)
        page = store.range(start, TO_END, limit=2, revision=first.revision).get(timeout=PATIENCE_S)
        assert page.revision == first.revision
        seen += page.kvs
    assert [(kv.key, kv.value) for kv in seen] == [
        (b"k%d" % number, b"=k%d" % number) for number in range(6)
    ]


def test_every_revision_that_is_kept_can_be_read(store: Store) -> None:
    for value in (b"1", b"2"):
        store.put(b"a", value).get(timeout=PATIENCE_S)
    store.delete(b"a").get(timeout=PATIENCE_S)
    store.put(b"a", b"3").get(timeout=PATIENCE_S)
    store.put(b"b", b"").get(timeout=PATIENCE_S)
    seen = [
        [
            (kv.value, kv.create_revision, kv.mod_revision, kv.version)
            for kv in store.range(b"a", revision=revision).get(timeout=PATIENCE_S).kvs
        ]
        for revision in range(1, 7)
    ]
    assert seen == [
        [],
        [(b"1", 2, 2, 1)],
        [(b"2", 2, 3, 2)],
        [],
        [(b"3", 5, 5, 1)],
        [(b"3", 5, 5, 1)],
    ]


def test_names_alone_come_without_values(store: Store) -> None:
    fill(store, b"a", b"b")
    store.put(b"b", b"new").get(timeout=PATIENCE_S)
    for revision in (0, 2):
        reply = store.range(b"a", TO_END, revision=revision, keys_only=True)
        kvs = reply.get(timeout=PATIENCE_S).kvs
        assert [(kv.key, kv.value) for kv in kvs] == [(b"a", b""), (b"b", b"")]


def test_what_is_compacted_is_refused_and_the_rest_stays_readable(store: Store) -> None:
    for value in range(6):
        store.put(b"a", b"%d" % value).get(timeout=PATIENCE_S)
        store.put(b"b%d" % value, b"").get(timeout=PATIENCE_S)
    store.delete(b"b0", b"b3").get(timeout=PATIENCE_S)
    store.compact(8).get(timeout=PATIENCE_S)
    assert store.compacted == 8
    with pytest.raises(Compacted, match="before revision 8 is gone"):
        store.range(b"a", revision=7).get(timeout=PATIENCE_S)
    at = {
        revision: keys(store.range(b"a", TO_END, revision=revision).get(timeout=PATIENCE_S))
        for revision in (8, 13, 14)
    }
    assert at == {
        8: [b"a", b"b0", b"b1", b"b2"],
        13: [b"a", *(b"b%d" % value for value in range(6))],
        14: [b"a", b"b3", b"b4", b"b5"],
    }


def test_compacting_twice_is_harmless_and_the_future_cannot_be_compacted(store: Store) -> None:
    fill(store, b"a")
    for _ in range(2):
        assert store.compact(2).get(timeout=PATIENCE_S) is None
    assert store.compact(1).get(timeout=PATIENCE_S) is None
    with pytest.raises(FutureRevision, match="at most 2"):
        store.compact(3).get(timeout=PATIENCE_S)


def test_a_revision_that_is_not_reached_is_refused(store: Store) -> None:
    with pytest.raises(FutureRevision):
        store.range(b"a", revision=2).get(timeout=PATIENCE_S)


def test_what_was_compacted_away_is_still_right_after_opening_again(engine: Engine) -> None:
    store = engine.open()
    for value in range(20):
        store.put(b"a", b"%d" % value).get(timeout=PATIENCE_S)
        store.put(b"b", b"%d" % value).get(timeout=PATIENCE_S)
    store.delete(b"b").get(timeout=PATIENCE_S)
    incarnation, revision = store.incarnation, store.revision
    store.compact(revision).get(timeout=PATIENCE_S)
    engine.close(store)
    store = engine.open()
    assert (store.incarnation, store.revision, store.compacted) == (incarnation, revision, revision)
    (kv,) = store.range(b"a", TO_END).get(timeout=PATIENCE_S).kvs
    assert (kv.key, kv.value, kv.version) == (b"a", b"19", 20)
    store.put(b"c", b"").get(timeout=PATIENCE_S)
    store.compact(revision + 1).get(timeout=PATIENCE_S)
    assert keys(store.range(b"a", TO_END).get(timeout=PATIENCE_S)) == [b"a", b"c"]


def test_a_reply_holds_a_bounded_number_of_keys(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, b"a", b"b", b"c")
    reply = store.range(b"a", TO_END, limit=2).get(timeout=PATIENCE_S)
    assert (keys(reply), reply.more) == ([b"a", b"b"], True)
    reply = store.range(b"a", TO_END, limit=3).get(timeout=PATIENCE_S)
    assert (keys(reply), reply.more) == ([b"a", b"b", b"c"], False)
    # Reading the past from disk is bounded in bytes too.
    store.put(b"b", b"new").get(timeout=PATIENCE_S)
    monkeypatch.setattr(limits, "REPLY_BYTES", 4)
    seen: list[bytes] = []
    start, more = b"a", True
    while more:
        reply = store.range(start, TO_END, revision=2).get(timeout=PATIENCE_S)
        seen += keys(reply)
        start, more = after(seen[-1]), reply.more
    assert seen == [b"a", b"b", b"c"]
