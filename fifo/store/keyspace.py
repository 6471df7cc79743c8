"""The present of a store, in memory: what is durable, and what the disk is still writing.

The *head* has all txns that were taken on, so that the next one is judged by those before it while
they are on their way to the disk. The *shadow* has, for each key the head is ahead with, its last
durable state: a read looks there first, and a failed commit is undone from there. Deleted keys
stay as tombstones until compaction, since an older revision may still be asked for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fifo.store.contract import KeyValue
from fifo.store.key_order import KeyOrder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fifo.store.leases import Leases

FIRST_REVISION: Final = 1
"""The revision of an empty store (etcd)."""


class Keyspace:
    """Keys, values and revisions; on the shard's thread alone, without I/O."""

    def __init__(
        self, kvs: Iterable[KeyValue], *, revision: int, compacted: int, leases: Leases
    ) -> None:
        self.head = {kv.key: kv for kv in kvs}
        self.shadow: dict[bytes, KeyValue | None] = {}
        self.order = KeyOrder(self.head)
        self.leases = leases
        self.revision = self.durable = revision
        self.compacted = compacted
        self.tombs = {kv.key for kv in self.head.values() if not kv.version}
        self.live_bytes = sum(len(kv.key) + len(kv.value) for kv in self.live())
        for kv in self.live():
            if kv.lease:
                leases.move(kv.key, 0, kv.lease)

    def live(self) -> Iterable[KeyValue]:
        """Give what the head holds and has not deleted, in no order."""
        return (kv for kv in self.head.values() if kv.version)

    @property
    def keys(self) -> int:
        """How many keys there are."""
        return len(self.head) - len(self.tombs)

    # -- writing to the head ----------------------------------------------------------------------

    def put(self, key: bytes, value: bytes, lease: int, revision: int) -> tuple[KeyValue, int]:
        """Write a key; gives what is there now and the revision that was there before, or 0."""
        head = self.head
        old = head.get(key)
        if old is None:
            self.order.add(key)
            new = KeyValue(key, value, revision, revision, 1, lease)
            before = 0
            self.live_bytes += len(key) + len(value)
        elif old.version:
            new = KeyValue(key, value, old.create_revision, revision, old.version + 1, lease)
            before = old.mod_revision
            self.live_bytes += len(value) - len(old.value)
            if old.lease != lease:
                self.leases.move(key, old.lease, lease)
        else:
            self.tombs.discard(key)
            new = KeyValue(key, value, revision, revision, 1, lease)
            before = old.mod_revision
            self.live_bytes += len(key) + len(value)
        if lease and new.version == 1:
            self.leases.move(key, 0, lease)
        head[key] = new
        if key not in self.shadow:
            self.shadow[key] = old
        return new, before

    def delete(self, old: KeyValue, revision: int) -> tuple[KeyValue, int]:
        """Delete a key that is there; gives its tombstone and the revision that was there."""
        key = old.key
        new = KeyValue(key, b"", 0, revision, 0, 0)
        self.live_bytes -= len(key) + len(old.value)
        if old.lease:
            self.leases.move(key, old.lease, 0)
        self.head[key] = new
        self.tombs.add(key)
        if key not in self.shadow:
            self.shadow[key] = old
        return new, old.mod_revision

    def settle(self, changes: Iterable[KeyValue], revision: int) -> None:
        """Note that a txn's changes are durable; in the order in which they were made."""
        head, shadow = self.head, self.shadow
        for kv in changes:
            if head.get(kv.key) is kv:
                del shadow[kv.key]
            else:
                shadow[kv.key] = kv
        self.durable = revision

    def undo(self) -> None:
        """Go back to what is durable: the disk has refused what the head was ahead with."""
        for key, old in self.shadow.items():
            failed = self.head[key]
            if failed.version:
                self.live_bytes -= len(key) + len(failed.value)
            if old is None:
                del self.head[key]
                self.order.discard(key)
                self.tombs.discard(key)
            else:
                self.head[key] = old
                if old.version:
                    self.live_bytes += len(key) + len(old.value)
                    self.tombs.discard(key)
                else:
                    self.tombs.add(key)
            self.leases.move(key, failed.lease, old.lease if old is not None else 0)
        self.shadow.clear()
        self.revision = self.durable

    def forget(self, revision: int) -> None:
        """Drop the tombstones that only reads before a revision can need."""
        self.compacted = revision
        for key in [key for key in self.tombs if self.head[key].mod_revision < revision]:
            if key not in self.shadow:
                self.tombs.discard(key)
                del self.head[key]
                self.order.discard(key)

    # -- reading ----------------------------------------------------------------------------------

    def present(self, start: bytes, end: bytes | None) -> list[KeyValue]:
        """List what the head holds of an interval."""
        head = self.head
        if end is None:
            kv = head.get(start)
            return [kv] if kv is not None and kv.version else []
        return [kv for key in self.order.walk(start, end) if (kv := head[key]).version]

    def durable_one(self, key: bytes) -> KeyValue | None:
        """Give the durable state of a key, which can be a tombstone."""
        shadow = self.shadow
        return shadow[key] if key in shadow else self.head.get(key)

    def read(
        self, start: bytes, end: bytes | None, limit: int, revision: int
    ) -> tuple[list[KeyValue], bool] | None:
        """Give the first `limit` keys of an interval at a revision, and whether there are more.

        None if a key has changed since: only history knows what it was.
        """
        found: list[KeyValue] = []
        head, shadow = self.head, self.shadow
        for key in self.names(start, end):
            kv = shadow[key] if key in shadow else head.get(key)
            if kv is None:
                continue
            if kv.mod_revision > revision:
                return None
            if kv.version:
                if len(found) == limit:
                    return found, True
                found.append(kv)
        return found, False

    def unchanged(
        self, start: bytes, end: bytes | None, limit: int, revision: int
    ) -> list[KeyValue]:
        """List the first keys of an interval that are there and were not changed since."""
        found: list[KeyValue] = []
        for key in self.names(start, end):
            kv = self.durable_one(key)
            if kv is not None and kv.version and kv.mod_revision <= revision:
                found.append(kv)
                if len(found) == limit:
                    break
        return found

    def names(self, start: bytes, end: bytes | None) -> Iterable[bytes]:
        """Give the keys of an interval that are there or were, in order."""
        return (start,) if end is None else self.order.walk(start, end)
