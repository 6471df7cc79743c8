"""A watch for who takes at their own pace: a bounded queue between the store and a slow reader."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from fifo.store import limits
from fifo.store.contract import OVERFLOW, WatchBatch, WatchEnded
from fifo.store.watching import size_of
from supervisors import Future

if TYPE_CHECKING:
    from fifo.store.contract import Delivery, Store


class WatchQueue:
    """Watches an interval of any engine's store and keeps what is not taken yet.

    One reader at a time awaits `take`, in a handler or a coroutine on the shard's loop. When more
    waits than the bounds allow the watch ends: what waits is still given, and then, last, a
    WatchEnded with `overflow` and the revision of what was given. All on the shard's thread.
    """

    def __init__(
        self,
        store: Store,
        start: bytes,
        end: bytes | None,
        from_revision: int = 0,
        *,
        queue_events: int = limits.WATCH_QUEUE_EVENTS,
        queue_bytes: int = limits.WATCH_QUEUE_BYTES,
    ) -> None:
        self._queue_events = queue_events
        self._queue_bytes = queue_bytes
        self._waiting: deque[Delivery] = deque()
        self._events = 0
        self._bytes = 0
        self._taker: Future[Delivery] | None = None
        self._given = from_revision - 1 if from_revision else store.revision
        self._ended = False
        self._watch = store.watch(start, end, from_revision, self._arrived)

    @property
    def revision(self) -> int:
        """All matching events up to this revision were taken: a token to go on from."""
        return self._given if self._waiting or self._ended else self._watch.revision

    def take(self) -> Future[Delivery]:
        """Give the next batch, when there is one; after WatchEnded nothing comes."""
        future: Future[Delivery] = Future()
        if self._waiting:
            future.set(self._pop())
        else:
            self._taker = future
        return future

    def close(self) -> None:
        """End the watch and drop what waits."""
        self._ended = True
        self._watch.cancel()
        self._waiting.clear()

    def _pop(self) -> Delivery:
        delivery = self._waiting.popleft()
        if isinstance(delivery, WatchBatch):
            self._events -= len(delivery.events)
            self._bytes -= size_of(delivery.events)
            self._given = delivery.revision
        return delivery

    def _arrived(self, delivery: Delivery) -> None:
        if self._ended:
            return
        if isinstance(delivery, WatchBatch):
            events = self._events + len(delivery.events)
            size_bytes = self._bytes + size_of(delivery.events)
            if self._waiting and (events > self._queue_events or size_bytes > self._queue_bytes):
                self._overflow()
                return
            self._events, self._bytes = events, size_bytes
        else:
            self._ended = True
        self._waiting.append(delivery)
        taker, self._taker = self._taker, None
        if taker is not None:
            taker.set(self._pop())

    def _overflow(self) -> None:
        self._ended = True
        self._watch.cancel()
        last = self._waiting[-1]
        assert isinstance(last, WatchBatch), "an end is the last thing that arrives"
        self._waiting.append(WatchEnded(OVERFLOW, last.revision))
