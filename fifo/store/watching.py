"""Watches of an embedded engine: each is told of every change once, in order.

A watch is either *live*, and gets each commit as it becomes durable, or *catching up*: it reads
history up to what had been told when the read began, while live changes wait in its backlog. When
the read has come back the backlog follows it, and no gap is left in between. A backlog is bounded:
over the bound the watch ends, since to leave something out would be a lie.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from fifo.model.errors import Compacted, FifoError, StoreLimit
from fifo.store import limits
from fifo.store.contract import (
    CLOSED,
    COMPACTED,
    FAILED,
    OVERFLOW,
    EndReason,
    KeyValue,
    WatchBatch,
    WatchEnded,
)
from fifo.store.intervals import covers
from supervisors.errors import MailboxFull

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fifo.store.contract import Delivery

logger = logging.getLogger("fifo.store")

CATCHING_UP: Final = "catching up"
LIVE: Final = "live"
ENDED: Final = "ended"


class Chunk(msgspec.Struct, frozen=True, gc=False):
    """A piece of history: all events of an interval up to a revision."""

    events: tuple[KeyValue, ...]
    upto: int


class History(Protocol):
    """What a hub needs of its engine."""

    def read_changes(
        self,
        watch: EmbeddedWatch,
        upto: int,
        done: Callable[[Chunk | Exception], None],
    ) -> None:
        """Read a watch's events from `watch.next_revision` on, at most to `upto`.

        `done` is called on the shard's thread, outside of any turn.
        """

    def run_on_shard(self, function: Callable[[], None]) -> None:
        """Run a function on the shard's thread, outside of any turn."""


class EmbeddedWatch:
    """One watch (`contract.Watch`); its fields are the hub's."""

    __slots__ = (
        "_hub",
        "backlog",
        "deliver",
        "end",
        "next_revision",
        "start",
        "state",
        "waiting_bytes",
        "waiting_events",
    )

    def __init__(
        self,
        hub: WatchHub,
        start: bytes,
        end: bytes | None,
        next_revision: int,
        deliver: Callable[[Delivery], None],
    ) -> None:
        self._hub = hub
        self.start = start
        self.end = end
        self.next_revision = next_revision
        self.deliver = deliver
        self.state = CATCHING_UP
        self.backlog: list[WatchBatch] = []
        self.waiting_events = 0
        self.waiting_bytes = 0

    @property
    def revision(self) -> int:
        """All matching events up to this revision were delivered."""
        if self.state == LIVE:
            return max(self.next_revision - 1, self._hub.told)
        return self.next_revision - 1

    def cancel(self) -> None:
        """Deliver nothing more."""
        state, self.state = self.state, ENDED
        if state != ENDED:
            self._hub.history.run_on_shard(lambda: self._hub.drop(self))


