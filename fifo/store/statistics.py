"""What a store counts, as data: `fifo.telemetry` makes metrics of it."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from fifo.store import limits


class Restored(NamedTuple):
    """When a store was put back, in UTC seconds (0: never), and the revision of its backup."""

    at: float = 0.0
    revision: int = 0


NEVER_RESTORED: Final = Restored()


class StoreStatistics(msgspec.Struct, frozen=True):
    """Counts since the store was opened, and what is so now."""

    revision: int
    compacted: int
    keys: int
    live_bytes: int
    """Keys and current values."""
    size_bytes: int
    """All the engine holds: files with their history; in memory, keys and values."""
    size_limit_bytes: int
    live_limit_bytes: int
    leases: int
    watches: int
    pending_txns: int
    pending_reads: int
    txns: int
    """Txns that were taken on, those that only read included."""
    commits: int
    """Batches made durable: `changes / commits` says what group commit saves."""
    changes: int
    failed_commits: int
    events: int
    """Events delivered, counted once a watcher."""
    restored: Restored = NEVER_RESTORED

    @property
    def alarm(self) -> bool:
        """Whether either size is near its bound: compact, delete, or give the store more room."""
        return self.live_bytes >= self.live_alarm_bytes or self.size_bytes >= self.size_alarm_bytes

    @property
    def live_alarm_bytes(self) -> int:
        """Give the least `live_bytes` that raise the alarm."""
        return -(-self.live_limit_bytes * limits.ALARM_PERCENT // 100)

    @property
    def size_alarm_bytes(self) -> int:
        """Give the least `size_bytes` that raise the alarm."""
        return -(-self.size_limit_bytes * limits.ALARM_PERCENT // 100)
