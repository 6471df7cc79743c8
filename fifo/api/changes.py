"""The latest changes of all resources, kept in memory for every watcher to read at its own pace.

A watcher is a position in one shared row of changes: a thousand of them cost no more memory than
one. One that is too far behind is told so and ended; nothing is ever coalesced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fifo.api.tables import Tables

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.api.backend import Backend
    from fifo.api.tables import Change
    from fifo.store.contract import WatchBatch


class Changes:
    """Follows the catalog from the first watch on; on the node's loop."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._most = backend.settings.changes_kept
        self._kept: list[Change] = []
        self._stop: Callable[[], None] | None = None
        self.tables = Tables()
        self.first = 0
        """The number of the oldest change that is kept; they are numbered from 0 on."""
        self.floor = 0
        """Every change after this revision is kept."""
        self.since = 0.0
        """Every change after this UTC second is kept."""
        self.watchers: set[Callable[[], None]] = set()
        """Called after each batch; quick."""

    def follow(self) -> None:
        """Begin, if that is not done yet: from here on changes are kept."""
        if self._stop is None:
            self.tables = Tables.of(self._backend.catalog)
            self.floor = self.tables.revision
            self.since = self._backend.now()
            self._stop = self._backend.catalog.listen(self._changed)

    def close(self) -> None:
        """Follow no more."""
        if self._stop is not None:
            self._stop()
            self._stop = None

    @property
    def revision(self) -> int:
        """The revision up to which all changes are here."""
        return self.tables.revision

    @property
    def end(self) -> int:
        """The number of the change that comes next."""
        return self.first + len(self._kept)

    def read(self, position: int, most: int) -> list[Change]:
        """Give changes from a position on, at most so many but the last commit whole."""
        start = position - self.first
        kept = self._kept
        last = min(start + most, len(kept))
        while 0 < last < len(kept) and kept[last].revision == kept[last - 1].revision:
            last += 1
        return kept[start:last]

    def position_after(self, revision: int) -> int:
        """Give the position behind all changes up to a revision, which is not below the floor."""
        low, high = 0, len(self._kept)
        while low < high:
            middle = (low + high) // 2
            if self._kept[middle].revision <= revision:
                low = middle + 1
            else:
                high = middle
        return self.first + low

    def position_at(self, utc: float) -> int:
        """Give the position of the first change heard of at a UTC second or later.

        Times are compared as they are told, in microseconds.
        """
        wanted = round(utc * 1_000_000)
        for index in range(len(self._kept) - 1, -1, -1):
            if round(self._kept[index].at * 1_000_000) < wanted:
                return self.first + index + 1
        return self.first

    def _changed(self, batch: WatchBatch) -> None:
        now = self._backend.now()
        self._kept.extend(self.tables.move(batch.events, now))
        self.tables.revision = batch.revision
        if len(self._kept) > 2 * self._most:
            self._trim()
        for woken in tuple(self.watchers):
            woken()

    def _trim(self) -> None:
        """Forget the older half; a watcher that is still there is ended when it is woken."""
        dropped = len(self._kept) - self._most
        self.floor = self._kept[dropped - 1].revision
        self.since = self._kept[dropped - 1].at
        del self._kept[:dropped]
        self.first += dropped
