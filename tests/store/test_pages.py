"""Reading page by page: everything once, in order, of one revision."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from fifo.model.errors import Compacted
from fifo.store.contract import Delete, Put, Txn
from fifo.store.pages import pages
from tests.store.engines import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fifo.store.contract import RangeReply, Store

KEYS = [b"k%d" % number for number in range(5)]


@pytest.fixture
def store(store: Store) -> Store:
    """Give a store with five keys, and one on either side of them."""
    puts = tuple(Put(key, b"old") for key in (b"j", *KEYS, b"l"))
    store.txn(Txn(then=puts)).get(timeout=PATIENCE_S)
    return store


async def all_of(reading: AsyncIterator[RangeReply]) -> list[RangeReply]:
    async with asyncio.timeout(PATIENCE_S):
        return [page async for page in reading]


@pytest.mark.parametrize(
    ("limit", "sizes"), [(1, [1] * 5), (2, [2, 2, 1]), (4, [4, 1]), (5, [5]), (9, [5])]
)
def test_every_key_of_the_interval_comes_once(store: Store, limit: int, sizes: list[int]) -> None:
    found = asyncio.run(all_of(pages(store, b"k", b"l", limit=limit)))
    assert [len(page.kvs) for page in found] == sizes
    assert [kv.key for page in found for kv in page.kvs] == KEYS
    assert [page.more for page in found] == [True] * (len(sizes) - 1) + [False]


def test_an_empty_interval_is_one_empty_page(store: Store) -> None:
    (page,) = asyncio.run(all_of(pages(store, b"x", b"y")))
    assert (page.kvs, page.revision) == ((), store.revision)


def test_what_changes_between_two_pages_is_not_seen(store: Store) -> None:
    before = store.revision

    async def scene() -> list[RangeReply]:
        found = []
        async for page in pages(store, b"k", b"l", limit=2):
            found.append(page)
            await store.txn(Txn(then=(Delete(KEYS[3]), Put(KEYS[4], b"new"), Put(b"k9", b""))))
        return found

    found = asyncio.run(scene())
    assert {page.revision for page in found} == {before}
    assert [(kv.key, kv.value) for page in found for kv in page.kvs] == [
        (key, b"old") for key in KEYS
    ]


def test_an_older_revision_and_names_alone_may_be_asked_for(store: Store) -> None:
    before = store.revision
    store.delete(b"k", b"l").get(timeout=PATIENCE_S)
    reading = pages(store, b"k", b"l", limit=3, revision=before, keys_only=True)
    found = asyncio.run(all_of(reading))
    assert [(kv.key, kv.value) for page in found for kv in page.kvs] == [(key, b"") for key in KEYS]


def test_a_reader_whose_revision_is_compacted_is_told(store: Store) -> None:
    async def scene() -> None:
        async for _ in pages(store, b"k", b"l", limit=2):
            revision = (await store.put(KEYS[0], b"new")).revision
            await store.compact(revision)

    with pytest.raises(Compacted):
        asyncio.run(scene())
