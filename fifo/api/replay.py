"""The replay of what a watcher missed, out of the store's history, when memory has it no more.

The tables are read as they were at the token's revision, and moved on by the store's own watch, a
chunk at a time: the next is asked for when the last was sent.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fifo.api import limits
from fifo.api.tables import Tables
from fifo.model.errors import HistoryGone, Unavailable
from fifo.store.contract import COMPACTED, WatchBatch, WatchEnded
from fifo.store.pages import pages

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fifo.api.tables import Change
    from fifo.store.contract import Delivery, Store

START, END = b"\x00", b"\xff"


class Replays:
    """Bounds how many watches rebuild an old state at one time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._room = asyncio.Semaphore(limits.REPLAYS)

    async def since(self, revision: int, target: int) -> AsyncIterator[tuple[Tables, list[Change]]]:
        """Give the changes after a revision until `target` is reached, chunk by chunk.

        Raises HistoryGone if the store has them no more.
        """
        async with self._room:
            tables = await self._load(revision)
            while tables.revision < target:
                batch = await self._chunk(tables.revision + 1)
                changes = list(tables.move(batch.events, 0.0))
                tables.revision = batch.revision
                yield tables, changes

    async def _load(self, revision: int) -> Tables:
        tables = Tables()
        most = limits.REPLAY_PAGE_KEYS
        async for page in pages(self._store, START, END, limit=most, revision=revision):
            tables.load(page.kvs)
            await asyncio.sleep(0)
        tables.revision = revision
        return tables

    async def _chunk(self, revision: int) -> WatchBatch:
        """Give the first events from a revision on, and let the watch go at once."""
        delivered: asyncio.Future[Delivery] = asyncio.get_running_loop().create_future()

        def deliver(what: Delivery) -> None:
            if not delivered.done():
                delivered.set_result(what)

        watch = self._store.watch(START, END, revision, deliver)
        try:
            found = await delivered
        finally:
            watch.cancel()
        if isinstance(found, WatchEnded):
            if found.reason == COMPACTED:
                raise HistoryGone(
                    "the history from there on is gone",
                    "resume_token",
                    "begin again with a snapshot",
                )
            raise Unavailable(f"the store's watch ended: {found.reason}")
        return found
