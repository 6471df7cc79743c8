"""What a request must be before an engine looks at it: every limit and every malformed part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fifo.model.errors import InvalidInput, StoreLimit, Violation
from fifo.store import limits
from fifo.store.contract import Delete, DeleteRange, Get, Put
from fifo.store.intervals import covers

if TYPE_CHECKING:
    from fifo.store.contract import Compare, Operation, Txn

RELATIONS: Final = frozenset({"=", "!=", "<", ">"})
NUMBERS: Final = frozenset({"mod", "create", "version", "lease"})
SUBJECT: Final = "store request"


def admit_txn(txn: Txn) -> int:
    """Give the size of a txn in bytes, or raise StoreLimit or InvalidInput."""
    compares, then, otherwise = txn.compares, txn.then, txn.otherwise
    if len(compares) > limits.TXN_COMPARES:
        raise StoreLimit("TXN_COMPARES", len(compares), limits.TXN_COMPARES)
    if len(then) > limits.TXN_OPERATIONS or len(otherwise) > limits.TXN_OPERATIONS:
        longest = max(len(then), len(otherwise))
        raise StoreLimit("TXN_OPERATIONS", longest, limits.TXN_OPERATIONS)
    size_bytes = 0
    for compare in compares:
        size_bytes += _admit_compare(compare)
    if then:
        size_bytes += _admit_branch(then, "then")
    if otherwise:
        size_bytes += _admit_branch(otherwise, "otherwise")
    if size_bytes > limits.TXN_BYTES:
        raise StoreLimit("TXN_BYTES", size_bytes, limits.TXN_BYTES)
    return size_bytes


def admit_interval(start: bytes, end: bytes | None, limit: int = 1) -> None:
    """Check what a read or a watch covers, and how many keys it wants."""
    _admit_key(start)
    if end is not None:
        _admit_key(end)
    if limit > limits.RANGE_KEYS:
        raise StoreLimit("RANGE_KEYS", limit, limits.RANGE_KEYS)
    if limit < 1:
        raise _malformed("limit", f"{limit}, at least 1")


def admit_ttl(ttl_s: int) -> None:
    """Check the life of a lease."""
    if ttl_s > limits.LEASE_TTL_S_MAX:
        raise StoreLimit("LEASE_TTL_S_MAX", ttl_s, limits.LEASE_TTL_S_MAX)
    if ttl_s < limits.LEASE_TTL_S_MIN:
        raise _malformed("ttl_s", f"{ttl_s}, at least {limits.LEASE_TTL_S_MIN}")


def _admit_key(key: bytes) -> int:
    size_bytes = len(key)
    if not 0 < size_bytes <= limits.KEY_BYTES:
        if size_bytes:
            raise StoreLimit("KEY_BYTES", size_bytes, limits.KEY_BYTES)
        raise _malformed("key", "at least one byte")
    return size_bytes


def _admit_compare(compare: Compare) -> int:
    size_bytes = _admit_key(compare.key)
    operand = compare.operand
    if compare.op not in RELATIONS:
        raise _malformed("compare.op", f"one of {sorted(RELATIONS)}, not {compare.op!r}")
    if compare.target in NUMBERS:
        if operand.__class__ is not int:
            raise _malformed("compare.operand", f"an int, since {compare.target} is one")
    elif compare.target != "value":
        raise _malformed("compare.target", f"not {compare.target!r}")
    elif not isinstance(operand, bytes):
        raise _malformed("compare.operand", "bytes, since a value is")
    else:
        size_bytes += len(operand)
    return size_bytes


def _admit_branch(operations: tuple[Operation, ...], branch: str) -> int:
    size_bytes = 0
    written: set[bytes] = set()
    puts = 0
    deletes: list[Delete | DeleteRange] = []
    for operation in operations:
        if operation.__class__ is Put:
            size_bytes += _admit_key(operation.key) + _admit_value(operation.value)
            written.add(operation.key)
            puts += 1
        elif isinstance(operation, Delete):
            size_bytes += _admit_key(operation.key)
            deletes.append(operation)
        elif isinstance(operation, DeleteRange):
            size_bytes += _admit_key(operation.start) + _admit_key(operation.end)
            deletes.append(operation)
        elif isinstance(operation, Get):
            admit_interval(operation.start, operation.end, operation.limit)
            size_bytes += len(operation.start) + len(operation.end or b"")
        else:
            raise _malformed(branch, f"operations, not {operation.__class__.__name__}")
    if len(written) < puts or (deletes and _overlap(written, deletes)):
        raise _malformed(branch, "each key written at most once")
    return size_bytes


def _admit_value(value: bytes) -> int:
    size_bytes = len(value)
    if size_bytes > limits.VALUE_BYTES:
        raise StoreLimit("VALUE_BYTES", size_bytes, limits.VALUE_BYTES)
    return size_bytes


def _overlap(written: set[bytes], deletes: list[Delete | DeleteRange]) -> bool:
    """Tell whether a key is both put and deleted; two deletes of it are harmless (etcd)."""
    for delete in deletes:
        if isinstance(delete, Delete):
            if delete.key in written:
                return True
        elif any(covers(delete.start, delete.end, key) for key in written):
            return True
    return False


def _malformed(field: str, wanted: str) -> InvalidInput:
    return InvalidInput(SUBJECT, (Violation(field, wanted),))
