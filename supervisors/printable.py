"""Texts of values that others have made: their `str` and `repr` are code that may do anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def text_by(make: Callable[[Any], str], value: object) -> str:
    """Give what a function makes of a value, as a plain string; never raises.

    Called where the runtime writes names, ids, reasons and messages in the middle of its own work.
    A text that an error prevents, as that of an integer with too many digits, is replaced by the
    one that every object has.
    """
    try:
        return str.__str__(make(value))  # A subclass of str would bring its own code along.
    except Exception as error:  # noqa: BLE001 - the value's own code, whatever it does
        return f"{object.__repr__(value)} (unprintable, {type(error).__name__} in its repr)"
