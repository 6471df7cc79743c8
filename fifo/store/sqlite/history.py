"""Reading the past by SQL: what was at a revision, and what has changed since one."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Final

from fifo.store import limits
from fifo.store.embedded import make_reply
from fifo.store.intervals import TO_END, after
from fifo.store.sqlite.rows import COLUMNS, PLACE_BITS, first_id, read_row
from fifo.store.watching import Chunk

if TYPE_CHECKING:
    import sqlite3

    from fifo.store.contract import KeyValue, RangeReply
    from fifo.store.embedded import PastRead

CHANGES: Final = f"""
SELECT {COLUMNS} FROM change WHERE id >= ? AND id < ? AND key >= ? AND (? OR key < ?) ORDER BY id
"""  # noqa: S608 - constants
# The first change of a key after the revision names, as `previous`, the state at the revision. The
# outer loop of the join walks `later` in its order, so that reading stops when a page is full; that
# order is checked where the rows are read.
PAST: Final = f"""
SELECT {", ".join(f"old.{column}" for column in COLUMNS.split(", "))}
FROM (
    SELECT key, min(id), previous FROM change
    WHERE id >= ? AND key >= ? AND (? OR key < ?) GROUP BY key ORDER BY key
) AS later CROSS JOIN change AS old
    ON old.id >= later.previous << {PLACE_BITS} AND old.id < (later.previous + 1) << {PLACE_BITS}
    AND old.key = later.key
WHERE later.previous > 0 AND old.version > 0 LIMIT ?
"""  # noqa: S608 - constants


def interval(start: bytes, end: bytes | None) -> tuple[bytes, bool, bytes]:
    """Give an interval as the parameters of `key >= ? AND (? OR key < ?)`."""
    return start, end == TO_END, after(start) if end is None else end


def read_chunk(
    connection: sqlite3.Connection, start: bytes, end: bytes | None, first: int, upto: int
) -> Chunk:
    """Read the changes of an interval from a revision on, up to the bounds of a chunk."""
    events: list[KeyValue] = []
    size_bytes = 0
    bounds = (first_id(first), first_id(upto + 1), *interval(start, end))
    with closing(connection.execute(CHANGES, bounds)) as rows:
        for row in rows:
            kv = read_row(row)
            if (
                len(events) >= limits.WATCH_CHUNK_EVENTS or size_bytes >= limits.WATCH_CHUNK_BYTES
            ) and kv.mod_revision > events[-1].mod_revision:
                return Chunk(tuple(events), events[-1].mod_revision)
            events.append(kv)
            size_bytes += len(kv.key) + len(kv.value)
    return Chunk(tuple(events), upto)


def read_past(connection: sqlite3.Connection, read: PastRead) -> RangeReply:
    """Read an interval as it was at a revision."""
    states = {kv.key: kv for kv in read.unchanged}
    parameters = (first_id(read.revision + 1), *interval(read.start, read.end))
    last = b""
    with closing(connection.execute(PAST, (*parameters, read.limit + 1))) as rows:
        for row in rows:
            kv = read_row(row)
            assert kv.key > last, "the keys come in their order"
            states[kv.key] = kv
            last = kv.key
    found: list[KeyValue] = []
    size_bytes = 0
    for key in sorted(states):
        kv = states[key]
        size_bytes += len(key) + len(kv.value)
        if len(found) == read.limit or (found and size_bytes > limits.REPLY_BYTES):
            return make_reply(found, read.revision, more=True, keys_only=read.keys_only)
        found.append(kv)
    return make_reply(found, read.revision, more=False, keys_only=read.keys_only)
