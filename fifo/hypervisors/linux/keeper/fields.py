"""The fields of a request, taken out one by one and checked; what is left over is refused.

An unknown field is an error because a keeper outlives nodes: a newer node must learn that this
keeper would not do what the field asks for.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Final

from fifo.hypervisors.linux.keeper import limits

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@+-]*")


class Refusal(Exception):  # noqa: N818 -- it is an answer, not a fault
    """A request that is not done: `code` for programs, and a sentence with what to do next."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


class Fields:
    """What a request carries. Every taker raises Refusal `bad_request` and names the field."""

    __slots__ = ("_path", "_values")

    def __init__(self, values: dict[str, Any], path: str = "") -> None:
        self._values = dict(values)
        self._path = path

    def _take(self, name: str, kind: type, wanted: str) -> Any:
        value = self._values.pop(name, None)
        # JSON's true and false are integers in Python, but none to a caller.
        is_it = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
        if value is not None and not is_it:
            raise self.bad(name, wanted)
        return value

    def bad(self, name: str, wanted: str) -> Refusal:
        """Make the refusal of a field."""
        return Refusal("bad_request", f"{self._path}{name}: {wanted} is wanted; correct the field")

    def text(self, name: str, default: str | None = None) -> str:
        """Take a non-empty text without zero bytes; `default` None makes it mandatory."""
        value = self._take(name, str, "a text")
        if value is None:
            value = default
        if value is None or not self._is_argument(value) or (not value and default != ""):
            raise self.bad(name, "a non-empty text without zero bytes")
        return str(value)

    def name(self, name: str) -> str:
        """Take a mandatory name: letters, digits and `._:@+-`, so that it may be a file's name."""
        value = self.text(name)
        if len(value) > limits.NAME_CHARACTERS_MAX or not NAME.fullmatch(value):
            raise self.bad(name, f"a name like {NAME.pattern}")
        return value

    def path(self, name: str, default: str | None = None) -> str:
        """Take an absolute path."""
        value = self.text(name, default)
        if value and not value.startswith("/"):
            raise self.bad(name, "an absolute path")
        return value

    def integer(self, name: str, low: int, high: int, default: int | None = None) -> int:
        """Take a whole number between two bounds, both allowed."""
        value = self._take(name, int, "a whole number")
        if value is None:
            value = default
        if value is None or not low <= value <= high:
            raise self.bad(name, f"a whole number from {low} to {high}")
        return int(value)

    def flag(self, name: str) -> bool:
        """Take true or false, by default false."""
        return bool(self._take(name, bool, "true or false"))

    def data(self, name: str, size_bytes_max: int) -> bytes | None:
        """Take bytes, which travel as base64; None if they are absent."""
        value = self._take(name, str, "base64")
        if value is None:
            return None
        try:
            data = base64.b64decode(value, validate=True)
        except binascii.Error:
            raise self.bad(name, "base64") from None
        if len(data) > size_bytes_max:
            raise self.bad(name, f"at most {size_bytes_max} bytes")
        return data

    def arguments(self, name: str) -> list[str]:
        """Take a command and its arguments: a non-empty list of texts."""
        value = self._take(name, list, "a list of texts")
        if (
            not value
            or len(value) > limits.ARGUMENTS_MAX
            or not all(isinstance(item, str) and self._is_argument(item) for item in value)
            or not value[0]
        ):
            raise self.bad(name, f"a list of 1 to {limits.ARGUMENTS_MAX} texts")
        return list(value)

    def environment(self, name: str) -> dict[str, str] | None:
        """Take variables by name; None if they are absent."""
        value = self._take(name, dict, "texts by name")
        if value is None:
            return None
        if len(value) > limits.ARGUMENTS_MAX or not all(
            isinstance(text, str)
            and self._is_argument(text)
            and self._is_argument(key)
            and key
            and "=" not in key
            for key, text in value.items()
        ):
            raise self.bad(name, f"at most {limits.ARGUMENTS_MAX} texts by name")
        return dict(value)

    def nested(self, name: str) -> Fields | None:
        """Take an object within the request; None if it is absent."""
        value = self._take(name, dict, "an object")
        return None if value is None else Fields(value, f"{self._path}{name}.")

    def end(self) -> None:
        """Refuse what nobody took."""
        for name in self._values:
            raise Refusal(
                "bad_request",
                f"{self._path}{name}: this keeper knows no such field; restart it if it is older",
            )

    @staticmethod
    def _is_argument(text: str) -> bool:
        try:
            return "\0" not in text and len(text.encode()) < limits.ARGUMENT_BYTES_MAX
        except UnicodeEncodeError:  # A lone surrogate, as JSON allows it.
            return False
