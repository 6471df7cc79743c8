"""The contract as simple as it can be said: every revision kept whole, nothing concurrent."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from fifo.store.contract import (
    Delete,
    DeleteRange,
    Get,
    KeyValue,
    Put,
    RangeReply,
    Txn,
    TxnReply,
)

if TYPE_CHECKING:
    from fifo.store.contract import Compare, Operation, Response

State = dict[bytes, KeyValue]
RELATIONS = {"=": operator.eq, "!=": operator.ne, "<": operator.lt, ">": operator.gt}


class Model:
    """`states[n]` is all of revision n, `changes[n]` what it changed, in order."""

    def __init__(self) -> None:
        self.states: list[State] = [{}, {}]
        self.changes: list[list[KeyValue]] = [[], []]
        self.compacted = 1
        self.leases: dict[int, tuple[int, float]] = {}

    @property
    def revision(self) -> int:
        return len(self.states) - 1

    def within(self, state: State, start: bytes, end: bytes | None) -> list[KeyValue]:
        inside = (
            key
            for key in sorted(state)
            if (key == start if end is None else key >= start and (end == b"\0" or key < end))
        )
        return [state[key] for key in inside]

    def read(self, start: bytes, end: bytes | None, limit: int, revision: int) -> RangeReply:
        found = self.within(self.states[revision], start, end)
        return RangeReply(tuple(found[:limit]), revision, len(found) > limit)

    def holds(self, compare: Compare) -> bool:
        kv = self.states[-1].get(compare.key)
        actual: Any
        if compare.target == "value":
            if kv is None:
                return False
            actual = kv.value
        elif kv is None:
            actual = 0
        else:
            actual = {
                "mod": kv.mod_revision,
                "create": kv.create_revision,
                "version": kv.version,
                "lease": kv.lease,
            }[compare.target]
        return bool(RELATIONS[compare.op](actual, compare.operand))

    def txn(self, txn: Txn) -> TxnReply:
        succeeded = all(self.holds(compare) for compare in txn.compares)
        responses = self.act(txn.then if succeeded else txn.otherwise)
        return TxnReply(succeeded, self.revision, tuple(responses))

    def act(self, operations: tuple[Operation, ...]) -> list[Response]:
        state = dict(self.states[-1])
        revision = self.revision + 1
        changes: list[KeyValue] = []
        responses: list[Any] = []
        for operation in operations:
            if isinstance(operation, Put):
                old = state.get(operation.key)
                state[operation.key] = kv = KeyValue(
                    operation.key,
                    operation.value,
                    old.create_revision if old else revision,
                    revision,
                    old.version + 1 if old else 1,
                    operation.lease,
                )
                changes.append(kv)
                responses.append(None)
            elif isinstance(operation, Get):
                responses.append((operation, dict(state)))
            else:
                responses.append(self.delete(state, operation, revision, changes))
        if changes:
            self.states.append(state)
            self.changes.append(changes)
        for at, response in enumerate(responses):
            if isinstance(response, tuple):
                get, seen = response
                found = self.within(seen, get.start, get.end)
                more = len(found) > get.limit
                responses[at] = RangeReply(tuple(found[: get.limit]), self.revision, more)
        return responses

    def delete(
        self,
        state: State,
        operation: Delete | DeleteRange,
        revision: int,
        changes: list[KeyValue],
    ) -> int:
        if isinstance(operation, Delete):
            gone = self.within(state, operation.key, None)
        else:
            gone = self.within(state, operation.start, operation.end)
        for kv in gone:
            del state[kv.key]
            changes.append(KeyValue(kv.key, b"", 0, revision, 0))
        return len(gone)

    def end_lease(self, lease: int) -> None:
        del self.leases[lease]
        held = sorted(key for key, kv in self.states[-1].items() if kv.lease == lease)
        self.act(tuple(Delete(key) for key in held))

    def told(self, start: bytes, end: bytes | None, first: int) -> list[KeyValue]:
        return [
            kv
            for changes in self.changes[first:]
            for kv in self.within({kv.key: kv for kv in changes}, start, end)
            if changes
        ]
