"""Get and List, the same for every kind of resource that belongs to no organisation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from fifo.api import listing, masks, references
from fifo.api.faults import Faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.api.backend import Backend
    from fifo.api.calls import Call
    from fifo.api.ordering import Order
    from fifo.store.catalog import Entry


class Collection(NamedTuple):
    """A collection: its order, and how the message of a uid is made (None if it is gone)."""

    name: str
    order: Order[Any]
    make: Callable[[str], Any]
    described: Any


def find(backend: Backend, collection: Collection, name: str, field: str = "name") -> Entry[Any]:
    """Find a record by name; raises InvalidInput, NotFound."""
    return backend.references.top(collection.order.table, collection.name, name, field)


def find_or_none(
    backend: Backend, collection: Collection, name: str, field: str = "name"
) -> Entry[Any] | None:
    """Find a record by name; raises InvalidInput for what is no name."""
    return backend.references.top_or_none(collection.order.table, collection.name, name, field)


def get(backend: Backend, collection: Collection, request: Any) -> Any:
    """Answer a Get."""
    faults, entry = Faults(), None
    with faults:
        masks.check_read(collection.described, request.read_mask)
    with faults:
        entry = find_or_none(backend, collection, request.name)
    faults.refuse(request.name)
    message = None if entry is None else collection.make(entry.record.uid)
    if message is None:
        raise references.absent(request.name)
    return masks.read(message, request.read_mask)


async def page(backend: Backend, collection: Collection, request: Any, call: Call) -> listing.Page:
    """Answer a List, but for the name of its field."""
    found = await listing.page(
        backend.seals,
        listing.asked(call.method.path, request),
        collection.order.places(),
        collection.make,
        collection.described,
        mask=request.read_mask,
    )
    return found._replace(
        messages=[masks.read(message, request.read_mask) for message in found.messages]
    )
