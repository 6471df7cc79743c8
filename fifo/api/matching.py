"""What a watch asks for: types, a parent, a filter, a mask; and the events that changes make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.field_mask_pb2 import FieldMask

from fifo.api import masks, sealing
from fifo.api.faults import Faults
from fifo.api.filters import predicate
from fifo.api.resources import events
from fifo.api.resources.kinds import KINDS
from fifo.api.resources.values import set_time
from fifo.model import names
from fifo.model.errors import InvalidInput, Violation
from fifo.v1 import event_service_pb2

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.api.tables import Change
    from fifo.store.catalog import View

Event = event_service_pb2.WatchEvent
_TOPS = frozenset(
    {names.HYPERVISORS, names.IMAGES, names.PACKAGES, names.NETWORKS, names.OPERATIONS}
)


class Wanted(NamedTuple):
    """One kind that is wanted, and which of it; `matches` is None where all of it is."""

    scope: Callable[[View, Any], bool] | None
    matches: Callable[[Any], bool] | None


class Matching:
    """Tells what is told of a change; one for each watch."""

    def __init__(self, request: event_service_pb2.WatchRequest) -> None:
        self._mask: FieldMask = request.read_mask
        self.hash = sealing.digest(
            *(own.encode() for own in sorted(request.resource_types)),
            request.parent.encode(),
            request.filter.encode(),
            *(path.encode() for path in request.read_mask.paths),
        )
        self.kinds = self._of(request)

    def _of(self, request: event_service_pb2.WatchRequest) -> dict[str, Wanted]:
        """Read what a request wants; raises InvalidInput with all that is wrong with that."""
        faults = Faults()
        if any(kind not in KINDS for kind in request.resource_types):
            faults.add("resource_types", f"some of {', '.join(KINDS)}")
        named = [kind for kind in request.resource_types if kind in KINDS]
        with faults:
            _check_mask(named, self._mask)
        if request.parent:
            with faults:
                _scope(events.TYPE, request.parent)
        kinds: dict[str, Wanted] = {}
        filters = Faults()
        for kind in named or KINDS:
            described = KINDS[kind].described
            with filters:
                matches = predicate(request.filter, described) if request.filter else None
                if not faults.violations:
                    kinds[kind] = Wanted(_scope(kind, request.parent), matches)
        if named:
            faults.violations += filters.violations
        elif len(filters.violations) == len(KINDS):
            # Without types a filter picks those that have its fields.
            faults.add("filter", "fields of at least one type of resource")
        faults.violations = list(dict.fromkeys(faults.violations))
        faults.refuse("Watch")
        return kinds

    def event(self, view: View, change: Change) -> Event | None:
        """Give what is told of a change; None if nothing is."""
        wanted = self.kinds.get(change.kind)
        if wanted is None:
            return None
        before = change.before is not None and self._wants(view, change.kind, change.before, wanted)
        after = change.after is not None and self._wants(view, change.kind, change.after, wanted)
        if after:
            made = self._make(view, change.kind, change.after)
            made.type = Event.UPDATED if before else Event.CREATED
        elif before:
            made = self._make(view, change.kind, change.before)
            made.type = Event.DELETED
            made.out_of_filter = change.after is not None
        else:
            return None
        set_time(made.time, change.at)
        return made

    def current(self, view: View, kind: str, parts: Any) -> Event | None:
        """Give what is told of a resource that was there when the watch began."""
        if not self._wants(view, kind, parts, self.kinds[kind]):
            return None
        made = self._make(view, kind, parts)
        made.type = Event.CURRENT
        return made

    def _wants(self, view: View, kind: str, parts: Any, wanted: Wanted) -> bool:
        if wanted.scope is not None and not wanted.scope(view, parts):
            return False
        return wanted.matches is None or wanted.matches(KINDS[kind].filtered(view, parts))

    def _make(self, view: View, kind: str, parts: Any) -> Event:
        described = KINDS[kind]
        message = described.message(view, parts)
        if self._mask.paths:
            message = masks.read_leniently(message, self._mask)
        packed = Packed()
        packed.Pack(message)
        return Event(
            resource_type=kind,
            name=described.name(view, parts),
            uid=described.uid(parts),
            resource=packed,
        )


def _check_mask(named: list[str], mask: FieldMask) -> None:
    """Raise InvalidInput for paths that lead nowhere in a type that is named.

    Without types a mask picks of each resource what it has: a path has to lead somewhere in one.
    """
    faults = Faults()
    for kind in named:
        with faults:
            masks.check_read(KINDS[kind].described, mask)
    for path in () if named else mask.paths:
        own = FieldMask(paths=[path])
        if all(masks.astray(kind.described, own, "") for kind in KINDS.values()):
            told = f"paths of at least one type of resource, which {path[:80]!r} is not"
            faults.add("read_mask", told)
    faults.refuse("Watch")


def _scope(kind: str, parent: str) -> Callable[[View, Any], bool] | None:
    """Make the test whether a resource is the parent or below it; None for no parent."""
    if not parent:
        return None
    head, _, own = parent.partition("/")
    if not own or (head != "orgs" and head not in _TOPS):
        told = "a resource: orgs/default, orgs/-, networks/lan"
        raise InvalidInput("Watch", (Violation("parent", told),))
    prefix = "orgs/" if parent == "orgs/-" else f"{parent}/"
    if kind == events.TYPE:
        name: Callable[[View, Any], str] = _subject
    else:
        name = KINDS[kind].name
    return lambda view, parts: f"{name(view, parts)}/".startswith(prefix)


def _subject(view: View, parts: Any) -> str:
    return events.message(view, parts.stored).subject
