"""The schemas by which resources are filtered and ordered: made from their descriptors.

`fifo.model.filter` has the language; here is what it may name: the fields of a message, those of
messages inside it behind a dot, keys of maps and of tags.
"""

from __future__ import annotations

import functools
import operator
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.descriptor import FieldDescriptor

from fifo.api.resources.values import scalars_of
from fifo.model.filter import Field, Schema, compile_filter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from google.protobuf.descriptor import Descriptor

    Read = Callable[[Any], Any]

_NUMBERS: Final = frozenset(
    {
        FieldDescriptor.CPPTYPE_INT32,
        FieldDescriptor.CPPTYPE_INT64,
        FieldDescriptor.CPPTYPE_UINT32,
        FieldDescriptor.CPPTYPE_UINT64,
        FieldDescriptor.CPPTYPE_DOUBLE,
        FieldDescriptor.CPPTYPE_FLOAT,
    }
)
_DEPTH: Final = 2
"""Messages inside each other whose fields can be named: restart_policy.attempts."""


def predicate(text: str, described: Descriptor) -> Callable[[Any], bool]:
    """Make a predicate over messages of a type; an empty filter lets all pass.

    Raises InvalidInput.
    """
    return compile_filter(text, schema_of(described))


@functools.cache
def schema_of(described: Descriptor) -> Schema:
    """Give the schema of a message type."""
    return dict(_fields(described, "", _itself, 0))


def _itself(message: Any) -> Any:
    return message


def _fields(
    described: Descriptor, prefix: str, outer: Read, depth: int
) -> Iterator[tuple[str, Field]]:
    for field in described.fields:
        name = f"{prefix}{field.name}"
        read = _reader(field.name, outer)
        inner = field.message_type
        if inner is None:
            made = _plain(field, read)
            if made is not None:
                yield name, made
        elif inner.full_name == "google.protobuf.Timestamp":
            yield name, Field("time", functools.partial(_through, _utc, read))
        elif inner.full_name == "google.protobuf.Struct":
            yield name, Field("map", functools.partial(_through, scalars_of, read))
        elif inner.GetOptions().map_entry:
            yield name, Field("map", read)
        elif not field.is_repeated and depth < _DEPTH:
            yield from _fields(inner, f"{name}.", read, depth + 1)


def _reader(name: str, outer: Read) -> Read:
    own = operator.attrgetter(name)
    if outer is _itself:
        return own
    return lambda message: own(outer(message))


def _plain(field: FieldDescriptor, read: Read) -> Field | None:
    """Make the schema of a field that is no message; None for what nobody filters by."""
    if field.enum_type is not None:
        names = {value.number: value.name for value in field.enum_type.values}
        if field.is_repeated:
            return Field("texts", lambda message: [names.get(own, "") for own in read(message)])
        words = tuple(names[number] for number in names if number)
        return Field("text", lambda message: names.get(read(message), ""), words)
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return Field("texts" if field.is_repeated else "text", read)
    if field.is_repeated:
        return None
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return Field("boolean", read)
    return Field("number", read) if field.cpp_type in _NUMBERS else None


def _utc(stamp: Any) -> float:
    return float(stamp.seconds + stamp.nanos / 1e9)


def _through(convert: Read, read: Read, message: Any) -> Any:
    return convert(read(message))
