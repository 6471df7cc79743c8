"""The catalog: every resource record of the store, decoded and in memory, current by a watch.

Reads of the API, the decisions of workflows and the tables of placement are looked up here and
never ask the store. Who has to read what was just written waits for its revision with `at`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from fifo.model import keys, records
from fifo.model.hypervisor import Allocation, HypervisorSpec, HypervisorStatus
from fifo.model.image import Image
from fifo.model.instance import Claim, Cleanup, InstanceSpec, InstanceStatus
from fifo.model.network import AddressClaim, Network
from fifo.model.operation import FINAL, Operation
from fifo.model.package import Package
from fifo.store.contract import WatchBatch
from fifo.store.pages import pages
from fifo.store.usage import Usage
from supervisors import Future

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fifo.store.contract import Delivery, KeyValue, Store, Watch

R = TypeVar("R", bound=records.Record)

LOAD_PAGE_KEYS = 10_000
"""Keys read at once while loading: a page of small records is a few megabytes."""


class Entry(Generic[R]):
    """A record as stored, with the revisions that a transaction compares; decoded when read."""

    __slots__ = ("_kind", "_record", "create_revision", "key", "raw", "revision")

    def __init__(self, kind: type[R], stored: KeyValue) -> None:
        self._kind = kind
        self._record: R | None = None
        self.key = stored.key
        self.raw = stored.value
        self.revision = stored.mod_revision
        self.create_revision = stored.create_revision

    @property
    def record(self) -> R:
        """The record; raises DataLoss for bytes that are none."""
        record = self._record
        if record is None:
            record = self._record = records.decode(self._kind, self.raw, self.key.decode())
        return record


class Table(Generic[R]):
    """All records of one kind, by what stands behind their prefix: a uid, or a path for some."""

    def __init__(self, kind: type[R], prefix: bytes) -> None:
        self.kind = kind
        self.prefix = prefix
        self.entries: dict[str, Entry[R]] = {}
        self._cut = len(prefix)

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Entry[R]]:
        return iter(self.entries.values())

    def get(self, uid: str) -> Entry[R] | None:
        """Find an entry."""
        return self.entries.get(uid)

    def record(self, uid: str) -> R | None:
        """Find a record."""
        entry = self.entries.get(uid)
        return None if entry is None else entry.record

    def apply(self, key: bytes, stored: KeyValue | None) -> str:
        """Take a change over and give whose it was."""
        uid = key[self._cut :].decode()
        if stored is None:
            self.entries.pop(uid, None)
        else:
            self.entries[uid] = Entry(self.kind, stored)
        return uid


class View:
    """Every record as of one revision, in a table for each kind, and who uses what."""

    def __init__(self) -> None:
        self.revision = 0
        self.specs = Table(InstanceSpec, keys.INSTANCE_SPEC)
        self.statuses = Table(InstanceStatus, keys.INSTANCE_STATUS)
        self.claims = Table(Claim, keys.CLAIM)
        self.cleanups = Table(Cleanup, keys.CLEANUP)
        self.hosts = Table(HypervisorSpec, keys.HYPERVISOR_SPEC)
        self.host_statuses = Table(HypervisorStatus, keys.HYPERVISOR_STATUS)
        self.allocations = Table(Allocation, keys.ALLOCATION)
        self.images = Table(Image, keys.IMAGE)
        self.packages = Table(Package, keys.PACKAGE)
        self.networks = Table(Network, keys.NETWORK)
        self.addresses = Table(AddressClaim, keys.ADDRESS)
        self.macs = Table(AddressClaim, keys.MAC)
        self.operations = Table(Operation, keys.OPERATION)
        self.tables: tuple[Table[Any], ...] = tuple(
            table for table in vars(self).values() if isinstance(table, Table)
        )
        self.usage = Usage()

    def take(self, key: bytes, stored: KeyValue | None) -> tuple[Table[Any], str] | None:
        """Take a change over, None for a key that is gone, and give the table and whose it was.

        None for a key of no table. Raises DataLoss for a spec that is none.
        """
        for table in self.tables:
            if key.startswith(table.prefix):
                uid = table.apply(key, stored)
                if table is self.specs:
                    self.usage.take(uid, self.specs.record(uid))
                elif table is self.addresses:
                    self.usage.take_address(uid, taken=stored is not None)
                return table, uid
        return None


class Catalog(View):
    """The tables, and who waits for a change of them. All on the shard's thread."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store = store
        self.ids: dict[bytes, str] = {}
        self.busy: dict[str, tuple[str, ...]] = {}
        """Uids that operations which have not ended are about, and the operations' ids.

        More than one where a later one was let through: a delete, or a stop by force.
        """
        self.estranged: set[str] = set()
        """Uids of the hosts that have foreign instances: few, so that a create looks at few."""
        self.owed: dict[str, tuple[str, ...]] = {}
        """Which hosts still have to remove what, by its uid; a snapshot by `UID/NAME`.

        More than one where several were away when an image was deleted.
        """
        self.waiting: dict[tuple[bytes, str], dict[Waiting[Any], None]] = {}
        """Who waits for which entry, in the order they came; who has it, or left, is not here."""
        self._at: list[tuple[int, Future[None]]] = []
        self._listeners: list[Callable[[WatchBatch], None]] = []
        self._watch: Watch | None = None
        self.ended: Future[str] = Future()
        """Settled with the reason when the watch ended: who owns the catalog makes another."""

    async def load(self) -> None:
        """Read everything as of one revision, then follow; in a process's init."""
        start, end = b"\x00", b"\xff"
        revision = 0
        async for page in pages(self.store, start, end, limit=LOAD_PAGE_KEYS):
            revision = page.revision
            for stored in page.kvs:
                self._take(stored.key, stored)
        self.revision = revision
        self._watch = self.store.watch(start, end, revision + 1, self._deliver)

    def close(self) -> None:
        """Follow no more."""
        if self._watch is not None:
            self._watch.cancel()

    # -- following ---------------------------------------------------------------------------

    def _take(self, key: bytes, stored: KeyValue | None) -> tuple[bytes, str] | None:
        taken = self.take(key, stored)
        if taken is not None:
            table, uid = taken
            if table is self.operations and stored is not None:
                self._note_busy(self.operations.entries[uid].record)
            elif table is self.host_statuses:
                self._note_estranged(uid)
            elif table is self.cleanups:
                host, _, gone = uid.partition("/")
                self._note_owed(host, gone, is_owed=stored is not None)
            return table.prefix, uid
        if key.startswith(keys.INDEX):
            if stored is None:
                self.ids.pop(key, None)
            else:
                self.ids[key] = stored.value.decode()
        return None

    def _note_estranged(self, host: str) -> None:
        status = self.host_statuses.record(host)
        if status is not None and status.foreign:
            self.estranged.add(host)
        else:
            self.estranged.discard(host)

    def _note_owed(self, host: str, gone: str, *, is_owed: bool) -> None:
        others = tuple(other for other in self.owed.get(gone, ()) if other != host)
        if is_owed:
            self.owed[gone] = (*others, host)
        elif others:
            self.owed[gone] = others
        else:
            self.owed.pop(gone, None)

    def _note_busy(self, operation: Operation) -> None:
        own = operation.id
        if operation.state not in FINAL:
            for uid in operation.uids:
                held = self.busy.get(uid, ())
                if own not in held:
                    self.busy[uid] = (*held, own)
            return
        for uid in operation.uids:
            left = tuple(other for other in self.busy.get(uid, ()) if other != own)
            if left:
                self.busy[uid] = left
            else:
                self.busy.pop(uid, None)

    def _deliver(self, batch: Delivery) -> None:
        if not isinstance(batch, WatchBatch):
            self.ended.set(batch.reason)
            return
        for event in batch.events:
            changed = self._take(event.key, None if event.deleted else event)
            if changed is not None and changed in self.waiting:
                for waiting in tuple(self.waiting[changed]):
                    waiting.look()
        self.revision = batch.revision
        if self._at:
            reached = [future for revision, future in self._at if revision <= self.revision]
            self._at = [waiting for waiting in self._at if waiting[0] > self.revision]
            for future in reached:
                future.set()
        for listener in tuple(self._listeners):
            listener(batch)

    # -- waiting -----------------------------------------------------------------------------

    def when(
        self, table: Table[R], uid: str, accept: Callable[[Entry[R] | None], bool]
    ) -> Waiting[R]:
        """Wait until an entry, or its absence, is what `accept` wants; now, if it is already.

        Who may leave before that has to `cancel` it: the entry may never be as wanted.
        """
        return Waiting(self.waiting, table, uid, accept)

    def at(self, revision: int) -> Future[None]:
        """Wait until the catalog has seen a revision of the store."""
        future: Future[None] = Future()
        if revision <= self.revision:
            future.set()
        else:
            self._at.append((revision, future))
        return future

    def listen(self, listener: Callable[[WatchBatch], None]) -> Callable[[], None]:
        """Hear of every batch after it was taken over; gives what ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    # -- finding -----------------------------------------------------------------------------

    def uid_of(self, collection: str, org: str, resource_id: str) -> str | None:
        """Find the uid of a resource by the id it was given."""
        return self.ids.get(keys.index(collection, org, resource_id))


class Waiting(Future[Entry[R] | None]):
    """One who waits for an entry, and the future of it; all on the shard's thread."""

    __slots__ = ("_accept", "_place", "_table", "_waiting")

    def __init__(
        self,
        waiting: dict[tuple[bytes, str], dict[Waiting[Any], None]],
        table: Table[R],
        uid: str,
        accept: Callable[[Entry[R] | None], bool],
    ) -> None:
        super().__init__()
        self._waiting = waiting
        self._table = table
        self._place = (table.prefix, uid)
        self._accept = accept
        entry = table.get(uid)
        if accept(entry):
            self.set(entry)
        else:
            waiting.setdefault(self._place, {})[self] = None

    def look(self) -> None:
        """Settle if the entry is as wanted; nothing if nobody waits any more."""
        if self not in self._waiting.get(self._place, ()):
            return
        entry = self._table.get(self._place[1])
        if self._accept(entry):
            self.cancel()
            self.set(entry)

    def cancel(self) -> None:
        """Wait no more, if it still does: from now on nothing settles it."""
        others = self._waiting.get(self._place)
        if others is not None:
            others.pop(self, None)
            if not others:
                del self._waiting[self._place]
