"""Lists: one page of a kind of resource, filtered and ordered, with a token for the next page.

A token holds the place of the last entry and a hash of what was asked, so that pages go on without
repetition while resources come and go, and a token is no good for another question (AIP-158).
"""

from __future__ import annotations

import asyncio
import functools
from bisect import bisect_right
from typing import TYPE_CHECKING, Any, NamedTuple

from fifo.api import limits, masks, sealing
from fifo.api.faults import Faults
from fifo.api.filters import predicate, schema_of
from fifo.api.ordering import Place
from fifo.model import limits as model_limits
from fifo.model.errors import InvalidInput, Violation
from fifo.model.filter import parse_order_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from google.protobuf.descriptor import Descriptor
    from google.protobuf.field_mask_pb2 import FieldMask

    from fifo.api.sealing import Seals
    from fifo.model.filter import Order

    Make = Callable[[str], Any]

PAGE = "page"
_LAST = chr(0x10FFFF)


class Asked(NamedTuple):
    """What a list request says; `scope` is what else the answer depends on: its parent."""

    method: str
    scope: str
    page_size: int
    page_token: str
    filter: str
    order_by: str


class Page(NamedTuple):
    """The messages of one page with their uids, and the token for the next; empty at the end."""

    messages: list[Any]
    next_page_token: str
    uids: list[str]


def asked(method: str, request: Any, scope: str = "") -> Asked:
    """Take a list request apart."""
    size = page_size(request.page_size)
    return Asked(method, scope, size, request.page_token, request.filter, request.order_by)


def page_size(wanted: int) -> int:
    """Give how many entries a page has: the default for 0, never more than the most."""
    return min(wanted or model_limits.PAGE_RESOURCES_DEFAULT, model_limits.PAGE_RESOURCES_MAX)


class Reading(NamedTuple):
    """A question as it was understood; `after` is the place that its token holds."""

    matches: Callable[[Any], bool]
    orders: tuple[Order, ...]
    after: list[Any] | None


def read(
    seals: Seals,
    question: Asked,
    described: Descriptor,
    *,
    mask: FieldMask | None = None,
    faults: Faults | None = None,
    lost: bool = False,
) -> Reading:
    """Understand a question about messages of a type.

    `faults` are those that the caller has found in it; `lost` is one whose parent is not there, so
    that no token could belong to it. Raises InvalidInput with these and all that is wrong with its
    mask, filter, order and token.
    """
    faults = faults or Faults()
    matches: Callable[[Any], bool] = bool
    orders: tuple[Order, ...] = ()
    after = None
    if mask is not None:
        with faults:
            masks.check_read(described, mask)
    with faults:
        matches = predicate(question.filter, described)
    with faults:
        orders = parse_order_by(question.order_by, schema_of(described))
    with faults:
        after = _after(seals, question, others=lost or bool(faults.violations))
    faults.refuse(question.method.rpartition("/")[2])
    return Reading(matches, orders, after)


async def page(
    seals: Seals,
    question: Asked,
    places: list[Place],
    make: Make,
    described: Descriptor,
    *,
    mask: FieldMask | None = None,
) -> Page:
    """Give one page of sorted places; `make` gives the message of a uid, None if it is gone.

    Gives the loop back after some hundred entries. Raises InvalidInput with all that is wrong with
    the mask, filter, order and token.
    """
    matches, orders, after = read(seals, question, described, mask=mask)
    if orders:
        schema = schema_of(described)
        reads = [(schema[order.field].read, order.descending) for order in orders]
        ranked = await _ranked(places, make, matches, reads)
        return _cut(seals, question, ranked, after)
    first = 0 if after is None else bisect_right(places, Place(after[0], _LAST))
    found: list[tuple[Any, Place]] = []
    for index in range(first, len(places)):
        if len(found) >= question.page_size:
            return _page(found, _token(seals, question, [found[-1][1].name]))
        if not (index - first + 1) % limits.LIST_SLICE:
            await asyncio.sleep(0)
        place = places[index]
        message = make(place.uid)
        if message is not None and matches(message):
            found.append((message, place))
    return _page(found, "")


def _page(found: list[tuple[Any, Place]], token: str) -> Page:
    return Page([message for message, _ in found], token, [place.uid for _, place in found])


async def _ranked(
    places: Iterable[Place],
    make: Make,
    matches: Callable[[Any], bool],
    reads: list[tuple[Callable[[Any], Any], bool]],
) -> list[tuple[Any, Place]]:
    found: list[tuple[Any, Place]] = []
    for count, place in enumerate(places):
        if not (count + 1) % limits.LIST_SLICE:
            await asyncio.sleep(0)
        message = make(place.uid)
        if message is not None and matches(message):
            found.append((message, place))
    for read, descending in reversed(reads):
        found.sort(key=functools.partial(_key, read), reverse=descending)
    return found


def _cut(
    seals: Seals, question: Asked, ranked: list[tuple[Any, Place]], after: list[Any] | None
) -> Page:
    """Cut a page out of what was sorted by fields: behind the entry that was the last one."""
    first = 0
    if after is not None:
        names = [place.name for _, place in ranked]
        # Where that entry is gone, its old index is the nearest there is to where it stood.
        first = names.index(after[0]) + 1 if after[0] in names else int(after[1])
    found = ranked[first : first + question.page_size]
    more = first + len(found) < len(ranked)
    token = _token(seals, question, [found[-1][1].name, first + len(found)]) if more else ""
    return _page(found, token)


def _key(read: Callable[[Any], Any], found: tuple[Any, Place]) -> Any:
    return read(found[0])


def _question(question: Asked) -> str:
    parts = (question.method, question.scope, question.filter, question.order_by)
    return sealing.digest(*(part.encode() for part in parts))


def _token(seals: Seals, question: Asked, place: list[Any]) -> str:
    return seals.seal(PAGE, _question(question), *place)


def _after(seals: Seals, question: Asked, *, others: bool) -> list[Any] | None:
    """Open the request's token; raises InvalidInput if it belongs to another question.

    With `others` something else is wrong, so that no token could belong to it.
    """
    if not question.page_token:
        return None
    belongs, *place = seals.open(PAGE, question.page_token, "page_token")
    if belongs != _question(question) and not others:
        wanted = "the token of a page of this list: all but page_size has to be as it was"
        raise InvalidInput("page_token", (Violation("page_token", wanted),))
    return place
