"""The store on the asyncio host: handlers and coroutines await it, and a batch costs two wakes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from fifo.store.sqlite.store import open_store
from supervisors import AsyncioHost, GenServer

if TYPE_CHECKING:
    from pathlib import Path

    from fifo.store.contract import Store


class Writer(GenServer):
    """Writes a key when told to."""

    def init(self, store: Store) -> None:
        self.store = store

    async def handle_call(self, message: bytes, caller: object) -> Any:
        return (await self.store.put(message, b"")).revision


def test_handlers_and_coroutines_await_one_store(tmp_path: Path) -> None:
    async def main() -> None:
        host = AsyncioHost(tune_gc=False)
        with host.node(log_reports=False) as node:
            store = await open_store(node, tmp_path)
            told: asyncio.Queue[Any] = asyncio.Queue()
            store.watch(b"a", b"z", 0, told.put_nowait)
            writers = [await node.start(Writer, store) for _ in range(20)]
            async with asyncio.timeout(20):
                revisions = await asyncio.gather(
                    *(writer.call(b"h%d" % number) for number, writer in enumerate(writers)),
                    *(one(store, b"c%d" % number) for number in range(20)),
                )
                seen = 0
                while seen < 40:
                    seen += len((await told.get()).events)
            assert sorted(revisions) == list(range(2, 42))
            assert len((await store.range(b"a", b"z")).kvs) == 40
            await store.close()
        host.close()

    async def one(store: Store, key: bytes) -> int:
        return (await store.put(key, b"")).revision

    asyncio.run(main())


def test_a_batch_costs_one_wake_on_its_way_and_one_on_its_way_back(tmp_path: Path) -> None:
    wakes = 0

    class CountingHost(AsyncioHost):
        def wake_from_outside(self) -> None:
            nonlocal wakes
            wakes += 1
            super().wake_from_outside()

    async def main() -> None:
        host = CountingHost(tune_gc=False)
        with host.node(log_reports=False) as node:
            store = await open_store(node, tmp_path)
            before = wakes
            await asyncio.gather(*(store.put(b"k%d" % number, b"") for number in range(200)))
            commits = store.statistics().commits
            assert commits < 20
            assert wakes - before <= 2 * commits
            await store.close()
        host.close()

    asyncio.run(main())
