"""EventService.ListEvents: the stories."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fifo.api import limits, listing
from fifo.api.faults import Faults
from fifo.api.ordering import Place
from fifo.api.references import absent
from fifo.api.resources import events
from fifo.fleet.stories import dropped_of
from fifo.model import keys, names, records
from fifo.model.errors import InvalidInput, Violation
from fifo.model.story import StoryEvent
from fifo.store.limits import RANGE_KEYS
from fifo.store.pages import pages
from fifo.v1 import event_service_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fifo.api.backend import Backend
    from fifo.api.calls import Call
    from fifo.store.contract import KeyValue

_ORDERS = {"": True, "time desc": True, "time": False, "time asc": False}
_LAST_MICROS = 10**17
"""Microseconds beyond any date: what counts down from it sorts newest first."""
_LAST_COUNT = 2**80
"""Likewise, beyond the number of any event with what stands after it."""


class EventLists:
    """Lists stories."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def list_events(
        self, request: event_service_pb2.ListEventsRequest, call: Call
    ) -> event_service_pb2.ListEventsResponse:
        """Give one page of a resource's story, or of all; newest first unless asked otherwise."""
        order, faults = request.order_by.strip(), Faults()
        uid: str | None = ""
        if order not in _ORDERS:
            faults.add("order_by", "time, or time desc")
        with faults:
            uid = self._uid(request.parent)
        question = listing.asked(call.method.path, request, uid or "")._replace(order_by="")
        if uid is None or faults.violations:
            described = events.Message.DESCRIPTOR
            listing.read(self._backend.seals, question, described, faults=faults, lost=uid is None)
            raise absent(request.parent)
        prefix = keys.stories(uid) if uid else keys.STORY
        stored, newest_first = await self._read(prefix), _ORDERS[order]
        by_key = {kv.key.decode(): kv for kv in stored}
        places = sorted(_places(stored, newest_first=newest_first))
        catalog = self._backend.catalog
        page = await listing.page(
            self._backend.seals,
            question,
            places,
            lambda key: events.message(catalog, by_key[key]),
            events.Message.DESCRIPTOR,
        )
        return event_service_pb2.ListEventsResponse(
            events=page.messages,
            next_page_token=page.next_page_token,
            # They stand in the order of what happened.
            truncated=bool(uid and stored) and dropped_of(stored[-1]) > 0,
        )

    def _uid(self, parent: str) -> str | None:
        """Find whose story is wanted; a uid is taken as it is, for what is gone; None for nobody's.

        Raises InvalidInput for what is no name.
        """
        if not parent:
            return ""
        own = parent.rpartition("/")[2]
        if names.is_uid(own):
            return own
        entry = self._backend.references.instance_or_none(parent, "parent")
        return None if entry is None else entry.record.uid

    async def _read(self, prefix: bytes) -> tuple[KeyValue, ...]:
        found: list[KeyValue] = []
        most = min(limits.EVENTS_LISTED, RANGE_KEYS)
        async for page in pages(self._backend.store, prefix, keys.end_of(prefix), limit=most):
            found += page.kvs
            if page.more and len(found) >= limits.EVENTS_LISTED:
                wanted = f"an instance: there are more than {limits.EVENTS_LISTED} events in all"
                raise InvalidInput("ListEvents", (Violation("parent", wanted),))
        return tuple(found)


def _places(stored: tuple[KeyValue, ...], *, newest_first: bool) -> Iterator[Place]:
    """Place events by time, but those of one instance in their own order: clocks are set back.

    `stored` has each story in its order; an event is no earlier there than what it comes after.
    """
    latest: dict[str, float] = {}
    for kv in stored:
        story = records.decode(StoryEvent, kv.value, kv.key.decode())
        at = latest[story.uid] = max(story.at, latest.get(story.uid, 0.0))
        number, after = keys.story_number(kv.key)
        micros, count = round(at * 1_000_000), (number << 16) + after
        if newest_first:
            micros, count = _LAST_MICROS - micros, _LAST_COUNT - count
        yield Place(f"{micros:020}/{count:025}/{story.uid}", kv.key.decode())
