"""References: from the names in requests to the uids of what they name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from fifo.model import names
from fifo.model.errors import NotFound, Violation

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.model.instance import InstanceSpec
    from fifo.model.records import Record
    from fifo.store.catalog import Catalog, Entry, Table

R = TypeVar("R", bound="Record")


class References:
    """Finds resources by name; on the node's loop."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._tables: dict[str, Table[Any]] = {
            names.HYPERVISORS: catalog.hosts,
            names.IMAGES: catalog.images,
            names.PACKAGES: catalog.packages,
            names.NETWORKS: catalog.networks,
        }

    def instance(self, name: str, field: str = "name") -> Entry[InstanceSpec]:
        """Find an instance; raises InvalidInput for what is no name, NotFound."""
        parsed = names.parse(name, names.INSTANCES, field)
        entry = self._instance(parsed)
        if entry is None:
            raise absent(name)
        return entry

    def instance_or_none(self, name: str, field: str = "name") -> Entry[InstanceSpec] | None:
        """Find an instance; raises InvalidInput for what is no name."""
        return self._instance(names.parse(name, names.INSTANCES, field))

    def _instance(self, parsed: names.Name) -> Entry[InstanceSpec] | None:
        uid = self._uid(parsed)
        entry = self._catalog.specs.entries.get(uid) if uid is not None else None
        if entry is None or entry.record.org != parsed.org:
            return None
        return entry

    def top(self, table: Table[R], collection: str, name: str, field: str = "name") -> Entry[R]:
        """Find a resource of no organisation; raises InvalidInput for what is no name, NotFound."""
        entry = self.top_or_none(table, collection, name, field)
        if entry is None:
            raise absent(name)
        return entry

    def top_or_none(
        self, table: Table[R], collection: str, name: str, field: str = "name"
    ) -> Entry[R] | None:
        """Find a resource of no organisation; raises InvalidInput for what is no name."""
        uid = self._uid(names.parse(name, collection, field))
        return None if uid is None else table.get(uid)

    def uid(self, collection: str, name: str, field: str, add: Callable[[Violation], None]) -> str:
        """Find the uid of what a request refers to; what is wrong with it is noted, and '' given.

        A bare uid is taken for a name, as vmadm's payloads have it.
        """
        if not name:
            return ""
        own = name.rpartition("/")[2]
        full = name if "/" in name else f"{collection}/{own}"
        if full != f"{collection}/{own}":
            add(Violation(field, f"a name like {collection}/{own or 'one'}"))
            return ""
        uid = self._uid(names.Name(collection, own))
        if uid is None or self._tables[collection].get(uid) is None:
            add(Violation(field, f"one that exists: there is no {full}"))
            return ""
        return uid

    def _uid(self, parsed: names.Name) -> str | None:
        found = self._catalog.uid_of(parsed.collection, parsed.org, parsed.id)
        return found if found is not None else names.uid_from_id(parsed.id)


def absent(name: str) -> NotFound:
    """Say that there is no such thing, or none that the caller may see: the same for both."""
    return NotFound("it does not exist", name, "list what there is, or check the name")
