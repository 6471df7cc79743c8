"""The orders of lists: every kind of resource by its name, kept sorted as the catalog changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from fifo.model import keys, names

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.model.records import Record
    from fifo.store.catalog import Catalog, Table
    from fifo.store.contract import WatchBatch

R = TypeVar("R", bound="Record")


class Place(NamedTuple):
    """Where a resource stands: by its name; the uid leads to its records."""

    name: str
    uid: str


class Order(Generic[R]):
    """The places of one table, sorted when they are read after a change of who is in it."""

    def __init__(self, table: Table[R], name_of: Callable[[R], str]) -> None:
        self.table = table
        self._name_of = name_of
        self._places: list[Place] = []
        self._stale = True

    def changed(self) -> None:
        """Note that something was added or taken away."""
        self._stale = True

    def places(self) -> list[Place]:
        """Give all places in order; the list is made anew with the next change, never changed."""
        if self._stale:
            name_of = self._name_of
            # What was sorted before is nearly sorted now: cheap for Timsort.
            known = {place.uid: place for place in self._places}
            entries = self.table.entries
            kept = [place for place in self._places if place.uid in entries]
            kept += [
                Place(name_of(entry.record), uid)
                for uid, entry in entries.items()
                if uid not in known
            ]
            kept.sort()
            self._places = kept
            self._stale = False
        return self._places


class Orders:
    """An order for each kind of resource; on the node's loop."""

    def __init__(self, catalog: Catalog) -> None:
        self.instances = Order(catalog.specs, lambda own: names.instance_name(own.id, own.org))
        self.hypervisors = Order(catalog.hosts, lambda own: f"{names.HYPERVISORS}/{own.id}")
        self.images = Order(catalog.images, lambda own: f"{names.IMAGES}/{own.id}")
        self.packages = Order(catalog.packages, lambda own: f"{names.PACKAGES}/{own.id}")
        self.networks = Order(catalog.networks, lambda own: f"{names.NETWORKS}/{own.id}")
        self.operations = Order(catalog.operations, lambda own: f"{names.OPERATIONS}/{own.id}")
        self._by_prefix: dict[bytes, Order[Any]] = {
            keys.INSTANCE_SPEC: self.instances,
            keys.HYPERVISOR_SPEC: self.hypervisors,
            keys.IMAGE: self.images,
            keys.PACKAGE: self.packages,
            keys.NETWORK: self.networks,
            keys.OPERATION: self.operations,
        }
        self.close = catalog.listen(self._changed)

    def _changed(self, batch: WatchBatch) -> None:
        for event in batch.events:
            # A record that only changed keeps its name, and so its place.
            if event.version <= 1:
                head = event.key[: event.key.rfind(b"/") + 1]
                order = self._by_prefix.get(head)
                if order is not None:
                    order.changed()
