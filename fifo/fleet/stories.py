"""Stories: the events of each instance, the latest `STORY_EVENTS`, older ones dropped for good.

An event is written in the transaction of the change that it tells of; what that pushes out goes in
the same transaction, and the event says how many have gone by then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from fifo.model import keys, limits, records
from fifo.model.story import StoryEvent
from fifo.store.contract import Delete, Put

if TYPE_CHECKING:
    from fifo.store.contract import KeyValue, Store


class _Story:
    """The keys of one story in their order, and how many events it has lost."""

    __slots__ = ("dropped", "keys")

    def __init__(self) -> None:
        self.keys: list[bytes] = []
        self.dropped = 0


def dropped_of(newest: KeyValue) -> int:
    """Tell how many events a story has lost, by its newest event; raises DataLoss."""
    return records.decode(StoryEvent, newest.value, newest.key.decode()).dropped


class Stories:
    """The keys of the stories that a session writes; owned by it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._known: dict[str, _Story] = {}

    async def know(self, uid: str) -> None:
        """Look up which events an instance has already."""
        if uid in self._known:
            return
        prefix = keys.stories(uid)
        story = _Story()
        page = await self.store.range(prefix, keys.end_of(prefix), keys_only=True)
        story.keys = [kv.key for kv in page.kvs]
        if story.keys and (newest := (await self.store.get(story.keys[-1])).kvs):
            story.dropped = dropped_of(newest[0])
        self._known[uid] = story

    def add(self, event: StoryEvent, number: int) -> list[Put | Delete]:
        """Give the writes that append an event; `know` was asked before. A repeat writes anew."""
        return self._append(event, keys.story(event.uid, number))

    def add_own(self, event: StoryEvent) -> list[Put | Delete]:
        """Give the writes that append what no agent tells; `know` was asked before."""
        own = self._known[event.uid].keys
        number, after = keys.story_number(own[-1]) if own else (0, 0)
        return self._append(event, keys.story(event.uid, number, after + 1))

    async def add_beside(self, event: StoryEvent, number: int) -> list[Put | Delete]:
        """Give the writes that append an event behind what has its number; `know` was asked before.

        A repeat writes anew: it is known by its kind and its time.
        """
        own, after = self._known[event.uid].keys, 0
        while (key := keys.story(event.uid, number, after)) in own:
            found = (await self.store.get(key)).kvs
            told = records.decode(StoryEvent, found[0].value, key.decode()) if found else event
            if (told.kind, told.at) == (event.kind, event.at):
                break
            after += 1
        return self._append(event, key)

    def _append(self, event: StoryEvent, key: bytes) -> list[Put | Delete]:
        own = self._known[event.uid]
        writes: list[Put | Delete] = []
        if key not in own.keys[-limits.JOURNAL_REPORT_ENTRIES :]:
            own.keys.append(key)
        while len(own.keys) > limits.STORY_EVENTS:
            writes.append(Delete(own.keys.pop(0)))
            own.dropped += 1
        marked = msgspec.structs.replace(event, dropped=own.dropped)
        return [Put(key, records.encode(marked)), *writes]

    def forget(self, uid: str) -> None:
        """Drop what is known of an instance that is gone."""
        self._known.pop(uid, None)
