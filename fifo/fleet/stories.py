"""Stories: the events of each instance, the latest `STORY_EVENTS`, older ones dropped for good.

An event is written in the transaction of the change that it tells of; what that pushes out goes in
the same transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fifo.model import keys, limits, records
from fifo.store.contract import Delete, Put

if TYPE_CHECKING:
    from fifo.model.story import StoryEvent
    from fifo.store.contract import Store


class Stories:
    """The keys of the stories that a session writes; owned by it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._keys: dict[str, list[bytes]] = {}

    async def know(self, uid: str) -> None:
        """Look up which events an instance has already."""
        if uid in self._keys:
            return
        prefix = keys.stories(uid)
        page = await self.store.range(prefix, keys.end_of(prefix), keys_only=True)
        self._keys[uid] = [kv.key for kv in page.kvs]

    def add(self, event: StoryEvent, number: int) -> list[Put | Delete]:
        """Give the writes that append an event; `know` was asked before. A repeat writes anew."""
        own = self._keys[event.uid]
        key = keys.story(event.uid, number)
        writes: list[Put | Delete] = [Put(key, records.encode(event))]
        if key not in own[-limits.JOURNAL_REPORT_ENTRIES :]:
            own.append(key)
        while len(own) > limits.STORY_EVENTS:
            writes.append(Delete(own.pop(0)))
        return writes

    def forget(self, uid: str) -> None:
        """Drop what is known of an instance that is gone."""
        self._keys.pop(uid, None)
