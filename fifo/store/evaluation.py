"""How a txn acts on a keyspace: compares, the branch they choose, and its operations in order."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from fifo.model.errors import StoreFull, StoreLimit
from fifo.store import limits
from fifo.store.contract import Delete, DeleteRange, Get, KeyValue, Put, RangeReply, TxnReply

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.store.contract import Operation, Response, Txn
    from fifo.store.keyspace import Keyspace

NOTHING: Final = KeyValue(b"", b"", 0, 0, 0, 0)
RELATIONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
TARGETS: Final[dict[str, Callable[[KeyValue], Any]]] = {
    "mod": operator.attrgetter("mod_revision"),
    "create": operator.attrgetter("create_revision"),
    "version": operator.attrgetter("version"),
    "lease": operator.attrgetter("lease"),
    "value": operator.attrgetter("value"),
}


class Effect(NamedTuple):
    """What a txn did to the head: its reply, its changes, and the revision each key had before."""

    reply: TxnReply
    changes: list[KeyValue]
    previous: list[int]


def choose(keyspace: Keyspace, txn: Txn) -> bool:
    """Tell whether all compares hold, judged by the head."""
    head = keyspace.head
    for compare in txn.compares:
        kv = head.get(compare.key)
        if kv is None or not kv.version:
            if compare.target == "value":
                return False  # What is not there has no value, so nothing is true of it (etcd).
            kv = NOTHING
        if not RELATIONS[compare.op](TARGETS[compare.target](kv), compare.operand):
            return False
    return True


def refuse(keyspace: Keyspace, operations: tuple[Operation, ...], live_limit_bytes: int) -> None:
    """Raise what forbids a branch, before any of it acts."""
    growth_bytes = deleted = 0
    for operation in operations:
        if operation.__class__ is Put:
            growth_bytes += len(operation.key) + len(operation.value)
            if operation.lease:
                keyspace.leases.admit(operation.lease)
        elif isinstance(operation, DeleteRange):
            deleted += len(keyspace.present(operation.start, operation.end))
    if (
        keyspace.live_bytes + growth_bytes > live_limit_bytes
        and (growth_bytes := growth_bytes - _freed_bytes(keyspace, operations)) > 0
        and keyspace.live_bytes + growth_bytes > live_limit_bytes
    ):
        raise StoreFull(
            f"keys and values are {keyspace.live_bytes} bytes of at most {live_limit_bytes}",
            "store",
            "delete what is no longer needed",
        )
    if deleted > limits.DELETE_KEYS:
        raise StoreLimit("DELETE_KEYS", deleted, limits.DELETE_KEYS)


def _freed_bytes(keyspace: Keyspace, operations: tuple[Operation, ...]) -> int:
    """Add up what a branch deletes and what its puts replace."""
    freed = {
        kv.key: kv
        for operation in operations
        if not isinstance(operation, Get)
        for kv in _doomed(keyspace, operation)
    }
    return sum(len(kv.key) + len(kv.value) for kv in freed.values())


def act(keyspace: Keyspace, operations: tuple[Operation, ...], *, succeeded: bool) -> Effect:
    """Do the operations of a branch that nothing forbids."""
    revision = keyspace.revision + 1
    changes: list[KeyValue] = []
    previous: list[int] = []
    responses: list[Response] = []
    reads: dict[int, RangeReply] = {}
    for operation in operations:
        if operation.__class__ is Put:
            new, before = keyspace.put(
                operation.key,
                operation.value,
                operation.lease,
                revision,
            )
            changes.append(new)
            previous.append(before)
            responses.append(None)
        elif isinstance(operation, Get):
            reads[len(responses)] = reply = _get(keyspace, operation, revision)
            responses.append(reply)
        else:
            gone = _doomed(keyspace, operation)
            for old in gone:
                new, before = keyspace.delete(old, revision)
                changes.append(new)
                previous.append(before)
            responses.append(len(gone))
    if changes:
        keyspace.revision = revision
    else:
        revision -= 1
        for at, reply in reads.items():
            responses[at] = msgspec.structs.replace(reply, revision=revision)
    return Effect(TxnReply(succeeded, revision, tuple(responses)), changes, previous)


def _get(keyspace: Keyspace, operation: Get, revision: int) -> RangeReply:
    found = keyspace.present(operation.start, operation.end)
    more = len(found) > operation.limit
    return RangeReply(tuple(found[: operation.limit] if more else found), revision, more)


def _doomed(keyspace: Keyspace, operation: Delete | DeleteRange | Put) -> list[KeyValue]:
    if isinstance(operation, DeleteRange):
        return keyspace.present(operation.start, operation.end)
    return keyspace.present(operation.key, None)
