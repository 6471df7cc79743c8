"""Each error has a code and the details that its kind calls for, and the whole stays small."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest

from fifo.api import limits, status
from fifo.model import errors
from fifo.model.errors import FifoError, Violation
from tests.api.calls import read_details

if TYPE_CHECKING:
    from collections.abc import Iterator


def classes(root: type[FifoError] = FifoError) -> Iterator[type[FifoError]]:
    yield root
    for below in root.__subclasses__():
        yield from classes(below)


def make(kind: type[FifoError]) -> FifoError:
    found = SPECIAL.get(kind)
    return found or kind("it happened", "orgs/default/instances/web", "do that")


SPECIAL: dict[type[FifoError], FifoError] = {
    type(error): error
    for error in (
        errors.InvalidInput("it", (Violation("a.b", "another"),)),
        errors.RequestIdReused("orgs/default/instances/web"),
        errors.StoreLimit("TXN_BYTES", 2, 1),
        errors.Compacted(1, 2),
        errors.FutureRevision(2, 1),
        errors.LeaseNotFound(1),
    )
}
"""Errors of the classes that take something else than the three texts."""

WANTED = {
    "FifoError": ("INTERNAL", None),
    "InvalidInput": ("INVALID_ARGUMENT", "BadRequest"),
    "RequestIdReused": ("INVALID_ARGUMENT", "BadRequest"),
    "StoreLimit": ("INVALID_ARGUMENT", "BadRequest"),
    "FutureRevision": ("OUT_OF_RANGE", "BadRequest"),
    "NotFound": ("NOT_FOUND", "ResourceInfo"),
    "LeaseNotFound": ("ABORTED", "ResourceInfo"),
    "AlreadyExists": ("ALREADY_EXISTS", "ResourceInfo"),
    "WrongState": ("FAILED_PRECONDITION", "PreconditionFailure"),
    "Unsupported": ("FAILED_PRECONDITION", "PreconditionFailure"),
    "NotReady": ("FAILED_PRECONDITION", "PreconditionFailure"),
    "StoreUnusable": ("FAILED_PRECONDITION", "PreconditionFailure"),
    "StoreTaken": ("FAILED_PRECONDITION", "PreconditionFailure"),
    "StoreDenied": ("FAILED_PRECONDITION", "PreconditionFailure"),
    "StoreTooNew": ("FAILED_PRECONDITION", "PreconditionFailure"),
    "Conflict": ("ABORTED", "RetryInfo"),
    "Busy": ("ABORTED", "RetryInfo"),
    "NoRoom": ("RESOURCE_EXHAUSTED", "QuotaFailure"),
    "StoreFull": ("RESOURCE_EXHAUSTED", "QuotaFailure"),
    "Unavailable": ("UNAVAILABLE", "RetryInfo"),
    "StoreOverloaded": ("UNAVAILABLE", "RetryInfo"),
    "StoreClosed": ("UNAVAILABLE", "RetryInfo"),
    "DeadlineExceeded": ("DEADLINE_EXCEEDED", None),
    "Cancelled": ("CANCELLED", None),
    "Unauthenticated": ("UNAUTHENTICATED", None),
    "Forbidden": ("PERMISSION_DENIED", None),
    "HistoryGone": ("OUT_OF_RANGE", None),
    "Compacted": ("OUT_OF_RANGE", None),
    "DataLoss": ("DATA_LOSS", None),
    "StoreCorrupt": ("DATA_LOSS", None),
    "DriverFailed": ("UNKNOWN", None),
    "OutcomeUnknown": ("UNKNOWN", None),
}


def test_each_class_of_the_tree_has_a_row_here() -> None:
    ours = {kind.__name__ for kind in classes() if kind.__module__ == errors.__name__}
    assert ours == set(WANTED)


@pytest.mark.parametrize("name", WANTED)
def test_an_error_is_told_with_its_code_and_its_details(name: str) -> None:
    error = make(getattr(errors, name))
    made = status.status_of(error)
    details = read_details(made.SerializeToString())
    code, detail = WANTED[name]
    assert grpc.StatusCode[code].value[0] == made.code
    assert details["code"] == code
    info = details["ErrorInfo"]
    assert (info.reason, info.domain) == (error.reason_text, "fifo")
    assert set(details) == {"code", "ErrorInfo", *([detail] if detail else [])}
    assert made.message == str(error)


def test_violations_are_cut_at_forty_and_the_rest_is_counted() -> None:
    wrong = tuple(Violation(f"f{number}", "x") for number in range(100))
    details = read_details(status.status_of(errors.InvalidInput("it", wrong)).SerializeToString())
    listed = details["BadRequest"].field_violations
    assert len(listed) == limits.VIOLATIONS + 1
    assert listed[-1].description == "and 60 more"


@pytest.mark.parametrize("text", ["x" * 5_000, "é" * 5_000, "𝄞" * 5_000])
def test_the_whole_status_is_below_its_bound_whatever_is_in_it(text: str) -> None:
    wrong = tuple(Violation(f"{text}{number}", text) for number in range(200))
    details = {f"key {number}": text for number in range(50)}
    for error in (
        errors.InvalidInput(text, wrong),
        errors.NoRoom(text, text, text, details=details),
        errors.WrongState(text, text, text, details=details),
    ):
        made = status.status_of(error)
        assert made.ByteSize() <= limits.STATUS_BYTES
        assert len(made.message.encode()) <= limits.MESSAGE_BYTES
        assert "ErrorInfo" in read_details(made.SerializeToString())


@pytest.mark.parametrize("text", ["x" * 5_000, "é" * 5_000])
def test_a_long_text_is_cut_before_what_to_do_next(text: str) -> None:
    for error in (
        errors.InvalidInput("web", (Violation("f", text),)),
        errors.NoRoom(text, "web", "correct the named fields"),
        errors.WrongState("full", text, "correct the named fields"),
    ):
        made = status.status_of(error).message
        assert made.endswith("; correct the named fields")
        assert "…" in made
        assert len(made.encode()) <= limits.MESSAGE_BYTES


def test_a_bug_is_told_by_its_mark_alone() -> None:
    details = read_details(status.of_bug("b-1").SerializeToString())
    assert details["code"] == "INTERNAL"
    assert details["RequestInfo"].request_id == "b-1"
