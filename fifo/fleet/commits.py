"""Changes that are one commit: planned from the catalog, written if nothing moved, remembered.

What an operator changes at once (packages, networks, hosts' labels, reserved addresses) needs no
workflow. A request id is kept with the answer in the same transaction, for 24 hours. So are ids of
requests for which a workflow had nothing to do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import msgspec

from fifo.model import limits, records
from fifo.model.errors import Conflict, OutcomeUnknown, RequestIdReused
from fifo.model.operation import Operation
from fifo.model.records import Record
from fifo.store.contract import Compare, Get, Put, RangeReply, Txn, absent, unchanged

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fifo.model.hypervisor import HypervisorSpec
    from fifo.model.package import Package
    from fifo.store.catalog import Entry
    from fifo.store.contract import Store
    from fifo.workflows.world import World, Write

REQUEST: Final = b"request/"
"""Answers to requests that may be repeated, by the hash of caller, method and request id."""
DAY_S: Final = 86_400
LEASE_EVERY_S: Final = 3_600.0
"""How long answers share a lease: a few dozen leases a day, whatever the number of requests."""


class Answered(Record, frozen=True, tag="answered/1"):
    """What a request was answered with: the uid of its resource, and what the request was."""

    request_hash: str
    uid: str


R = TypeVar("R", Answered, Operation)


class Asked(NamedTuple):
    """A request that may be repeated; without an id it is not remembered."""

    id: str = ""
    request_hash: str = ""


@dataclass(slots=True)
class Plan:
    """What is to be written, and under which conditions; `uid` is of the resource it is about."""

    uid: str
    compares: list[Compare] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)


def next_generation(
    entry: Entry[HypervisorSpec] | Entry[Package], changed: HypervisorSpec | Package
) -> Plan:
    """Plan the next generation of what is wanted; nothing if it is as it was."""
    before = entry.record
    if changed == before:
        return Plan(before.uid)
    after = msgspec.structs.replace(changed, generation=before.generation + 1)
    return Plan(
        before.uid,
        [unchanged(entry.key, entry.revision)],
        [Put(entry.key, records.encode(after))],
    )


class Remembering:
    """Hands out the lease that answers of the present hour hang on; one a control node."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._lease = 0
        self._since = 0.0

    async def lease(self) -> int:
        """Give a lease that lasts for 24 hours from now at least."""
        now = self._clock()
        if not self._lease or now - self._since >= LEASE_EVERY_S:
            self._since = now
            self._lease = await self._store.grant(DAY_S + int(LEASE_EVERY_S))
        return self._lease


class Committed(NamedTuple):
    """Whose the change was, and whether an earlier request had made it."""

    uid: str
    repeated: bool


async def commit(
    world: World,
    plan: Callable[[], Plan | Awaitable[Plan]],
    asked: Asked,
    remembering: Remembering,
) -> Committed:
    """Plan and write until nothing moved meanwhile, at most `CLAIM_ATTEMPTS` times.

    The catalog has seen the change when this returns. Raises what the plan raises,
    RequestIdReused, Conflict.
    """
    key = REQUEST + asked.id.encode()
    known = await recall(world.store, asked)
    if known is not None:
        return known
    lease = await remembering.lease() if asked.id else 0
    for _ in range(limits.CLAIM_ATTEMPTS):
        made = plan()
        wanted = made if isinstance(made, Plan) else await made
        compares, writes = list(wanted.compares), list(wanted.writes)
        if asked.id:
            answer = Answered(request_hash=asked.request_hash, uid=wanted.uid)
            compares.append(absent(key))
            writes.append(Put(key, records.encode(answer), lease))
        if not writes:
            return Committed(wanted.uid, repeated=False)
        try:
            reply = await world.store.txn(Txn(tuple(compares), tuple(writes), (Get(key),)))
        except OutcomeUnknown:
            if (known := await recall(world.store, asked)) is not None:
                return Committed(known.uid, repeated=False)
            raise
        await world.catalog.at(reply.revision)
        if reply.succeeded:
            return Committed(wanted.uid, repeated=False)
        (found,) = reply.responses
        assert isinstance(found, RangeReply)
        if asked.id and found.kvs:
            return _known(found.kvs[0].value, asked)
    raise Conflict("others kept changing the same records", "", "try again")


async def recall(store: Store, asked: Asked) -> Committed | None:
    """Give the first answer to a request; None if it is new."""
    if not asked.id:
        return None
    found = (await store.get(REQUEST + asked.id.encode())).kvs
    return _known(found[0].value, asked) if found else None


def _known(value: bytes, asked: Asked) -> Committed:
    answer = _first(Answered, value, asked)
    return Committed(answer.uid, repeated=True)


async def recall_idle(store: Store, asked: Asked) -> Operation | None:
    """Give what `remember_idle` keeps of a request; None if it is new. Raises RequestIdReused."""
    if not asked.id:
        return None
    found = (await store.get(REQUEST + asked.id.encode())).kvs
    return _first(Operation, found[0].value, asked) if found else None


async def remember_idle(
    store: Store, asked: Asked, answer: Operation, remembering: Remembering
) -> Operation:
    """Keep the answer of a request that had nothing to do, and give the first one there was.

    Called for methods whose work is an operation: a repeat must not do later what there was not to
    do now. One key a request, and none without an id. Raises RequestIdReused, OutcomeUnknown.
    """
    if not asked.id:
        return answer
    key = REQUEST + asked.id.encode()
    put = Put(key, records.encode(answer), await remembering.lease())
    reply = await store.txn(Txn((absent(key),), (put,), (Get(key),)))
    if reply.succeeded:
        return answer
    (found,) = reply.responses
    assert isinstance(found, RangeReply)
    return _first(Operation, found.kvs[0].value, asked)


def _first(kind: type[R], value: bytes, asked: Asked) -> R:
    answer = records.decode(kind, value)
    if answer.request_hash != asked.request_hash:
        raise RequestIdReused("")
    return answer
