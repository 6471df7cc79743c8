"""The keys in their order: what a range walks over.

A list of short sorted lists. One long list would move half of itself at each insertion, which at
400,000 keys costs more than the commit; a tree of objects costs more memory than the keys.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING, Final

from fifo.store.intervals import TO_END, after

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SPLIT_KEYS: Final = 1_024
"""A run that grows to this many keys is halved: moving 4 KB of pointers takes a microsecond."""


class KeyOrder:
    """A sorted set of keys; on the shard's thread."""

    __slots__ = ("_lasts", "_runs")

    def __init__(self, keys: Iterable[bytes] = ()) -> None:
        ordered = sorted(keys)
        half = SPLIT_KEYS // 2
        self._runs = [ordered[at : at + half] for at in range(0, len(ordered), half)]
        self._lasts = [run[-1] for run in self._runs]

    def add(self, key: bytes) -> None:
        """Add a key that is not there."""
        lasts = self._lasts
        if not lasts:
            self._runs.append([key])
            lasts.append(key)
            return
        at = min(bisect_left(lasts, key), len(lasts) - 1)
        run = self._runs[at]
        insort(run, key)
        lasts[at] = run[-1]
        if len(run) >= SPLIT_KEYS:
            half = len(run) // 2
            self._runs.insert(at + 1, run[half:])
            del run[half:]
            lasts.insert(at, run[-1])

    def discard(self, key: bytes) -> None:
        """Take a key out if it is there."""
        at = bisect_left(self._lasts, key)
        if at == len(self._lasts):
            return
        run = self._runs[at]
        place = bisect_left(run, key)
        if place == len(run) or run[place] != key:
            return
        del run[place]
        if run:
            self._lasts[at] = run[-1]
        else:
            del self._runs[at]
            del self._lasts[at]

    def walk(self, start: bytes, end: bytes | None) -> Iterator[bytes]:
        """Give the keys of an interval in order; the set must not change meanwhile."""
        stop = after(start) if end is None else end
        first = bisect_left(self._lasts, start)
        for at in range(first, len(self._runs)):
            run = self._runs[at]
            place = bisect_left(run, start) if at == first else 0
            if stop != TO_END and run[-1] >= stop:
                yield from run[place : bisect_left(run, stop, place)]
                return
            yield from run[place:] if place else run
