"""Leases of an embedded engine: who lives, until when, and which keys end with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from fifo.model.errors import LeaseNotFound, StoreLimit
from fifo.store import limits

if TYPE_CHECKING:
    from collections.abc import Mapping


class Lease(msgspec.Struct, eq=False):
    """One lease; `due_s` is on the shard's monotonic clock."""

    id: int
    ttl_s: int
    due_s: float
    keys: set[bytes]


class Leases:
    """All leases of a store; on the shard's thread, pure but for the times it is told."""

    def __init__(self, ttls_s: Mapping[int, int], now_s: float) -> None:
        self._leases = {
            lease: Lease(lease, ttl_s, now_s + ttl_s, set()) for lease, ttl_s in ttls_s.items()
        }

    def __len__(self) -> int:
        return len(self._leases)

    def __contains__(self, lease: int) -> bool:
        return lease in self._leases

    def find(self, lease: int) -> Lease:
        """Give a lease, or raise LeaseNotFound."""
        found = self._leases.get(lease)
        if found is None:
            raise LeaseNotFound(lease)
        return found

    def admit(self, lease: int) -> None:
        """Check that a lease is there and can hold the keys of one more txn."""
        held = len(self.find(lease).keys) + limits.TXN_OPERATIONS
        if held > limits.LEASE_KEYS:
            raise StoreLimit("LEASE_KEYS", held, limits.LEASE_KEYS)

    def grant(self, lease: int, ttl_s: int, now_s: float) -> Lease:
        """Add a new lease."""
        if len(self._leases) >= limits.LEASES:
            raise StoreLimit("LEASES", len(self._leases) + 1, limits.LEASES)
        self._leases[lease] = granted = Lease(lease, ttl_s, now_s + ttl_s, set())
        return granted

    def bring_back(self, lease: Lease) -> None:
        """Undo that a lease was dropped; its keys find it again by `move`."""
        self._leases[lease.id] = lease

    def drop(self, lease: int) -> None:
        """Take a lease out; its keys are the caller's to delete."""
        self._leases.pop(lease, None)

    def move(self, key: bytes, old: int, new: int) -> None:
        """Tie a key to another lease; 0 is none. A lease that is gone holds nothing."""
        if old:
            holder = self._leases.get(old)
            if holder is not None:
                holder.keys.discard(key)
        if new:
            holder = self._leases.get(new)
            if holder is not None:
                holder.keys.add(key)

    def overdue(self, now_s: float) -> list[int]:
        """List the leases whose time is over, oldest first."""
        over = [lease for lease in self._leases.values() if lease.due_s <= now_s]
        return [lease.id for lease in sorted(over, key=lambda lease: (lease.due_s, lease.id))]

    def next_due_s(self) -> float | None:
        """Say when the first lease ends if none gives a sign of life."""
        return min((lease.due_s for lease in self._leases.values()), default=None)
