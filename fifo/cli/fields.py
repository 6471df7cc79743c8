"""Resources from `field=value` pairs and JSON files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

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
        try:
            wanted[field] = json.loads(text)
        except json.JSONDecodeError:
            wanted[field] = text
    if not wanted:
        raise InvalidInput("nothing", (Violation("FIELD=VALUE", "what to set; or -f FILE"),))
    try:
        json_format.ParseDict(wanted, message)
    except json_format.ParseError as error:
        # Its first line says what is wrong; the rest lists fields by other names than ours.
        told, *_ = str(error).splitlines()
        raise InvalidInput("resource", (Violation(", ".join(wanted), told),)) from error
    return list(wanted)


def _read(file: str) -> dict[str, Any]:
    try:
        wanted = json.loads(read(file))
    except ValueError as error:
        raise InvalidInput(file, (Violation("file", f"JSON: {error}"),)) from error
    if not isinstance(wanted, dict):
        raise InvalidInput(file, (Violation("file", "a JSON object with fields"),))
    return wanted
