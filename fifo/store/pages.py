"""Reading an interval that may hold more than one reply does, page after page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fifo.store import limits
from fifo.store.intervals import after

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fifo.store.contract import RangeReply, Store


async def pages(
    store: Store,
    start: bytes,
    end: bytes,
    *,
    limit: int = limits.RANGE_KEYS,
    revision: int = 0,
    keys_only: bool = False,
) -> AsyncIterator[RangeReply]:
    """Give the pages of an interval in order, all as of one revision: by default the newest.

    Each holds at most `limit` keys, and tells whether there are `more`; one is read when it is
    asked for. Awaited in a handler or a coroutine on the node's loop. Raises what `range` does:
    Compacted too, where a reader is so slow that its revision is kept no more.
    """
    while True:
        page = await store.range(start, end, limit=limit, revision=revision, keys_only=keys_only)
        revision = page.revision
        yield page
        if not page.more:
            return
        start = after(page.kvs[-1].key)
