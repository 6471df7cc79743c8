"""Resources from `field=value` pairs and JSON files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
from google.api import field_behavior_pb2
from google.protobuf import json_format

from fifo.cli.files import read
from fifo.model.errors import InvalidInput, Violation

if TYPE_CHECKING:
    from collections.abc import Sequence


def merge(message: Any, file: str | None, settings: Sequence[str]) -> list[str]:
    """Fill a resource and list the fields that were given; raises InvalidInput, LocalFileError.

    A value is JSON; what is no JSON is taken as text. Pairs win over the file.
    """
    wanted = _read(file) if file else {}
    for setting in settings:
        field, equals, text = setting.partition("=")
        if not equals or not field:
            raise InvalidInput(setting, (Violation("setting", "FIELD=VALUE"),))
        wanted[field] = _value(message, field, text)
    if not wanted:
        raise click.UsageError("say what to set: FIELD=VALUE, or -f FILE")
    fields = message.DESCRIPTOR.fields_by_name
    if unknown := [name for name in wanted if name not in fields]:
        listed = f"a field of it: {', '.join(settable(message.DESCRIPTOR))}"
        raise InvalidInput(_kind(message), tuple(Violation(name, listed) for name in unknown))
    try:
        json_format.ParseDict(wanted, message)
    except json_format.ParseError as error:
        # Its first line says what is wrong; the rest lists fields by other names than ours.
        told, *_ = str(error).splitlines()
        raise InvalidInput(_kind(message), (Violation(", ".join(wanted), told),)) from error
    return list(wanted)


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
    """Read a value: JSON, or text; raises InvalidInput for what looks like JSON and is not."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        known = message.DESCRIPTOR.fields_by_name.get(field)
        takes_text = known is not None and known.type == known.TYPE_STRING and not known.is_repeated
        if text[:1] in {"[", "{"} and not takes_text:
            raise InvalidInput(_kind(message), (Violation(field, f"JSON: {error}"),)) from None
        return text


def _read(file: str) -> dict[str, Any]:
    try:
        wanted = json.loads(read(file))
    except ValueError as error:
        raise InvalidInput(file, (Violation("file", f"JSON: {error}"),)) from error
    if not isinstance(wanted, dict):
        raise InvalidInput(file, (Violation("file", "a JSON object with fields"),))
    return wanted
