"""The way of a commit to the disk and back, in order, for the embedded engines.

The disk takes commits one after the other, as many at a time as it likes, and says how many have
become durable. Then the watches are told and the futures settled, in that order, so that who sees
an answer can rely on the watchers of this process having been told. If the disk refuses a commit,
it and all after it fail, since those were judged by it, and the present goes back to what is
durable.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from fifo.model.errors import StoreOverloaded
from fifo.store import limits
from supervisors.future import VALUE

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.store.contract import KeyValue
    from fifo.store.keyspace import Keyspace
    from fifo.store.leases import Lease
    from fifo.store.watching import WatchHub
    from supervisors import Future


class Commit(msgspec.Struct, eq=False):
    """A txn, or a change of a lease or of where the history begins, on its way to the disk.

    `previous` has, for each change, the revision its key had before. One without anything to
    write waits for those before it, by whose effects it was judged.
    """

    future: Future[Any]
    reply: Any
    revision: int
    changes: list[KeyValue] = []
    previous: list[int] = []
    size_bytes: int = 0
    granted: Lease | None = None
    revoked: Lease | None = None
    compact: int = 0
    lost: Exception | None = None
    """What the waiter is told instead of the reply; set by a fault alone."""

    @property
    def writes(self) -> bool:
        """Whether there is anything for the disk to do."""
        return bool(self.changes or self.granted or self.revoked or self.compact)


class Disk(Protocol):
    """What makes commits durable."""

    def write(self, commit: Commit) -> None:
        """Take the next commit; answered by `Pipeline.durable` or `Pipeline.refused`, later."""


class Pipeline:
    """Commits that wait for the disk, oldest first; on the shard's thread, outside of turns."""

    def __init__(self, keyspace: Keyspace, hub: WatchHub, disk: Disk) -> None:
        self._keyspace = keyspace
        self._hub = hub
        self._disk = disk
        self._waiting: deque[Commit] = deque()
        self._waiting_bytes = 0
        self._when_empty: Callable[[], None] | None = None
        self.txns = 0
        self.commits = 0
        self.changes = 0
        self.failed_commits = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def admit(self, size_bytes: int) -> None:
        """Refuse what would wait too long."""
        waiting = len(self._waiting)
        waiting_bytes = self._waiting_bytes + size_bytes
        if waiting >= limits.PENDING_TXNS or waiting_bytes > limits.PENDING_BYTES:
            raise StoreOverloaded(
                f"{waiting} commits of {self._waiting_bytes} bytes wait for the disk",
                "store",
                "slow down, and try again",
            )

    def send(self, commit: Commit) -> None:
        """Send a commit that has something to write on its way."""
        self.txns += 1
        self._waiting.append(commit)
        self._waiting_bytes += commit.size_bytes
        self._disk.write(commit)

    def answer(self, commit: Commit) -> None:
        """Answer what has nothing to write: now, or after those by whose effects it was judged."""
        self.txns += 1
        if self._waiting:
            self._waiting.append(commit)
        else:
            commit.future.resolve(VALUE, commit.reply)

    def when_empty(self, function: Callable[[], None]) -> None:
        """Call a function once, when nothing waits any more."""
        self._when_empty = function
        self._look()

    def _look(self) -> None:
        if self._when_empty is not None and not self._waiting:
            function, self._when_empty = self._when_empty, None
            function()

    def durable(self, count: int) -> None:
        """Settle the oldest commits, `count` of which the disk has written."""
        waiting, keyspace = self._waiting, self._keyspace
        settled: list[Commit] = []
        changes: list[KeyValue] = []
        self.commits += 1
        while waiting and (count or not waiting[0].writes):
            commit = waiting.popleft()
            settled.append(commit)
            if commit.writes:
                count -= 1
                self._waiting_bytes -= commit.size_bytes
            if commit.changes:
                keyspace.settle(commit.changes, commit.revision)
                changes += commit.changes
            if commit.compact:
                keyspace.forget(commit.compact)
        assert not count, "the disk has written what nobody gave it"
        if changes:
            self.changes += len(changes)
            self._hub.tell(changes, keyspace.durable)
        for commit in settled:
            if commit.lost is None:
                commit.future.resolve(VALUE, commit.reply)
            else:
                commit.future.fail(commit.lost)
        self._look()

    def refused(self, error: Exception) -> None:
        """Fail everything that waits, and go back to what is durable."""
        failed = tuple(self._waiting)
        self._waiting.clear()
        self._waiting_bytes = 0
        leases = self._keyspace.leases
        for commit in failed:
            if commit.revoked is not None:
                leases.bring_back(commit.revoked)
        self._keyspace.undo()
        for commit in failed:
            if commit.granted is not None:
                leases.drop(commit.granted.id)
            self.failed_commits += commit.writes
        for commit in failed:
            commit.future.fail(error)
        self._look()
