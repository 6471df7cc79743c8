"""What the embedded engines share: the contract over the present in memory, without the disk.

Everything happens on the shard's thread; a call from another thread is handed over to it. A txn is
judged at once by the present in memory (`fifo.store.keyspace`), then waits for the disk
(`fifo.store.pipeline`). Reads of the present are answered from memory; only the past is asked of
the engine.

A turn that the watchdog ends in the middle of a txn leaves the present half changed. Then the
store stops: what is durable is whole, and its owner opens it again.
"""

from __future__ import annotations

from _thread import get_ident
from abc import abstractmethod
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from fifo.model.errors import (
    Compacted,
    FifoError,
    FutureRevision,
    OutcomeUnknown,
    StoreClosed,
)
from fifo.store import admission, evaluation, limits
from fifo.store.contract import CLOSED, FAILED, RangeReply, Store, Txn, TxnReply
from fifo.store.keyspace import Keyspace
from fifo.store.leases import Leases
from fifo.store.pipeline import Commit, Pipeline
from fifo.store.statistics import NEVER_RESTORED, Restored, StoreStatistics
from fifo.store.watching import EmbeddedWatch, WatchHub
from supervisors import Future
from supervisors.future import ERROR, VALUE
from supervisors.messages import SYSTEM
from supervisors.timers import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from fifo.store.contract import Delivery, KeyValue, Watch
    from fifo.store.watching import Chunk
    from supervisors import Node

T = TypeVar("T")

REOPEN: Final = "open it again: what was answered is there"
LEASE_RETRY_S: Final = 1.0
"""How long after a refused commit the leases that are over are looked at again."""


class Image(msgspec.Struct):
    """What a store begins with: the present as its disk has it. `kvs` has tombstones too."""

    incarnation: str
    revision: int
    compacted: int
    kvs: Iterable[KeyValue]
    lease_ttls_s: Mapping[int, int]
    restored: Restored = NEVER_RESTORED


class PastRead(msgspec.Struct, frozen=True):
    """A read of what was. `unchanged` are the first keys that are still as they were then."""

    start: bytes
    end: bytes | None
    limit: int
    revision: int
    keys_only: bool
    unchanged: list[KeyValue]


