"""From bytes to a JSON object, or what is wrong with them; bounded in size, depth and time.

What JSON readers differ in is refused: members that are given twice, NaN and infinities, numbers
that not every reader keeps, halves of surrogate pairs, text that is no UTF-8 (RFC 8259, 4 to 8).
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

import msgspec

from fifo.model.errors import Violation
from fifo.model.vmadm import limits
from fifo.model.vmadm.texts import shown

_STRING: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"(\s*+:)?+', re.DOTALL)
"""A string, and the colon behind it if it is the name of a member."""

_TOO_MANY: Final = f"at most {limits.VALUES} values"
_TOO_DEEP: Final = f"at most {limits.DEPTH} values inside each other"

Object = dict[str, Any]
Refused = tuple[Violation, ...]


def read(data: bytes, field: str = "payload") -> tuple[Object, Refused]:
    """Read a payload; if anything is wrong the object is empty. `field` stands for the whole."""
    try:
        value = _decode(data)
        members = _walk(value)
    except _Refused as error:
        return {}, (Violation(error.path or field, error.wanted),)
    text = data.decode()
    written = sum(map(bool, _STRING.findall(text)))
    if written > limits.VALUES:
        return {}, (Violation(field, _TOO_MANY),)
    return ({}, tuple(_repeated(text))) if members != written else (value, ())


class _Refused(Exception):  # noqa: N818 - says what happened, never leaves this module
    """What was read is out of bounds, at a path of it or, without one, as a whole."""

    def __init__(self, path: str, wanted: str) -> None:
        super().__init__(path, wanted)
        self.path = path
        self.wanted = wanted


def _decode(data: bytes) -> Object:
    if len(data) > limits.PAYLOAD_BYTES:
        raise _Refused("", f"at most {limits.PAYLOAD_BYTES} bytes, not {len(data)}")
    try:
        if _opened(data) > limits.VALUES:
            raise _Refused("", _TOO_MANY)
        value = msgspec.json.decode(data)
    except UnicodeDecodeError as error:
        wrong = error.object[error.start : error.end]
        raise _Refused("", f"text in UTF-8, which {wrong!r} is not") from error
    except RecursionError as error:
        raise _Refused("", _TOO_DEEP) from error
    except msgspec.DecodeError as error:
        raise _Refused("", f"valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise _Refused("", "a JSON object")
    return value


def _opened(data: bytes) -> int:
    """Count lists and objects before any is made: each costs more than its bytes.

    Raises what decoding raises.
    """
    count = data.count(b"[") + data.count(b"{")
    if count <= limits.VALUES:
        return count
    # Many may stand in a script that is a text. Strings end for certain in what is valid JSON.
    msgspec.json.decode(data, type=msgspec.Raw)
    bare = _STRING.sub("", data.decode())
    return bare.count("[") + bare.count("{")


def _walk(value: Object) -> int:
    """Look at every value once and count the members of objects; raises _Refused."""
    members = values = 0
    level: list[tuple[str, Any]] = [("", value)]
    for _ in range(limits.DEPTH):
        inner: list[tuple[str, Any]] = []
        for path, own in level:
            entries = own.items() if isinstance(own, dict) else enumerate(own)
            members += len(own) if isinstance(own, dict) else 0
            values += len(own)
            if values > limits.VALUES:
                raise _Refused("", _TOO_MANY)
            for key, item in entries:
                if isinstance(item, dict | list):
                    inner.append((_path(path, key), item))
                elif isinstance(item, int | float) and abs(item) > limits.NUMBER_LARGEST:
                    raise _Refused(_path(path, key), f"a number up to {limits.NUMBER_LARGEST}")
        if not inner:
            return members
        level = inner
    raise _Refused(level[0][0], _TOO_DEEP)


def _path(path: str, key: Any) -> str:
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{shown(key)}" if path else shown(key)


def _repeated(text: str) -> list[Violation]:
    """Find the members that are given more than once."""
    found: dict[str, None] = {}

    def look(pairs: list[tuple[str, Any]]) -> Object:
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen and len(found) < limits.VIOLATIONS:
                found[name] = None
            seen.add(name)
        return dict(pairs)

    json.loads(text, object_pairs_hook=look)
    return [Violation(shown(name), "given once: it stands there twice or more") for name in found]
