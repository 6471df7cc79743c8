"""Freeing the room of what compaction has given up, a few rows between two commits.

Where the history begins is moved first, in a commit of its own; then nobody reads what is before.
The rows go afterwards, and where that stands is stored with them, so that a crash costs nothing.
A row is replaced when a later one of its key names it as `previous` and is not after the history's
begin; a deletion is needed no more when it is before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fifo.store import limits
from fifo.store.sqlite.rows import PLACE_BITS, first_id

if TYPE_CHECKING:
    import sqlite3

REPLACED: Final = f"""
DELETE FROM change WHERE id IN (
    SELECT old.id FROM change AS new JOIN change AS old
    ON old.id >= new.previous << {PLACE_BITS} AND old.id < (new.previous + 1) << {PLACE_BITS}
        AND old.key = new.key
    WHERE new.id >= ? AND new.id < ? AND new.previous > 0
)
"""  # noqa: S608 - constants
DELETED: Final = "DELETE FROM change WHERE id >= ? AND id < ? AND version = 0"
NEXT: Final = "SELECT id FROM change WHERE id >= ? AND id < ? ORDER BY id LIMIT 1 OFFSET ?"


class Sweep:
    """What is left to free; on the writer's thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        meta = dict(connection.execute("SELECT name, value FROM meta"))
        self._swept: int = meta["swept"]
        self._compacted: int = meta["compacted"]
        self._stands_still = False

    @property
    def pending(self) -> bool:
        """Whether there are rows to look at now."""
        return self._swept < self._compacted and not self._stands_still

    def stand_still(self) -> None:
        """Wait for a commit to succeed: there was no room even for making room."""
        self._stands_still = True

    def go_on(self) -> None:
        """Go on, since a commit has succeeded."""
        self._stands_still = False

    def begin(self, compacted: int) -> None:
        """Note where the history begins now."""
        self._compacted = max(self._compacted, compacted)

    def step(self) -> None:
        """Look at some rows, whole revisions, and free those nobody can see."""
        connection = self._connection
        first = first_id(self._swept)
        end = first_id(self._compacted + 1)
        cut = connection.execute(NEXT, (first, end, limits.SWEEP_ROWS)).fetchone()
        upto = max(self._swept + 1, cut[0] >> PLACE_BITS) if cut else self._compacted
        upto = min(upto, self._compacted)
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(REPLACED, (first, first_id(upto + 1)))
        connection.execute(DELETED, (first, min(first_id(upto + 1), first_id(self._compacted))))
        connection.execute("UPDATE meta SET value = ? WHERE name = 'swept'", (upto,))
        connection.execute("COMMIT")
        self._swept = upto
