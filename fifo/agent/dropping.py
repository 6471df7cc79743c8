"""Dropping what a journal has beyond its bound: the mark that stands in its place from then on.

A mark is a journal entry about no instance. Its number is that of the last entry it stands for, so
that a session is told of it in their turn. It is written in the commit that drops them, and counts
what earlier marks did: there is one at most, it is the first entry, and no crash loses or doubles
it. Entries that a session acknowledges in the moment of that commit are counted as dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fifo.agent import limits
from fifo.agent.intent import Acknowledged
from fifo.model import keys, records
from fifo.model.link import JournalEntry
from fifo.store.contract import DeleteRange, Put

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fifo.store.contract import Operation


def mark_of(first: int, earlier: JournalEntry | None, at: float) -> JournalEntry:
    """Make the mark of the oldest entries from number `first` on; `at` is in UTC seconds.

    `earlier` is the last mark that was made; it counts if it is still the first entry.
    """
    sequence = first + limits.JOURNAL_DROP_ENTRIES - 1
    dropped = limits.JOURNAL_DROP_ENTRIES
    if earlier is not None and earlier.sequence == first:
        dropped += earlier.dropped - 1
    return JournalEntry(sequence=sequence, at=at, uid="", dropped=dropped)


def drop(first: int, mark: JournalEntry) -> Iterator[tuple[bytes, Operation]]:
    """Yield what puts a mark in the place of all from number `first` on, by key."""
    start, place = keys.journal(first), keys.journal(mark.sequence)
    yield start, DeleteRange(start, place)
    yield place, Put(place, records.encode(mark))
    taken = Acknowledged(sequence=mark.sequence - 1)
    yield keys.AGENT_ACKNOWLEDGED, Put(keys.AGENT_ACKNOWLEDGED, records.encode(taken))
