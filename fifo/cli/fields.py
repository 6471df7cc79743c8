"""Resources from `field=value` pairs and JSON files."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import click
from google.api import field_behavior_pb2
from google.protobuf import descriptor, json_format

from fifo.cli import enums
from fifo.cli.files import read
from fifo.model.errors import InvalidInput, Violation

if TYPE_CHECKING:
    from collections.abc import Sequence

_Kinds = descriptor.FieldDescriptor
_PLAIN: Final = MappingProxyType(
    {
        **dict.fromkeys(
            (_Kinds.CPPTYPE_INT32, _Kinds.CPPTYPE_INT64, _Kinds.CPPTYPE_UINT32,
             _Kinds.CPPTYPE_UINT64),
            "a whole number",
        ),
        **dict.fromkeys((_Kinds.CPPTYPE_DOUBLE, _Kinds.CPPTYPE_FLOAT), "a number"),
        _Kinds.CPPTYPE_BOOL: "true or false",
        _Kinds.CPPTYPE_STRING: "a text",
    }
)  # fmt: skip
"""What fields take, in words."""


def merge(message: Any, file: str | None, settings: Sequence[str]) -> list[str]:
    """Fill a resource and list the fields that were given.

    A value is JSON; what is no JSON is taken as text, words of an enum in any case. Pairs win over
    the file, which may have what only the node sets, as `get -o json` prints it. Raises
    InvalidInput with all that is wrong, LocalFileError.
    """
    wanted = _read(file) if file else {}
    wrong: list[Violation] = []
    own = settable(message.DESCRIPTOR)
    listed = f"a field of it: {', '.join(own)}"
    for setting in settings:
        field, equals, text = setting.partition("=")
        if not equals or not field:
            raise InvalidInput(setting, (Violation("setting", "FIELD=VALUE"),))
        if field not in own:
            wrong.append(Violation(field, listed))
            continue
        try:
            wanted[field] = _value(message, field, text)
        except json.JSONDecodeError as error:
            wrong.append(Violation(field, f"JSON: {error}"))
    if not wanted and not wrong:
        raise click.UsageError("say what to set: FIELD=VALUE, or -f FILE")
    for field, value in wanted.items():
        known = message.DESCRIPTOR.fields_by_name.get(field)
        if known is None:
            wrong.append(Violation(field, listed))
            continue
        try:
            json_format.ParseDict({field: enums.in_capitals(known, value)}, message)
        except json_format.ParseError as error:
            wrong.append(Violation(field, _wanted(known, value, error)))
    if wrong:
        raise InvalidInput(_kind(message), tuple(wrong))
    return list(wanted)


def _wanted(field: Any, value: Any, error: json_format.ParseError) -> str:
    """Say what a field takes, where protobuf says what Python made of it."""
    if (parts := _parts(field)) and not isinstance(value, list if field.is_repeated else dict):
        example = json.dumps({parts[0]: "..."}, separators=(",", ":"))
        whole = f"[{example}]" if field.is_repeated else example
        return f"say which of its parts: {', '.join(parts)}; as in {field.name}={whole}"
    if field.type == field.TYPE_ENUM:
        return enums.listed(field.enum_type)
    if (plain := _PLAIN.get(field.cpp_type)) is not None:
        return f"a list, each {plain}" if field.is_repeated else plain
    # Its first line says what is wrong, behind the names of what it is in.
    told, *_ = str(error).splitlines()
    return told.rpartition("field: ")[2]


def _parts(field: Any) -> list[str]:
    """List what there is to set in a field that has parts of its own; none in any other."""
    kind = field.message_type
    if kind is None or kind.GetOptions().map_entry or kind.file.package.startswith("google."):
        return []
    return settable(kind)


def settable(descriptor: Any) -> list[str]:
    """List the fields of a resource that whoever asks may give."""
    given = field_behavior_pb2.FieldBehavior
    fixed = {given.OUTPUT_ONLY, given.IDENTIFIER}
    return [
        field.name
        for field in descriptor.fields
        if not fixed & {*field.GetOptions().Extensions[field_behavior_pb2.field_behavior]}
    ]


def _kind(message: Any) -> str:
    return str(message.DESCRIPTOR.name).lower()


def _value(message: Any, field: str, text: str) -> Any:
    """Read a value: JSON, or text; raises JSONDecodeError for what looks like JSON and is not."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        known = message.DESCRIPTOR.fields_by_name[field]
        takes_text = known.type == known.TYPE_STRING and not known.is_repeated
        if text[:1] in {"[", "{"} and not takes_text:
            raise
        return text


def _read(file: str) -> dict[str, Any]:
    try:
        wanted = json.loads(read(file))
    except ValueError as error:
        raise InvalidInput(file, (Violation("file", f"JSON: {error}"),)) from error
    if not isinstance(wanted, dict):
        raise InvalidInput(file, (Violation("file", "a JSON object with fields"),))
    return wanted
