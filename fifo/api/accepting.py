"""Accepting a mutation: request ids, etags, and the operation that carries it out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec

from fifo.api.resources import operations
from fifo.fleet.commits import Asked, recall_idle, remember_idle
from fifo.model import records
from fifo.model.errors import Conflict, RequestIdReused
from fifo.model.names import OPERATIONS
from fifo.model.operation import Operation
from fifo.store.catalog import Entry
from fifo.store.contract import KeyValue
from fifo.workflows.accepting import operation_id, request_hash
from fifo.workflows.registry import WORKFLOWS

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.api.backend import Backend
    from fifo.api.calls import Call

R = TypeVar("R", bound=records.Record)


class Work(NamedTuple):
    """What an operation is to do; `uids` are its items, `chunk_size` of them at a time.

    `more_s` are seconds that it may take beyond what its kind usually may. `unhonoured` is for who
    only asks: what is done has it in its specs.
    """

    kind: str
    target: str
    uids: tuple[str, ...]
    input: Any = None
    chunk_size: int = 1
    org: str = ""
    more_s: float = 0.0
    unhonoured: tuple[str, ...] = ()


def hash_of(call: Call) -> str:
    """Tell the request of a call from others with the same id."""
    request: Any = call.request
    asked = getattr(request, "request_id", "")
    if asked != asked.lower():
        # A UUID is the same in capitals (RFC 9562, section 4).
        request = type(request).FromString(request.SerializeToString())
        request.request_id = asked.lower()
    return request_hash(call.method.path, request.SerializeToString(deterministic=True))


def id_of(backend: Backend, call: Call) -> str:
    """Give the id of the operation that a call makes: the same for each repeat of it."""
    asked = getattr(call.request, "request_id", "")
    if asked:
        return operation_id(call.principal.name, call.method.path, asked.lower())
    return "op-" + backend.new_uid().replace("-", "")


async def repeated(
    backend: Backend, call: Call, *, may_idle: bool = True
) -> operations.Message | None:
    """Give the first answer if this request was made before; raises RequestIdReused.

    Asked before anything is checked: what the first one made would stand in the way of the second.
    A create, which never has nothing to do, does not look for what is remembered of such.
    """
    if not getattr(call.request, "request_id", ""):
        return None
    idle = await recall_idle(backend.store, asked_of(call)) if may_idle else None
    if idle is not None:
        return _of_idle(backend, call, idle)
    # Behind the other, which takes its time: what the first one makes meanwhile comes with it.
    entry = backend.catalog.operations.get(id_of(backend, call))
    if entry is None:
        return None
    if entry.record.request_hash != hash_of(call):
        raise RequestIdReused(entry.record.target)
    call.operation = f"{OPERATIONS}/{entry.record.id}"
    return operations.of_record(backend.catalog, entry.record)


def check_etag(given: str, present: str, name: str, look: Callable[[], None] | None = None) -> None:
    """Raise Conflict if a caller knows another state than the present one.

    `look` comes first: it raises InvalidInput for what is wrong with the request whatever the state
    is, so that nobody reads and repeats in vain.
    """
    if given and given != present:
        if look is not None:
            look()
        raise Conflict(
            "it was changed since it was read",
            name,
            "read it again, then repeat the change",
            reason="ETAG_MISMATCH",
        )


def prepare(backend: Backend, call: Call, work: Work) -> Operation:
    """Make the record of an operation."""
    now = backend.now()
    return Operation(
        id=id_of(backend, call),
        kind=work.kind,
        target=work.target,
        principal=call.principal.name,
        create_time=now,
        deadline=now + WORKFLOWS[work.kind].deadline_s + work.more_s,
        uids=work.uids,
        org=work.org,
        # As it will be read back: a runner compares its record with the stored one.
        input=msgspec.json.decode(msgspec.json.encode(work.input)),
        chunk_size=work.chunk_size,
        request_hash=hash_of(call),
    )


async def submit(backend: Backend, call: Call, operation: Operation) -> operations.Message:
    """Have an operation accepted, and give it as it is then."""
    call.operation = f"{OPERATIONS}/{operation.id}"
    accepted = await backend.operations.submit(operation)
    await backend.catalog.at(accepted.revision)
    record = backend.catalog.operations.record(operation.id) or accepted.operation
    return operations.of_record(backend.catalog, record)


def only_validated(
    backend: Backend, call: Call, work: Work, response: Any = None, **more: Any
) -> operations.Message:
    """Give the operation that ends a request which was only to be checked: done, without a name."""
    record = prepare(backend, call, work._replace(input=None))
    record = msgspec.structs.replace(record, id="", state="done", progress=100, **more)
    metadata = operations.metadata(backend.catalog, record)
    metadata.unhonoured_properties.extend(work.unhonoured)
    made = operations.Message(done=True)
    made.metadata.Pack(metadata)
    if response is not None:
        made.response.Pack(response)
    return made


async def done_already(backend: Backend, call: Call, work: Work) -> operations.Message:
    """Give the operation of a request that has nothing to do, and remember that it had not."""
    made = prepare(backend, call, work)
    idle = msgspec.structs.replace(
        made, id="", state="done", progress=100, end_time=made.create_time
    )
    if not getattr(call.request, "validate_only", False):
        idle = await remember_idle(backend.store, asked_of(call), idle, backend.remembering)
    return _of_idle(backend, call, idle)


async def under_way(backend: Backend, call: Call, record: Operation) -> operations.Message:
    """Give an operation that does already what a call asks for, and remember that it was this."""
    # What it was asked for is in its own record.
    kept = msgspec.structs.replace(record, input=None, steps=(), request_hash=hash_of(call))
    idle = await remember_idle(backend.store, asked_of(call), kept, backend.remembering)
    return _of_idle(backend, call, idle)


def _of_idle(backend: Backend, call: Call, idle: Operation) -> operations.Message:
    """Give what a request was answered with that had nothing to do, as it is now."""
    if not idle.id:
        made = operations.of_record(backend.catalog, idle)
        made.name = ""
        return made
    call.operation = f"{OPERATIONS}/{idle.id}"
    # An operation is kept for longer than what is remembered of a request.
    return operations.of_record(backend.catalog, backend.catalog.operations.record(idle.id) or idle)


def asked_of(call: Call) -> Asked:
    """Give what remembers the request of a call whose change is one commit."""
    request_id = getattr(call.request, "request_id", "")
    if not request_id:
        return Asked()
    own = operation_id(call.principal.name, call.method.path, request_id.lower())
    return Asked(own, hash_of(call))


def as_if(record: R) -> Entry[R]:
    """Give a record as if it were stored, for who asks what would be."""
    return Entry(type(record), KeyValue(b"as/if/", records.encode(record), 0, 0, 1))
