"""What can be filtered and ordered by: the fields of a kind of record, their types and readers."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from fifo.model.filter import limits

Kind = Literal["text", "number", "boolean", "time", "texts", "map"]
"""`time` is UTC seconds, `texts` a list of texts, `map` scalars under keys (tags, labels)."""

Predicate = Callable[[Any], bool]
"""Tells whether a record passes."""


class Field(NamedTuple):
    """One field: its type, how it is read of a record, and for an enumeration its words."""

    kind: Kind
    read: Callable[[Any], Any]
    words: tuple[str, ...] = ()


Schema = Mapping[str, Field]
"""Fields by the name that a filter has for them; a dot in a name is part of it."""


def names(schema: Schema) -> list[str]:
    """List the fields as a filter names them."""
    return [f"{name}.KEY" if own.kind == "map" else name for name, own in schema.items()]


def instead(name: str, known: Sequence[str]) -> str:
    """Say which fields there are for who named none of them: those alike, else the first ones."""
    if alike := difflib.get_close_matches(name, known, limits.ALIKE):
        return f"did you mean {' or '.join(alike)}?"
    more = len(known) - limits.SHOWN_FIELDS
    listed = ", ".join(known[: limits.SHOWN_FIELDS])
    return f"fields are {listed}" + (f" and {more} more" if more > 0 else "")
