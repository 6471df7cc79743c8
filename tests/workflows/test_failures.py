"""Errors as they are stored with an operation: all of them comes back that is told."""

from __future__ import annotations

import msgspec

from fifo.model.errors import InvalidInput, NoRoom, Violation
from fifo.model.operation import Failure
from fifo.workflows import limits
from fifo.workflows.failures import error_of, failure_of


def stored(failure: Failure) -> Failure:
    return msgspec.json.decode(msgspec.json.encode(failure), type=Failure)


def test_what_is_wrong_with_a_request_is_told_when_it_was_found_later_too() -> None:
    wrong = (Violation("source", "a qcow2"), Violation("format", "raw"))
    error = error_of(stored(failure_of(InvalidInput("images/x", wrong))))
    assert isinstance(error, InvalidInput)
    assert error.violations == wrong
    assert str(error) == str(InvalidInput("images/x", wrong))


def test_a_stored_error_keeps_of_many_violations_no_more_than_a_text_is_long() -> None:
    for length in (10, 300, 5_000):
        wrong = tuple(Violation(f"a[{index}]", "x" * length) for index in range(200))
        kept = failure_of(InvalidInput("x", wrong)).violations
        assert 1 <= len(kept) < len(wrong)
        assert [own.field for own in kept] == [own.field for own in wrong[: len(kept)]]
        assert sum(len(own.field + own.wanted) for own in kept) <= limits.FAILURE_CHARACTERS


def test_an_error_that_an_earlier_version_stored_has_no_violations() -> None:
    old = b'{"kind":"InvalidInput","reason":"INVALID_INPUT","what":"not valid (a: b)"}'
    error = error_of(msgspec.json.decode(old, type=Failure))
    assert isinstance(error, InvalidInput)
    assert error.violations == ()
    assert failure_of(NoRoom("full")).violations == ()
