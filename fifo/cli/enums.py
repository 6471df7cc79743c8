"""Words of enums as people write them: in any case, with dashes; the API has them in capitals."""

from __future__ import annotations

from typing import Any


def in_capitals(field: Any, value: Any) -> Any:
    """Give a field's value of JSON with the words of enums in it, however deep, as the API has."""
    if isinstance(value, list):
        return [in_capitals(field, each) for each in value]
    if field.type == field.TYPE_ENUM and isinstance(value, str):
        return value.upper().replace("-", "_")
    if field.type == field.TYPE_MESSAGE and isinstance(value, dict):
        inside = field.message_type.fields_by_name
        return {
            name: in_capitals(inside[name], each) if name in inside else each
            for name, each in value.items()
        }
    return value


def listed(enum: Any) -> str:
    """List the words of an enum but for the one that stands for none."""
    words = [word.name.lower() for word in enum.values if word.number]
    return f"one of {', '.join(words)}"
