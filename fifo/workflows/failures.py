"""Errors as they are stored with an operation, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from fifo.model import errors, names
from fifo.model.operation import BATCHES, Failure, FieldViolation
from fifo.workflows import limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fifo.model.operation import Operation
    from fifo.store.catalog import Catalog


def failure_of(error: errors.FifoError) -> Failure:
    """Make the stored form of an error; a long text is cut."""
    details = {key: _cut(value) for key, value in list(error.details.items())[:8]}
    return Failure(
        kind=type(error).__name__,
        reason=error.reason_text,
        what=_cut(error.what),
        subject=_cut(error.subject),
        remedy=_cut(error.remedy),
        details=details,
        violations=tuple(_bounded(error)) if isinstance(error, errors.InvalidInput) else (),
    )


def failure_of_item(
    catalog: Catalog, operation: Operation, item: int, error: errors.FifoError
) -> Failure:
    """Make the stored form of what an item failed by; of a batch it names the item's instance.

    By the name that it has as long as it is not undone; for executions.
    """
    failure, uid = failure_of(error), operation.uids[item]
    spec = catalog.specs.record(uid)
    general = operation.kind in BATCHES and failure.subject in {operation.target, uid}
    if spec is None or not general:
        return failure
    return msgspec.structs.replace(failure, subject=names.instance_name(spec.id, spec.org))


def error_of(failure: Failure) -> errors.FifoError:
    """Make the error again; of a class that does not exist any more, a FifoError."""
    kind = getattr(errors, failure.kind, errors.FifoError)
    if not (isinstance(kind, type) and issubclass(kind, errors.FifoError)):
        kind = errors.FifoError
    error = kind.__new__(kind)
    errors.FifoError.__init__(
        error,
        failure.what,
        failure.subject,
        failure.remedy,
        reason=failure.reason,
        details=failure.details,
    )
    if isinstance(error, errors.InvalidInput):
        error.violations = tuple(
            errors.Violation(own.field, own.wanted) for own in failure.violations
        )
    if isinstance(error, errors.Unavailable):
        error.retry_after_s = 1.0
    return error


def _bounded(error: errors.InvalidInput) -> Iterator[FieldViolation]:
    """Give the first violations of an error, as far as together they are no longer than a text."""
    left = limits.FAILURE_CHARACTERS
    for field, wanted in error.violations:
        left -= len(field)
        if left <= 0:
            return
        yield FieldViolation(field=field, wanted=_cut(wanted, left))
        left -= len(wanted)


def _cut(text: str, most: int = limits.FAILURE_CHARACTERS) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
