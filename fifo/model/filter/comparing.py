"""From a field, a comparison and a value to a predicate, checked against the field's type."""

from __future__ import annotations

import datetime as dt
import operator
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.model.filter.schema import Field, Predicate
    from fifo.model.filter.tokens import Value

_COMPARE: Final = {
    "=": operator.eq,
    ":": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_EQUALITY: Final = frozenset({"=", "!=", ":"})
_TRUTH: Final = {"true": True, "false": False}
TIME_WANTED: Final = "a time like 2026-01-31T12:00:00Z"


class UnsuitableError(ValueError):
    """The comparison or the value does not suit the field; its text is what would."""


def compare(field: Field, sign: str, value: Value) -> Predicate:
    """Make the predicate of one restriction; raises UnsuitableError."""
    read = field.read
    if value.anything and sign == ":":
        return lambda record: bool(read(record))
    return _MAKERS[field.kind](field, sign, value)


def compare_key(field: Field, key: str, sign: str, value: Value) -> Predicate:
    """Make the predicate of what a map holds under a key, in whatever type it is.

    What is not there equals nothing, and so differs from everything.
    """
    read = field.read
    if value.anything and sign in {":", "="}:
        return lambda record: key in read(record)
    if sign in _EQUALITY:
        matches = _match(value)
        negated = sign == "!="
        return lambda record: (
            (key in (own := read(record)) and matches(_written(own[key]))) != (negated)
        )
    number, comparing = _number(value), _COMPARE[sign]

    def compared(record: Any) -> bool:
        own = read(record).get(key)
        is_number = isinstance(own, int | float) and not isinstance(own, bool)
        return is_number and bool(comparing(own, number))

    return compared


def _written(own: Any) -> str:
    """Write a scalar as JSON does, texts without quotes."""
    if isinstance(own, bool):
        return "true" if own else "false"
    return str(own)


def _match(value: Value) -> Callable[[str], bool]:
    """Make the test of a text, with stars at its ends."""
    text = value.text
    if value.starts and value.ends:
        return lambda own: text in own
    if value.starts:
        return lambda own: own.endswith(text)
    if value.ends:
        return lambda own: own.startswith(text)
    return lambda own: own == text


def _text(field: Field, sign: str, value: Value) -> Predicate:
    if sign not in _EQUALITY:
        raise UnsuitableError("= or !=, since it is a text,")
    starred = value.starts or value.ends
    if field.words and not starred and value.text not in field.words:
        raise UnsuitableError(f"one of {', '.join(field.words)}")
    read, text = field.read, value.text
    if not starred:
        if sign == "!=":
            return lambda record: bool(read(record) != text)
        return lambda record: bool(read(record) == text)
    matches = _match(value)
    if sign == "!=":
        return lambda record: not matches(read(record))
    return lambda record: matches(read(record))


def _plain(value: Value, wanted: str) -> str:
    if value.starts or value.ends:
        raise UnsuitableError(f"{wanted}, without stars,")
    return value.text


def _number(value: Value) -> float:
    text = _plain(value, "a number")
    try:
        # int() keeps what a float would round.
        return int(text) if text.lstrip("+-").isdecimal() else _finite(text)
    except ValueError:
        raise UnsuitableError("a number") from None


def _finite(text: str) -> float:
    number = float(text)
    if number - number != 0.0:
        raise ValueError(text)
    return number


def _ordered(field: Field, sign: str, wanted: float) -> Predicate:
    read, comparing = field.read, _COMPARE[sign]
    return lambda record: bool(comparing(read(record), wanted))


def _of_number(field: Field, sign: str, value: Value) -> Predicate:
    return _ordered(field, sign, _number(value))


def _of_time(field: Field, sign: str, value: Value) -> Predicate:
    text = _plain(value, TIME_WANTED)
    try:
        found = dt.datetime.fromisoformat(text)
        if found.tzinfo is None:
            found = found.replace(tzinfo=dt.UTC)
        utc = found.timestamp()
    except (ValueError, OverflowError):
        raise UnsuitableError(TIME_WANTED) from None
    return _ordered(field, sign, utc)


def _of_boolean(field: Field, sign: str, value: Value) -> Predicate:
    wanted = _TRUTH.get(_plain(value, "true or false").lower())
    if sign not in _EQUALITY or wanted is None:
        raise UnsuitableError("= or != with true or false")
    return _ordered(field, sign, wanted)


def _of_texts(field: Field, sign: str, value: Value) -> Predicate:
    if sign != ":":
        raise UnsuitableError("`:`, since it is a list,")
    read, matches, text = field.read, _match(value), value.text
    if not value.starts and not value.ends:
        return lambda record: text in read(record)
    return lambda record: any(matches(own) for own in read(record))


def _of_map(field: Field, sign: str, value: Value) -> Predicate:
    if sign != ":":
        raise UnsuitableError("`:KEY`, or a key behind a dot, since it holds several,")
    read, matches, text = field.read, _match(value), value.text
    if not value.starts and not value.ends:
        return lambda record: text in read(record)
    return lambda record: any(matches(own) for own in read(record))


_MAKERS: Final[dict[str, Callable[[Field, str, Value], Predicate]]] = {
    "text": _text,
    "number": _of_number,
    "time": _of_time,
    "boolean": _of_boolean,
    "texts": _of_texts,
    "map": _of_map,
}