class EmbeddedStore(Store):
    """An engine but for its disk; see the module. Made on the shard's thread."""

    def __init__(
        self, node: Node, image: Image, *, live_limit_bytes: int = limits.LIVE_BYTES
    ) -> None:
        self._shard = node.shard
        self._random = node.random
        self._incarnation = image.incarnation
        self._restored = image.restored
        self._leases = Leases(image.lease_ttls_s, self._shard.now_s())
        self._keyspace = Keyspace(
            image.kvs, revision=image.revision, compacted=image.compacted, leases=self._leases
        )
        self._hub = WatchHub(self, image.revision)
        self._pipeline = Pipeline(self._keyspace, self._hub, self)
        self._live_limit_bytes = live_limit_bytes
        self._acting = False
        self._closed: StoreClosed | None = None
        self._failure: Exception | None = None
        self._alarm: Deadline | None = None
        self._alarm_due_s = 0.0
        self.ended: Future[None] = Future(self._shard)
        """Settles when the store is closed; fails when it stopped by itself: open it again."""
        self._arm()

    # -- the disk, which the engine is ------------------------------------------------------------

    @abstractmethod
    def write(self, commit: Commit) -> None:
        """Take the next commit; later, outside of any turn, tell the pipeline what became of it."""

    @abstractmethod
    def read_changes(
        self, watch: EmbeddedWatch, upto: int, done: Callable[[Chunk | Exception], None]
    ) -> None:
        """Read a watch's events from history (`watching.History`)."""

    @abstractmethod
    def _read_past(self, read: PastRead, future: Future[RangeReply]) -> None:
        """Answer a read of the past, unless it was compacted meanwhile."""

    @abstractmethod
    def _let_go(self) -> None:
        """Let go of the disk; then, outside of any turn, call `_gone`."""

    @abstractmethod
    def _measure(self) -> tuple[int, int, int]:
        """Give the size, its limit (bytes), and how many reads wait."""

    # -- what is known ----------------------------------------------------------------------------

    @property
    def incarnation(self) -> str:
        """Name this history of revisions."""
        return self._incarnation

    @property
    def revision(self) -> int:
        """The last durable revision."""
        return self._keyspace.durable

    @property
    def compacted(self) -> int:
        """The oldest revision that can be read."""
        return self._keyspace.compacted

    def statistics(self) -> StoreStatistics:
        """Give counts and sizes."""
        pipeline, keyspace = self._pipeline, self._keyspace
        size_bytes, size_limit_bytes, pending_reads = self._measure()
        return StoreStatistics(
            revision=keyspace.durable,
            compacted=keyspace.compacted,
            keys=keyspace.keys,
            live_bytes=keyspace.live_bytes,
            size_bytes=size_bytes,
            size_limit_bytes=size_limit_bytes,
            live_limit_bytes=self._live_limit_bytes,
            leases=len(self._leases),
            watches=len(self._hub),
            pending_txns=len(pipeline),
            pending_reads=pending_reads,
            txns=pipeline.txns,
            commits=pipeline.commits,
            changes=pipeline.changes,
            failed_commits=pipeline.failed_commits,
            events=self._hub.events,
            restored=self._restored,
        )

    # -- reading ----------------------------------------------------------------------------------

    def range(
        self,
        start: bytes,
        end: bytes | None = None,
        *,
        limit: int = limits.RANGE_KEYS,
        revision: int = 0,
        keys_only: bool = False,
    ) -> Future[RangeReply]:
        """Read an interval."""

        def read(future: Future[RangeReply]) -> None:
            admission.admit_interval(start, end, limit)
            keyspace = self._keyspace
            at = revision or keyspace.durable
            if at > keyspace.durable:
                raise FutureRevision(at, keyspace.durable)
            self._check_kept(at)
            found = keyspace.read(start, end, limit, at)
            if found is None:
                unchanged = keyspace.unchanged(start, end, limit + 1, at)
                self._read_past(PastRead(start, end, limit, at, keys_only, unchanged), future)
            else:
                future.resolve(VALUE, make_reply(found[0], at, more=found[1], keys_only=keys_only))

        return self._call(read)

    def _check_kept(self, revision: int) -> None:
        if revision < self._keyspace.compacted:
            raise Compacted(revision, self._keyspace.compacted)

    # -- writing ----------------------------------------------------------------------------------

    def txn(self, txn: Txn) -> Future[TxnReply]:
        """Do a txn."""

        def write(future: Future[TxnReply]) -> None:
            keyspace = self._keyspace
            size_bytes = admission.admit_txn(txn)
            self._pipeline.admit(size_bytes)
            succeeded = evaluation.choose(keyspace, txn)
            branch = txn.then if succeeded else txn.otherwise
            evaluation.refuse(keyspace, branch, self._live_limit_bytes)
            self._acting = True
            reply, changes, previous = evaluation.act(keyspace, branch, succeeded=succeeded)
            commit = Commit(future, reply, reply.revision, changes, previous, size_bytes)
            if changes:
                self._pipeline.send(commit)
            self._acting = False
            if not changes:
                self._pipeline.answer(commit)

        return self._call(write)

    def compact(self, revision: int) -> Future[None]:
        """Forget the past before a revision."""

        def forget(future: Future[None]) -> None:
            keyspace = self._keyspace
            if revision > keyspace.durable:
                raise FutureRevision(revision, keyspace.durable)
            if revision <= keyspace.compacted:
                future.resolve(VALUE, None)
                return
            self._pipeline.admit(0)
            self._pipeline.send(Commit(future, None, keyspace.revision, compact=revision))

        return self._call(forget)

    # -- leases -----------------------------------------------------------------------------------

    def grant(self, ttl_s: int) -> Future[int]:
        """Make a lease."""

        def grant(future: Future[int]) -> None:
            admission.admit_ttl(ttl_s)
            self._pipeline.admit(0)
            lease = self._random.getrandbits(63)
            while not lease or lease in self._leases:
                lease = self._random.getrandbits(63)
            granted = self._leases.grant(lease, ttl_s, self._shard.now_s())
            self._pipeline.send(Commit(future, lease, self._keyspace.revision, granted=granted))
            self._arm()

        return self._call(grant)

    def keep_alive(self, lease: int) -> Future[int]:
        """Give a lease its full time again."""

        def renew(future: Future[int]) -> None:
            found = self._leases.find(lease)
            found.due_s = self._shard.now_s() + found.ttl_s
            future.resolve(VALUE, found.ttl_s)

        return self._call(renew)

    def revoke(self, lease: int) -> Future[None]:
        """End a lease."""
        return self._call(lambda future: self._end_lease(future, lease))

    def _end_lease(self, future: Future[None], lease: int) -> None:
        found = self._leases.find(lease)
        keyspace = self._keyspace
        revision = keyspace.revision + 1
        self._acting = True
        ended = [keyspace.delete(keyspace.head[key], revision) for key in sorted(found.keys)]
        self._leases.drop(lease)
        if ended:
            keyspace.revision = revision
        changes = [tombstone for tombstone, _ in ended]
        previous = [before for _, before in ended]
        commit = Commit(future, None, keyspace.revision, changes, previous, revoked=found)
        self._pipeline.send(commit)
        self._acting = False

    def _arm(self, least_s: float = 0.0) -> None:
        """Look at the leases when the first of them is over."""
        due_s = self._leases.next_due_s()
        if due_s is None or self._closed is not None:
            return
        shard = self._shard
        due_s = max(due_s, shard.now_s() + least_s)
        if self._alarm is not None:
            if self._alarm_due_s <= due_s:
                return
            self._disarm()
        if shard.asleep:
            shard.wake()
        self._alarm_due_s = due_s
        self._alarm = Deadline(shard, max(0.0, due_s - shard.now_s()), self._expire)

    def _disarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _expire(self) -> None:
        self._alarm = None
        if self._is_torn():
            return
        for lease in self._leases.overdue(self._shard.now_s()):
            self._end_lease(Future(self._shard), lease)
        self._arm()

    # -- watching ---------------------------------------------------------------------------------

    def watch(
        self,
        start: bytes,
        end: bytes | None,
        from_revision: int,
        deliver: Callable[[Delivery], None],
    ) -> Watch:
        """Tell of every change from a revision on."""
        if self._closed is not None:
            raise self._closed
        admission.admit_interval(start, end)
        self._hub.admit()
        first = from_revision or self._keyspace.durable + 1
        watch = EmbeddedWatch(self._hub, start, end, first, deliver)
        self.run_on_shard(lambda: self._hub.open(watch, self._keyspace.compacted))
        return watch

    # -- running and ending -----------------------------------------------------------------------

    def run_on_shard(self, function: Callable[[], None]) -> None:
        """Run a function on the shard's thread, outside of any turn, later; from any thread."""
        self._shard.post_from_outside(None, SYSTEM, function, None)

    def _call(self, act: Callable[[Future[T]], None]) -> Future[T]:
        """Act on the shard's thread, at once if this is it; what it raises is the answer."""
        future: Future[T] = Future(self._shard)
        if get_ident() == self._shard.thread_id:
            self._try(act, future)
        else:
            self.run_on_shard(lambda: self._try(act, future))
        return future

    def _try(self, act: Callable[[Future[T]], None], future: Future[T]) -> None:
        try:
            self._is_torn()
            if self._closed is not None:
                raise self._closed
            act(future)
        except FifoError as error:
            future.fail(error)

    def _is_torn(self) -> bool:
        """Stop, and tell, if a turn was ended in the middle of a txn."""
        if self._acting and self._closed is None:
            self._stop(StoreClosed("a turn was ended in the middle of a txn", "store", REOPEN))
        return self._acting

    def _refused(self, error: FifoError) -> None:
        """Fail what waits for the disk, which refused it and has not written any of it."""
        self._pipeline.refused(error)
        self._arm(LEASE_RETRY_S)

    def _stop(self, failure: Exception) -> None:
        """End by itself: what waits for the disk may have been written or not."""
        if self._failure is not None:
            return
        self._failure = failure
        self._disarm()
        self._closed = StoreClosed(f"it has stopped: {failure}", "store", REOPEN)
        self._pipeline.refused(OutcomeUnknown(f"{failure}", "commit", "read before repeating it"))
        self._let_go()

    def close(self) -> Future[None]:
        """Finish what waits and let go of the disk."""
        self.run_on_shard(self._close)
        return self.ended

    def _close(self) -> None:
        if self._closed is None:
            self._closed = StoreClosed("it was closed", "store", "use the one that is open now")
            self._disarm()
            self._pipeline.when_empty(self._let_go)

    def _gone(self) -> None:
        """Note that the disk was let go of."""
        self._hub.close(CLOSED if self._failure is None else FAILED)
        if self._failure is None:
            self.ended.resolve(VALUE, None)
        else:
            self.ended.resolve(ERROR, self._failure)


def make_reply(kvs: list[KeyValue], revision: int, *, more: bool, keys_only: bool) -> RangeReply:
    """Make the answer to a range of what was found."""
    if keys_only:
        kvs = [msgspec.structs.replace(kv, value=b"") for kv in kvs]
    return RangeReply(tuple(kvs), revision, more)
