"""The memory engine: deterministic, for simulations and tests; a crash loses what was not durable.

What is durable stands in a `MemoryDisk`, which outlives the store and is opened again by the next
one. A commit becomes durable in the shard's next slice, outside of any turn, unless a fault has it
otherwise (`fifo.store.faults`).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from fifo.model.errors import OutcomeUnknown, StoreClosed, StoreFull, StoreTaken
from fifo.store import limits
from fifo.store.embedded import EmbeddedStore, Image, make_reply
from fifo.store.faults import NO_FAULTS, Fate, Faults
from fifo.store.intervals import covers
from fifo.store.keyspace import FIRST_REVISION
from fifo.store.watching import Chunk, size_of
from supervisors.future import VALUE
from supervisors.timers import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.store.contract import KeyValue, RangeReply
    from fifo.store.embedded import PastRead
    from fifo.store.pipeline import Commit
    from fifo.store.watching import EmbeddedWatch
    from supervisors import Future, Node

MOD: Final = attrgetter("mod_revision")


class MemoryDisk:
    """What a memory store has made durable; one store at a time has it open."""

    def __init__(self, incarnation: str) -> None:
        self.incarnation = incarnation
        self.revision = FIRST_REVISION
        self.compacted = FIRST_REVISION
        self.lease_ttls_s: dict[int, int] = {}
        self.log: list[KeyValue] = []
        self.versions: dict[bytes, list[KeyValue]] = {}
        self.size_bytes = 0
        self.taken = False

    def write(self, commit: Commit) -> None:
        """Make a commit durable, whole."""
        for kv in commit.changes:
            self.versions.setdefault(kv.key, []).append(kv)
        self.log += commit.changes
        self.size_bytes += size_of(commit.changes)
        if commit.changes:
            self.revision = commit.revision
        if commit.granted is not None:
            self.lease_ttls_s[commit.granted.id] = commit.granted.ttl_s
        if commit.revoked is not None:
            del self.lease_ttls_s[commit.revoked.id]
        if commit.compact:
            self._compact(commit.compact)

    def read_one(self, key: bytes, revision: int) -> KeyValue | None:
        """Give what a key was at a revision that is kept; None if it was not there."""
        versions = self.versions.get(key, [])
        at = bisect_right(versions, revision, key=MOD)
        kv = versions[at - 1] if at else None
        return kv if kv is not None and kv.version else None

    def _compact(self, revision: int) -> None:
        """Drop versions that a later one had replaced by then, and what was deleted before."""
        self.compacted = revision
        touched = {kv.key for kv in self.log[: bisect_right(self.log, revision, key=MOD)]}
        del self.log[: bisect_left(self.log, revision, key=MOD)]
        for key in touched:
            versions = self.versions[key]
            kept = max(0, bisect_right(versions, revision, key=MOD) - 1)
            if not versions[kept].version and versions[kept].mod_revision < revision:
                kept += 1
            self.size_bytes -= size_of(versions[:kept])
            del versions[:kept]
            if not versions:
                del self.versions[key]


class MemoryStore(EmbeddedStore):
    """A store on a MemoryDisk; made on the shard's thread."""

    def __init__(
        self,
        node: Node,
        disk: MemoryDisk | None = None,
        *,
        faults: Faults = NO_FAULTS,
        live_limit_bytes: int = limits.LIVE_BYTES,
    ) -> None:
        if disk is None:
            disk = MemoryDisk(f"{node.random.getrandbits(128):032x}")
        if disk.taken:
            raise StoreTaken("another store has it open", "memory disk", "close that one first")
        disk.taken = True
        image = Image(
            disk.incarnation,
            disk.revision,
            disk.compacted,
            [versions[-1] for versions in disk.versions.values()],
            disk.lease_ttls_s,
        )
        super().__init__(node, image, live_limit_bytes=live_limit_bytes)
        self.disk = disk
        self._faults = faults
        self._number = 0
        self._queue: deque[Commit] = deque()
        self._busy = False

    def crash(self) -> None:
        """Stop as a killed process does: what is not durable is lost. On the shard's thread."""
        self._stop(StoreClosed("the simulated process has crashed", "store"))

    # -- the disk ---------------------------------------------------------------------------------

    def write(self, commit: Commit) -> None:
        """Take the next commit."""
        self._queue.append(commit)
        if not self._busy:
            self._busy = True
            self.run_on_shard(self._work)

    def _work(self) -> None:
        """Write what waits, up to the first commit that takes its time or goes wrong."""
        done = 0
        while self._queue:
            self._number += 1
            fate = self._faults.fate(self._number)
            if fate.delay_s or fate.outcome != "done":
                self._settle(done)
                self._delay(fate)
                return
            self.disk.write(self._queue.popleft())
            done += 1
        self._busy = False
        self._settle(done)

    def _settle(self, done: int) -> None:
        if done:
            self._pipeline.durable(done)

    def _delay(self, fate: Fate) -> None:
        def meet() -> None:
            self.run_on_shard(lambda: self._meet(fate))

        shard = self._shard
        if not fate.delay_s:
            meet()
            return
        if shard.asleep:
            shard.wake()
        Deadline(shard, fate.delay_s, meet)

    def _meet(self, fate: Fate) -> None:
        """Let the oldest commit meet its fate, and go on with the next."""
        if not self._queue:
            return
        commit = self._queue[0]
        if fate.outcome == "refused":
            self._queue.clear()
            self._refused(StoreFull("the disk refused the commit, as a fault wanted", "store"))
        elif fate.outcome == "crash before":
            self.crash()
            return
        else:
            self.disk.write(self._queue.popleft())
            if fate.outcome == "crash after":
                self.crash()
                return
            if fate.outcome == "reply lost":
                lost = "the reply was lost, as a fault wanted"
                commit.lost = OutcomeUnknown(lost, "commit", "read before repeating it")
            self._settle(1)
        self._work()

    def _let_go(self) -> None:
        self._queue.clear()
        self.disk.taken = False
        self.run_on_shard(self._gone)

    def _measure(self) -> tuple[int, int, int]:
        return self.disk.size_bytes, limits.DATABASE_BYTES, 0

    # -- history ----------------------------------------------------------------------------------

    def read_changes(
        self, watch: EmbeddedWatch, upto: int, done: Callable[[Chunk | Exception], None]
    ) -> None:
        """Read a watch's events from the log."""
        chunk = self._read_chunk(watch, upto)
        self.run_on_shard(lambda: done(chunk))

    def _read_chunk(self, watch: EmbeddedWatch, upto: int) -> Chunk:
        log = self.disk.log
        events: list[KeyValue] = []
        size_bytes = 0
        for at in range(bisect_left(log, watch.next_revision, key=MOD), len(log)):
            kv = log[at]
            if kv.mod_revision > upto:
                break
            if (
                len(events) >= limits.WATCH_CHUNK_EVENTS or size_bytes >= limits.WATCH_CHUNK_BYTES
            ) and kv.mod_revision > log[at - 1].mod_revision:
                return Chunk(tuple(events), log[at - 1].mod_revision)
            if covers(watch.start, watch.end, kv.key):
                events.append(kv)
                size_bytes += len(kv.key) + len(kv.value)
        return Chunk(tuple(events), upto)

    def _read_past(self, read: PastRead, future: Future[RangeReply]) -> None:
        found: list[KeyValue] = []
        more = False
        for key in self._keyspace.names(read.start, read.end):
            kv = self.disk.read_one(key, read.revision)
            if kv is not None:
                if len(found) == read.limit:
                    more = True
                    break
                found.append(kv)
        reply = make_reply(found, read.revision, more=more, keys_only=read.keys_only)
        future.resolve(VALUE, reply)
