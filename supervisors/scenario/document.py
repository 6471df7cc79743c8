"""A JSON document that will be checked: read strictly, its faults named by JSON pointers.

Functions of their arguments; `form` says what a scenario must look like in their words.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from supervisors import limits
from supervisors.errors import ScenarioFault

if TYPE_CHECKING:
    from collections.abc import Iterable

Where = tuple[str | int, ...]
"""The way from the document to a value: member names and positions."""


def read(text: bytes) -> Any:
    """Parse UTF-8 JSON text; raises ScenarioFault where it is none."""
    if len(text) > limits.SCENARIO_BYTES:
        raise ScenarioFault("", f"longer than {limits.SCENARIO_BYTES} bytes")
    try:
        return json.loads(text.decode(), object_pairs_hook=_Members.of, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise ScenarioFault("", f"not UTF-8: {error}") from None
    except RecursionError:
        raise ScenarioFault("", "nested too deeply to be read") from None
    except ValueError as error:
        raise ScenarioFault("", f"not JSON: {error}") from None


def pointer(where: Iterable[str | int]) -> str:
    """Write a place as a JSON pointer (RFC 6901), what cannot be printed escaped as in JSON."""
    parts = (str(part).replace("~", "~0").replace("/", "~1") for part in where)
    text = "".join(f"/{part}" for part in parts)
    return "".join(mark if mark.isprintable() else f"\\u{ord(mark):04x}" for mark in text)


def fault(where: Where, reason: str) -> ScenarioFault:
    """Make the error for a fault at a place."""
    return ScenarioFault(pointer(where), reason)


class _Members(dict[str, Any]):
    """A JSON object that remembers whether one of its names was given twice."""

    twice: str | None = None

    @classmethod
    def of(cls, pairs: list[tuple[str, Any]]) -> _Members:
        made = cls(pairs)
        if len(made) < len(pairs):
            counts = Counter(key for key, _ in pairs)
            made.twice = counts.most_common(1)[0][0]
        return made


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


def check_plain(document: Any) -> None:
    """Refuse what JSON's grammar lets through: names given twice, endless numbers, abysses."""
    waiting: list[tuple[Where, Any]] = [((), document)]
    while waiting:
        where, value = waiting.pop()
        if len(where) > limits.SCENARIO_DEPTH:
            raise fault(where, f"nested deeper than {limits.SCENARIO_DEPTH} levels")
        if isinstance(value, dict):
            twice = getattr(value, "twice", None)
            if twice is not None:
                raise fault((*where, twice), "this name is given twice")
            waiting.extend(((*where, key), member) for key, member in value.items())
        elif isinstance(value, list):
            waiting.extend(((*where, number), item) for number, item in enumerate(value))
        elif isinstance(value, float) and value - value != 0.0:
            raise fault(where, "this number is too large")


def members(where: Where, value: Any, allowed: Iterable[str], required: Iterable[str]) -> None:
    """Check that a value is an object with all the names required and none but those allowed."""
    if not isinstance(value, dict):
        raise fault(where, f"must be an object, not {shown(value)}")
    known = tuple(allowed)
    for key in value:
        if key not in known:
            raise fault((*where, key), f"unknown key; known here: {', '.join(known)}")
    for key in required:
        if key not in value:
            raise fault((*where, key), "missing")


def require(where: Where, key: str, holds: bool, reason: str) -> None:  # noqa: FBT001 - a verdict
    """Refuse the member `key` of the object at `where` unless what was asked of it holds."""
    if not holds:
        raise fault((*where, key), reason)


def shown(value: Any) -> str:
    """Write a value into a reason, shortened."""
    text = json.dumps(value)
    room = limits.SCENARIO_SHOWN_CHARACTERS
    return text if len(text) <= room else text[: room - 3] + "..."


def is_whole(value: Any, least: int) -> bool:
    """Tell whether a value is a whole number (true and false are none) of at least `least`."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
