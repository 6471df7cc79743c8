"""Accepting a request: from here on it is promised, and a repeat of it finds what was promised."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from fifo.model import keys, records
from fifo.model.errors import Conflict, FifoError, OutcomeUnknown, RequestIdReused
from fifo.model.operation import NEXT, Operation, StepRecord
from fifo.store.contract import Get, Put, Txn, absent
from fifo.workflows import limits
from fifo.workflows.execution import Execution
from fifo.workflows.workflow import Outcome

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fifo.workflows.workflow import Workflow
    from fifo.workflows.world import World


class Accepted(NamedTuple):
    """An operation as it is stored; `repeated` if an earlier request had made it."""

    operation: Operation
    revision: int
    repeated: bool


def operation_id(principal: str, method: str, request_id: str) -> str:
    """Give the id of the operation that a request makes: the same for each repeat of it."""
    text = f"{principal}\0{method}\0{request_id}".encode()
    return "op-" + hashlib.blake2b(text, digest_size=16).hexdigest()


async def accept(
    world: World,
    workflow: Workflow,
    operation: Operation,
    sleep: Callable[[float], Awaitable[None]],
) -> Accepted:
    """Write an operation, with what its first step writes, in one transaction.

    Raises what the first step refuses, RequestIdReused, Conflict when others kept changing what
    it is about.
    """
    execution = Execution(operation, 0, workflow, world, sleep)
    key = keys.by_uid(keys.OPERATION, operation.id)
    for _ in range(limits.COMMIT_ATTEMPTS):
        if (earlier := await _earlier(world, operation)) is not None:
            return earlier
        record, outcome = operation, Outcome()
        if workflow.accepts_first:
            try:
                outcome = await workflow.steps[0].action(execution, execution.items())
                for error in outcome.failed.values():
                    raise error
            except FifoError:
                # What stands in its way may be its own, made by a request that came first.
                if (earlier := await _earlier(world, operation)) is not None:
                    return earlier
                raise
            record = _after_first(operation, workflow, outcome, world.utc())
        data = records.encode(record)
        txn = Txn((absent(key), *outcome.compares), (*outcome.writes, Put(key, data)), (Get(key),))
        took, revision = await _commit(world, txn, key, data)
        if took:
            return Accepted(record, revision, repeated=False)
        await world.catalog.at(revision)
    raise Conflict("others kept changing the same records", operation.target, "try again")


def _after_first(
    operation: Operation, workflow: Workflow, outcome: Outcome, now: float
) -> Operation:
    outputs = {str(item): output for item, output in outcome.outputs.items()}
    first = StepRecord(name=workflow.steps[0].name, began=now, ended=now, outputs=outputs)
    return msgspec.structs.replace(
        operation,
        step=1,
        steps=(first,),
        state=NEXT["running", "step_done"],
        result=outcome.result,
        explanation=outcome.explanation,
    )


async def _commit(world: World, txn: Txn, key: bytes, data: bytes) -> tuple[bool, int]:
    try:
        reply = await world.store.txn(txn)
    except OutcomeUnknown:
        stored = (await world.store.get(key)).kvs
        took = bool(stored) and stored[0].value == data
        return took, stored[0].mod_revision if stored else 0
    return reply.succeeded, reply.revision


async def _earlier(world: World, operation: Operation) -> Accepted | None:
    """Give what an earlier request made that is the same; raises RequestIdReused for another."""
    kvs = (await world.store.get(keys.by_uid(keys.OPERATION, operation.id))).kvs
    if not kvs:
        return None
    found = records.decode(Operation, kvs[0].value, kvs[0].key.decode())
    if found.request_hash != operation.request_hash:
        raise RequestIdReused(operation.target)
    return Accepted(found, kvs[0].mod_revision, repeated=True)


def request_hash(method: str, request: bytes) -> str:
    """Tell requests apart that carry the same request id; `request` is its canonical form."""
    return hashlib.blake2b(method.encode() + b"\0" + request, digest_size=16).hexdigest()
