"""A host has one owner, whose fence is above all that it has seen, in a restored store too."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fifo.fleet.ownership import Ownership
from fifo.model import keys
from fifo.store.contract import Txn
from fifo.store.memory import MemoryStore
from fifo.store.statistics import Restored
from supervisors import AsyncioHost

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

HOST = "h"


def play(scene: Callable[[MemoryStore], Awaitable[None]], *, restored: bool) -> None:
    async def main() -> None:
        host = AsyncioHost(tune_gc=False)
        with host.node(log_reports=False) as node:
            store = MemoryStore(node)
            if restored:
                store._restored = Restored(at=1.0, revision=1)
            await scene(store)
            await store.close()
        host.close()

    asyncio.run(main())


async def owner(store: MemoryStore) -> Ownership:
    taken = Ownership(HOST, store)
    await taken.take("node")
    return taken


async def owns(store: MemoryStore, ownership: Ownership) -> bool:
    return (await store.txn(Txn((ownership.own(),)))).succeeded


def test_each_owner_has_a_higher_fence_and_those_before_own_nothing() -> None:
    async def scene(store: MemoryStore) -> None:
        first, second = await owner(store), await owner(store)
        assert second.fence > first.fence
        assert (await owns(store, first), await owns(store, second)) == (False, True)

    play(scene, restored=False)


def test_a_fence_that_is_too_low_is_raised_for_good_where_the_store_was_put_back() -> None:
    async def scene(store: MemoryStore) -> None:
        first = await owner(store)
        assert await first.outbid(100)
        assert first.fence > 100
        assert await owns(store, first)
        second = await owner(store)
        assert second.fence > first.fence
        assert await second.outbid(50)
        assert second.fence > first.fence

    play(scene, restored=True)


def test_an_owner_that_was_replaced_raises_nothing() -> None:
    async def scene(store: MemoryStore) -> None:
        first, second = await owner(store), await owner(store)
        before = second.fence
        assert not await first.outbid(100)
        assert (await owns(store, second), second.fence) == (True, before)

    play(scene, restored=True)


def test_where_the_store_was_never_put_back_a_higher_fence_is_another_owners() -> None:
    async def scene(store: MemoryStore) -> None:
        first = await owner(store)
        assert not await first.outbid(100)
        assert first.fence < 100

    play(scene, restored=False)


def test_an_owner_of_the_first_version_is_followed() -> None:
    async def scene(store: MemoryStore) -> None:
        await store.put(keys.by_uid(keys.OWNER, HOST), b"node")
        assert await owns(store, await owner(store))

    play(scene, restored=False)
