from __future__ import annotations

import re

import pytest

from fifo.model import errors
from fifo.model.errors import FifoError, InvalidInput, StoreLimit, Violation

TREE = [
    own
    for own in vars(errors).values()
    if isinstance(own, type) and issubclass(own, FifoError) and own is not FifoError
]


def made(kind: type[FifoError]) -> FifoError:
    """Make one of whatever it takes."""
    if kind is InvalidInput:
        return InvalidInput("it", (Violation("field", "more"),))
    if kind is StoreLimit:
        return StoreLimit("value", 9, 5)
    if kind in {errors.Compacted, errors.FutureRevision}:
        return kind(5, 9)
    if kind is errors.LeaseNotFound:
        return errors.LeaseNotFound(7)
    if kind is errors.RequestIdReused:
        return errors.RequestIdReused("orgs/default/instances/web")
    return kind("it is so", "orgs/default/instances/web", "do that")


@pytest.mark.parametrize("kind", TREE, ids=lambda own: own.__name__)
def test_an_error_says_what_happened_to_what_and_what_to_do_next(kind: type[FifoError]) -> None:
    error = made(kind)
    assert error.what
    assert error.subject
    assert error.remedy
    assert str(error) == f"{error.subject}: {error.what}; {error.remedy}"
    assert kind.__doc__


@pytest.mark.parametrize("kind", TREE, ids=lambda own: own.__name__)
def test_a_reason_is_a_constant_for_programs(kind: type[FifoError]) -> None:
    assert re.fullmatch(r"[A-Z][A-Z0-9_]{0,61}[A-Z0-9]", made(kind).reason_text)
    assert all(isinstance(own, str) for own in made(kind).details.values())


def test_reasons_tell_classes_apart() -> None:
    # A compacted watch is told as any history that is gone.
    reasons = [kind.reason for kind in TREE if "reason" in vars(kind)]
    assert len(set(reasons)) == len(reasons)


def test_a_reason_and_details_may_be_given() -> None:
    error = errors.NoRoom("full", reason="NO_HOST", details={"refused_cpu": "3"})
    assert (error.reason_text, error.details) == ("NO_HOST", {"refused_cpu": "3"})
    assert str(error) == "full"


def test_violations_are_told_up_to_eight_and_then_counted() -> None:
    wrong = tuple(Violation(f"f{n}", "more") for n in range(11))
    error = InvalidInput("it", wrong)
    assert error.violations == wrong
    assert "f7: more and 3 more" in str(error)
    assert "f8" not in str(error)


def test_long_violations_are_told_as_far_as_a_text_stays_whole() -> None:
    wrong = tuple(Violation(f"f{n}", "x" * 100) for n in range(9))
    told = str(InvalidInput("it", wrong))
    assert told.startswith("it: not valid (f0: xxx")
    assert told.endswith("x and 6 more); correct the named fields")
    alone = str(InvalidInput("it", (Violation("f", "y" * 1_000),)))
    assert alone.endswith("yy…); correct the named fields")
    assert len(alone) < 400


def test_what_may_succeed_later_says_when() -> None:
    for kind in TREE:
        if issubclass(kind, errors.Unavailable):
            assert kind("it", retry_after_s=2.5).retry_after_s == 2.5
