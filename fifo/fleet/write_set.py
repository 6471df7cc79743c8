"""A write set: what one transaction compares and writes, read through before it is written.

Who decides several things in one transaction sees what the earlier ones will have done: a read
finds the set's own change of a record first, and the catalog's record where there is none. Each
change is logged with what takes it back, so that what does not fit any more can be left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from fifo.model import records
from fifo.store.contract import Delete, Put, Txn, unchanged

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.model.records import Record
    from fifo.store.catalog import Entry, Table
    from fifo.store.contract import Compare

    R = TypeVar("R", bound=Record)


class WriteSet:
    """One transaction in the making; owned by one process, and used within one of its turns."""

    def __init__(self) -> None:
        self._compares: dict[bytes, Compare] = {}
        self._stored: dict[bytes, Entry[Any]] = {}
        """The catalog's records of what is changed here, where it has one."""
        self._changes: dict[bytes, Record | None] = {}
        self._undo: list[tuple[Callable[..., object], tuple[Any, ...]]] = []

    def read(self, table: Table[R], path: str) -> R | None:
        """Give a record as it will be; `path` is what stands behind its table's prefix."""
        key = table.prefix + path.encode()
        if key in self._changes:
            return self._changes[key]  # type: ignore[return-value]
        return table.record(path)

    def write(self, table: Table[R], path: str, record: R | None) -> None:
        """Change a record, None to delete it; the transaction is lost to any other's change."""
        key = table.prefix + path.encode()
        changes = self._changes
        if key in changes:
            self._undo.append((changes.__setitem__, (key, changes[key])))
        else:
            entry = table.get(path)
            if entry is not None:
                self._stored[key] = entry
            self._compare(key, entry.revision if entry is not None else 0)
            self._undo.append((changes.pop, (key,)))
        changes[key] = record

    def expect(self, entry: Entry[Any]) -> None:
        """Have the transaction lost to any other's change of a record that it does not write."""
        self._compare(entry.key, entry.revision)

    def expect_absent(self, key: bytes) -> None:
        """Have the transaction lost to whoever makes what a key would be of."""
        self._compare(key, 0)

    def _compare(self, key: bytes, revision: int) -> None:
        if key not in self._compares:
            self._compares[key] = unchanged(key, revision)
            self._undo.append((self._compares.pop, (key,)))

    # -- leaving out -------------------------------------------------------------------------

    def note(self, undo: Callable[..., object], *own: Any) -> None:
        """Log what takes something back that was done beside the set for its latest change."""
        self._undo.append((undo, own))

    def mark(self) -> int:
        """Give what `back_to` goes back to."""
        return len(self._undo)

    def back_to(self, mark: int) -> None:
        """Take back all since a mark, the latest first."""
        while len(self._undo) > mark:
            undo, own = self._undo.pop()
            undo(*own)

    # -- writing -----------------------------------------------------------------------------

    def size(self) -> int:
        """Give the operations or compares so far, the more; it is compared what is written."""
        return len(self._compares)

    def txn(self) -> Txn:
        """Give the transaction; without operations where all is to be as it is."""
        writes: list[Put | Delete] = []
        for key, record in self._changes.items():
            entry = self._stored.get(key)
            if record is None:
                if entry is not None:
                    writes.append(Delete(key))
            elif entry is None or record != entry.record:
                writes.append(Put(key, records.encode(record)))
        return Txn(tuple(self._compares.values()), tuple(writes))
