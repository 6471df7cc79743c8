"""What can be filtered and ordered by: the fields of a kind of record, their types and readers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

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


def names(schema: Schema) -> str:
    """List the fields, for who named none of them."""
    return ", ".join(f"{name}.KEY" if own.kind == "map" else name for name, own in schema.items())