class WatchHub:
    """All watches of a store; on the shard's thread."""

    def __init__(self, history: History, told: int) -> None:
        self.history = history
        self.told = told
        self.events = 0
        self._watches: set[EmbeddedWatch] = set()
        # Live watches by what they cover, so that those of one interval share one look and one
        # batch.
        self._by_key: dict[bytes, list[EmbeddedWatch]] = {}
        self._by_interval: dict[tuple[bytes, bytes], list[EmbeddedWatch]] = {}

    def __len__(self) -> int:
        return len(self._watches)

    def open(self, watch: EmbeddedWatch, compacted: int) -> None:
        """Begin to tell a watch, from history if it is to begin there."""
        if watch.state == ENDED:
            return
        self._watches.add(watch)
        if watch.next_revision < compacted:
            self.end(watch, COMPACTED)
        elif watch.next_revision <= self.told:
            self._catch_up(watch)
        else:
            self._go_live(watch)

    def admit(self) -> None:
        """Refuse one watch too many."""
        if len(self._watches) >= limits.WATCHES:
            raise StoreLimit("WATCHES", len(self._watches) + 1, limits.WATCHES)

    def tell(self, changes: list[KeyValue], revision: int) -> None:
        """Tell every watch of what has become durable; whole txns, in their order."""
        if self._watches:
            self._tell(changes, revision)
        self.told = revision

    def _tell(self, changes: list[KeyValue], revision: int) -> None:
        by_key = self._by_key
        if by_key:
            hit: dict[bytes, list[KeyValue]] = {}
            for kv in changes:
                if kv.key in by_key:
                    hit.setdefault(kv.key, []).append(kv)
            for key, events in hit.items():
                self._pass_on(by_key.get(key, []), events, revision)
        for (start, end), watches in tuple(self._by_interval.items()):
            covered = [kv for kv in changes if covers(start, end, kv.key)]
            if covered:
                self._pass_on(watches, covered, revision)

    def _pass_on(self, watches: list[EmbeddedWatch], events: list[KeyValue], revision: int) -> None:
        batch = WatchBatch(tuple(events), revision)
        for watch in tuple(watches):
            first = watch.next_revision
            if first <= events[0].mod_revision:
                self._give(watch, batch)
            elif first <= revision:
                later = tuple(kv for kv in events if kv.mod_revision >= first)
                if later:
                    self._give(watch, WatchBatch(later, revision))

    def _give(self, watch: EmbeddedWatch, batch: WatchBatch) -> None:
        if watch.state == LIVE:
            self._deliver(watch, batch)
        elif watch.state == CATCHING_UP:
            watch.waiting_events += len(batch.events)
            watch.waiting_bytes += size_of(batch.events)
            watch.backlog.append(batch)
            if over_bound(watch.waiting_events, watch.waiting_bytes):
                self.end(watch, OVERFLOW)

    def _deliver(self, watch: EmbeddedWatch, batch: WatchBatch) -> None:
        try:
            watch.deliver(batch)
        except MailboxFull:
            self.end(watch, OVERFLOW)
            return
        except Exception:
            logger.exception("a watch of %r was ended: its deliver raised", watch.start)
            self.end(watch, FAILED)
            return
        self.events += len(batch.events)
        watch.next_revision = batch.revision + 1

    # -- catching up ------------------------------------------------------------------------------

    def _catch_up(self, watch: EmbeddedWatch) -> None:
        watch.backlog = []
        watch.waiting_events = watch.waiting_bytes = 0
        upto = self.told
        self._file(watch)
        self.history.read_changes(watch, upto, lambda chunk: self._caught(watch, upto, chunk))

    def _caught(self, watch: EmbeddedWatch, upto: int, chunk: Chunk | Exception) -> None:
        if watch.state == ENDED:
            return
        if isinstance(chunk, Exception):
            if not isinstance(chunk, FifoError):
                logger.error("history of %r cannot be read", watch.start, exc_info=chunk)
            self.end(watch, COMPACTED if isinstance(chunk, Compacted) else FAILED)
            return
        if chunk.events:
            self._deliver(watch, WatchBatch(chunk.events, chunk.upto))
        else:
            watch.next_revision = chunk.upto + 1
        if watch.state == ENDED:
            return
        if chunk.upto < upto:
            self._unfile(watch)
            self._catch_up(watch)
        else:
            self._go_live(watch)

    def _go_live(self, watch: EmbeddedWatch) -> None:
        backlog, watch.backlog = watch.backlog, []
        watch.state = LIVE
        if not backlog:
            self._file(watch)
        for batch in backlog:
            self._deliver(watch, batch)
            if watch.state == ENDED:
                return

    def _file(self, watch: EmbeddedWatch) -> None:
        filed = self._siblings(watch)
        if watch not in filed:
            filed.append(watch)

    def _siblings(self, watch: EmbeddedWatch) -> list[EmbeddedWatch]:
        if watch.end is None:
            return self._by_key.setdefault(watch.start, [])
        return self._by_interval.setdefault((watch.start, watch.end), [])

    def _unfile(self, watch: EmbeddedWatch) -> None:
        filed = self._siblings(watch)
        if watch in filed:
            filed.remove(watch)
        if not filed and watch.end is None:
            del self._by_key[watch.start]
        elif not filed and watch.end is not None:
            del self._by_interval[watch.start, watch.end]

    # -- ending -----------------------------------------------------------------------------------

    def drop(self, watch: EmbeddedWatch) -> None:
        """Forget a watch that was cancelled."""
        watch.backlog = []
        self._unfile(watch)
        self._watches.discard(watch)

    def end(self, watch: EmbeddedWatch, reason: EndReason) -> None:
        """Tell a watch its last word."""
        last_revision = watch.revision
        watch.state = ENDED
        self.drop(watch)
        try:
            watch.deliver(WatchEnded(reason, last_revision))
        except Exception:
            logger.exception("a watch of %r did not take its end", watch.start)

    def close(self, reason: EndReason = CLOSED) -> None:
        """End all watches."""
        for watch in tuple(self._watches):
            self.end(watch, reason)


def size_of(events: Iterable[KeyValue]) -> int:
    """Add up the bytes of keys and values."""
    return sum(len(kv.key) + len(kv.value) for kv in events)


def over_bound(events: int, size_bytes: int) -> bool:
    """Tell whether more waits for a watcher than may."""
    return events > limits.WATCH_QUEUE_EVENTS or size_bytes > limits.WATCH_QUEUE_BYTES
