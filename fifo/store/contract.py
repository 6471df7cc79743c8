"""The contract of every engine: byte keys with revisions, txn, watch and leases, as in etcd.

A store has one *revision*, which grows by one with every txn that changes something. All that a
txn writes has that revision as its `mod_revision`. What is answered is durable, and reads see all
that was answered before (linearizable). Calls may come from any thread; each answers with a
`supervisors.Future`: `await` it in a handler or a coroutine, `get()` it on a thread. A request
that breaks a limit (`fifo.store.limits`) fails before anything is written.

The classes of errors stand in `fifo.model.errors`, in the part about the store. Source of the
rules: etcd's API (kv, watch, lease); what differs is said where it does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

import msgspec

from fifo.store import limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.store.statistics import StoreStatistics
    from supervisors import Future

Target: TypeAlias = Literal["mod", "create", "version", "value", "lease"]
Relation: TypeAlias = Literal["=", "!=", "<", ">"]


class KeyValue(msgspec.Struct, frozen=True, gc=False):
    """A key with its value at some revision; in a watch also the end of one.

    `version` counts the puts since the key was created, and is 0 if this revision deleted it.
    `lease` is 0 if there is none.
    """

    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int
    version: int
    lease: int = 0

    @property
    def deleted(self) -> bool:
        """Whether the revision deleted the key."""
        return not self.version


# -- a txn ----------------------------------------------------------------------------------------


class Compare(msgspec.Struct, frozen=True, gc=False):
    """A condition on one key. A key that is absent has the numbers 0, and no value to compare."""

    key: bytes
    target: Target
    op: Relation
    operand: int | bytes


class Put(msgspec.Struct, frozen=True, gc=False):
    """Write a key; `lease` ties its life to a lease. Answered with None."""

    key: bytes
    value: bytes
    lease: int = 0


class Delete(msgspec.Struct, frozen=True, gc=False):
    """Delete one key. Answered with how many were there: 0 or 1."""

    key: bytes


class DeleteRange(msgspec.Struct, frozen=True, gc=False):
    """Delete all keys of an interval. Answered with how many were there."""

    start: bytes
    end: bytes


class Get(msgspec.Struct, frozen=True, gc=False):
    """Read an interval, or one key without `end`. Answered with a RangeReply."""

    start: bytes
    end: bytes | None = None
    limit: int = limits.RANGE_KEYS


Operation: TypeAlias = Put | Delete | DeleteRange | Get


class Txn(msgspec.Struct, frozen=True, gc=False):
    """If all compares hold do `then`, otherwise `otherwise`: at one revision, or not at all.

    Operations act in their order, and a Get sees what those before it wrote. A key is written at
    most once in a branch.
    """

    compares: tuple[Compare, ...] = ()
    then: tuple[Operation, ...] = ()
    otherwise: tuple[Operation, ...] = ()


class RangeReply(msgspec.Struct, frozen=True, gc=False):
    """Keys in their order; `revision` is the one that was read.

    With `more` there are further keys: go on from `intervals.after(kvs[-1].key)` at the same
    revision. It can hold fewer keys than asked for.
    """

    kvs: tuple[KeyValue, ...]
    revision: int
    more: bool = False


Response: TypeAlias = RangeReply | int | None


class TxnReply(msgspec.Struct, frozen=True, gc=False):
    """Which branch was taken, and an answer to each of its operations.

    `revision` is the txn's own if it changed something, else the one it read.
    """

    succeeded: bool
    revision: int
    responses: tuple[Response, ...] = ()


def exists(key: bytes) -> Compare:
    """Compare that a key is there."""
    return Compare(key, "version", ">", 0)


def absent(key: bytes) -> Compare:
    """Compare that a key is not there."""
    return Compare(key, "version", "=", 0)


def unchanged(key: bytes, mod_revision: int) -> Compare:
    """Compare that a key was last written at a revision; 0 means that it is not there."""
    return Compare(key, "mod", "=", mod_revision)


# -- watching -------------------------------------------------------------------------------------

COMPACTED: Final = "compacted"
OVERFLOW: Final = "overflow"
CLOSED: Final = "closed"
FAILED: Final = "failed"
EndReason: TypeAlias = Literal["compacted", "overflow", "closed", "failed"]


class WatchBatch(msgspec.Struct, frozen=True, gc=False):
    """Events in the order of their revisions, those of a txn never split over two batches.

    All up to `revision` has now been told: go on from `revision + 1` to miss nothing.
    """

    events: tuple[KeyValue, ...]
    revision: int


class WatchEnded(msgspec.Struct, frozen=True, gc=False):
    """The last word of a watch; all up to `last_revision` was told.

    `compacted`: the history from there is gone, take a snapshot and watch from its revision.
    `overflow`: events came faster than they were taken; watch again from `last_revision + 1`.
    `closed`: the store was closed. `failed`: `deliver` raised, or history could not be read.
    """

    reason: EndReason
    last_revision: int


Delivery: TypeAlias = WatchBatch | WatchEnded


class Watch(Protocol):
    """A running watch."""

    @property
    def revision(self) -> int:
        """All matching events up to this revision were delivered: a token to go on from."""

    def cancel(self) -> None:
        """Deliver nothing more, not even an end; harmless when it has ended. From any thread."""


# -- the store ------------------------------------------------------------------------------------


class Store(ABC):
    """What an engine does. Made and closed by its owner (`fifo.store.owner`), used by everyone."""

    @property
    @abstractmethod
    def incarnation(self) -> str:
        """Name this history of revisions: 32 hex digits, new after a restore or a migration.

        Watch tokens, etags and fences carry it: a revision of another incarnation means nothing.
        """

    @property
    @abstractmethod
    def revision(self) -> int:
        """The last revision known to be durable: also the progress of watches without events."""

    @property
    @abstractmethod
    def compacted(self) -> int:
        """The oldest revision that can still be read and watched from."""

    @abstractmethod
    def range(
        self,
        start: bytes,
        end: bytes | None = None,
        *,
        limit: int = limits.RANGE_KEYS,
        revision: int = 0,
        keys_only: bool = False,
    ) -> Future[RangeReply]:
        """Read an interval, or one key without `end`, now or as it was at a revision.

        With `keys_only` values are empty. Fails with Compacted or FutureRevision.
        """

    @abstractmethod
    def txn(self, txn: Txn) -> Future[TxnReply]:
        """Do a txn; settled when it is durable.

        Fails with StoreLimit and the like before it acts; with StoreFull, StoreOverloaded,
        StoreClosed or LeaseNotFound if it was not done; with OutcomeUnknown if nobody can tell.
        """

    @abstractmethod
    def watch(
        self,
        start: bytes,
        end: bytes | None,
        from_revision: int,
        deliver: Callable[[Delivery], None],
    ) -> Watch:
        """Tell of every change from a revision on, no gap and no repetition; 0 means from now.

        `deliver` is called on the shard's thread, outside of any turn, and must not block. It is
        given WatchBatch until, once and last, a WatchEnded. Nothing is ever coalesced.
        """

    @abstractmethod
    def grant(self, ttl_s: int) -> Future[int]:
        """Make a lease and give its id. It ends `ttl_s` after the last sign of life.

        Its keys are then deleted in one revision. Time is monotonic; a store that was started
        again gives each lease its full time.
        """

    @abstractmethod
    def keep_alive(self, lease: int) -> Future[int]:
        """Give a lease its full time again, and answer how long that is (s); or LeaseNotFound."""

    @abstractmethod
    def revoke(self, lease: int) -> Future[None]:
        """End a lease now and delete its keys in one revision; or LeaseNotFound."""

    @abstractmethod
    def compact(self, revision: int) -> Future[None]:
        """Forget what only revisions before this one can see; harmless if that is done already.

        Called by the one owner of the history. Fails with FutureRevision.
        """

    @abstractmethod
    def statistics(self) -> StoreStatistics:
        """Give counts and sizes for metrics; on the shard's thread."""

    @abstractmethod
    def close(self) -> Future[None]:
        """Finish what waits, end the watches with `closed`, and let go of the files."""

    # -- short forms ------------------------------------------------------------------------------

    def put(self, key: bytes, value: bytes, *, lease: int = 0) -> Future[TxnReply]:
        """Write one key."""
        return self.txn(Txn(then=(Put(key, value, lease),)))

    def delete(self, key: bytes, end: bytes | None = None) -> Future[TxnReply]:
        """Delete one key, or an interval; the one response is how many were there."""
        return self.txn(Txn(then=(Delete(key) if end is None else DeleteRange(key, end),)))

    def get(self, key: bytes) -> Future[RangeReply]:
        """Read one key: `kvs` is empty if it is not there."""
        return self.range(key)
