"""Batches of which some requests were refused when they came: how their operations remember those.

An operation's items are what it has to do. Which request each came from, and why others have none,
stands in its input: those that were refused for the same reason together, since a record is small.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from fifo.model.operation import Failure  # noqa: TC001 - msgspec reads annotations

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from fifo.model.operation import Operation


class _Refusals(msgspec.Struct, frozen=True):
    """A reason without its subject, and the subjects by their request's index."""

    why: Failure
    subjects: dict[str, str]


class _Partial(msgspec.Struct, frozen=True):
    """The input of a batch: the index of each item's request, and what was refused."""

    requests: list[int] = []
    refused: list[_Refusals] = []


def told_of(requests: Iterable[int], refused: Mapping[int, Failure]) -> dict[str, Any]:
    """Give the input of a batch; called by the service that accepts it."""
    alike: list[_Refusals] = []
    for index, failure in refused.items():
        why = msgspec.structs.replace(failure, subject="")
        same = next((own for own in alike if own.why == why), None)
        if same is None:
            alike.append(same := _Refusals(why, {}))
        same.subjects[str(index)] = failure.subject
    made: dict[str, Any] = msgspec.to_builtins(_Partial(list(requests), alike))
    return made


def failures(record: Operation) -> Iterator[tuple[int, Failure]]:
    """Give what failed of a batch by its request's index: what was refused, and what failed."""
    told = _Partial()
    if isinstance(record.input, dict):
        told = msgspec.convert(record.input, _Partial)
    for item, failure in record.failures.items():
        yield (told.requests[int(item)] if told.requests else int(item)), failure
    for alike in told.refused:
        for index, subject in alike.subjects.items():
            yield int(index), msgspec.structs.replace(alike.why, subject=subject)
