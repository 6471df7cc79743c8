"""A change as a row: one table, appended to at its end, without any other index.

The row id is `revision << 20 | place in the txn`, so rows lie in the order of time and a commit
writes the last page alone. `previous` is the revision the key had before, by which a reader of the
past walks back. `checksum` covers the whole row: SQLite has none of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

from fifo.model.errors import StoreCorrupt
from fifo.store.contract import KeyValue

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fifo.store.pipeline import Commit

PLACE_BITS: Final = 20
"""Changes of one revision: a million, above what a txn (limits.DELETE_KEYS) or the end of a lease
(limits.LEASE_KEYS) can make."""

COLUMNS: Final = "id, key, previous, created, version, lease, checksum, value"
WIDTH: Final = 8
CREATE: Final = """
CREATE TABLE change (
    id INTEGER PRIMARY KEY,
    key BLOB NOT NULL,
    previous INTEGER NOT NULL,
    created INTEGER NOT NULL,
    version INTEGER NOT NULL,
    lease INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    value BLOB NOT NULL
)
"""

Row = tuple[int, bytes, int, int, int, int, int, bytes]


def first_id(revision: int) -> int:
    """Give the id from which the rows of a revision begin."""
    return revision << PLACE_BITS


def write_rows(commits: Iterable[Commit]) -> list[Any]:
    """Lay out the changes of commits as one flat list of SQL parameters, WIDTH for each row."""
    parameters: list[Any] = []
    for commit in commits:
        row_id = commit.revision << PLACE_BITS
        for kv, previous in zip(commit.changes, commit.previous, strict=True):
            key, value, created, version = kv.key, kv.value, kv.create_revision, kv.version
            numbers = row_id ^ previous ^ created ^ version ^ kv.lease
            checksum = crc32(value, crc32(key, (numbers ^ numbers >> 32) & 0xFFFFFFFF))
            parameters += (row_id, key, previous, created, version, kv.lease, checksum, value)
            row_id += 1
    return parameters


def read_row(row: Row) -> KeyValue:
    """Make a change of a row, or raise StoreCorrupt if it is not what was written.

    Whoever reads the row says of which files it is, and what to do (`damaged`).
    """
    row_id, key, previous, created, version, lease, checksum, value = row
    try:
        numbers = row_id ^ previous ^ created ^ version ^ lease
        found = crc32(value, crc32(key, (numbers ^ numbers >> 32) & 0xFFFFFFFF))
    except TypeError:
        found = -1  # Where a type is damaged, SQLite gives a value of another.
    if found != checksum:
        raise StoreCorrupt(f"row {row_id} is not what was written")
    return KeyValue(key, value, created, row_id >> PLACE_BITS, version, lease)
