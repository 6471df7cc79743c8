"""Reading one value as its row wants it, as liberal as vmadm is; what is wrong is noted.

vmadm takes numbers as texts, 1 and "true" for true, texts with commas for lists, and an empty text
or null for none.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from fifo.model.names import is_uid
from fifo.model.vmadm import limits, texts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fifo.model.vmadm.findings import Findings
    from fifo.model.vmadm.property import Kind, Property

_WHOLE: Final = re.compile(r"\s*([+-]?\d{1,16})(?:\.0{0,16})?\s*")
_TRUTH: Final = {"true": True, "false": False, "1": True, "0": False}


def read(row: Property, value: Any, path: str, found: Findings) -> Any:
    """Read a value; None for one that is unset or refused."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    return _READERS[row.kind](row, value, path, found)


def _boolean(_: Property, value: Any, path: str, found: Findings) -> bool | None:
    if isinstance(value, bool):
        return value
    known = _TRUTH.get(str(value)) if isinstance(value, str | int) else None
    if known is None:
        found.refuse(path, "true or false")
    return known


def _string(row: Property, value: Any, path: str, found: Findings) -> str | None:
    most = row.most if row.most is not None else limits.TEXT_CHARACTERS
    if not isinstance(value, str):
        found.refuse(path, "a text")
    elif len(value) > most:
        found.refuse(path, f"at most {most} characters, not {len(value)}")
    elif texts.CONTROL.search(value):
        found.refuse(path, "one line of text, without control characters")
    elif row.test is not None and not row.test(value):
        found.refuse(path, row.wanted)
    else:
        return value
    return None


def _uuid(_: Property, value: Any, path: str, found: Findings) -> str | None:
    if isinstance(value, str) and is_uid(value):
        return value
    found.refuse(path, "a lower-case uuid")
    return None


def _whole(value: Any) -> int | None:
    """Give a whole number that was written as one, in whatever type."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str):
        matched = _WHOLE.fullmatch(value)
        return int(matched[1]) if matched else None
    return value if isinstance(value, int) else None


def _integer(row: Property, value: Any, path: str, found: Findings) -> int | None:
    least = row.least if row.least is not None else 0
    most = row.most if row.most is not None else limits.NUMBER_LARGEST
    number = _whole(value)
    if number is None or not least <= number <= most:
        found.refuse(path, f"a whole number from {least} to {most}")
        return None
    return None if row.unset_by_zero and number == 0 else number


def _or(word: str) -> Callable[[Property, Any, str, Findings], int | str | None]:
    """Make the reader of a number in whose place a word may stand."""

    def read_one(row: Property, value: Any, path: str, found: Findings) -> int | str | None:
        return word if value == word else _integer(row, value, path, found)

    return read_one


def _list(row: Property, value: Any, path: str, found: Findings) -> tuple[str, ...] | None:
    if isinstance(value, str):
        value = [part for part in value.split(",") if part]
    if not isinstance(value, list):
        found.refuse(path, "a list, or a text with commas")
        return None
    most = row.most if row.most is not None else limits.LIST_ENTRIES
    if len(value) > most:
        found.refuse(path, f"at most {most} entries, not {len(value)}")
        return None
    whole = [_entry(row, item, f"{path}[{index}]", found) for index, item in enumerate(value)]
    return None if None in whole else tuple(entry for entry in whole if entry is not None)


def _entry(row: Property, item: Any, path: str, found: Findings) -> str | None:
    if isinstance(item, bool) or not isinstance(item, str | int | float):
        found.refuse(path, "a text or a number")
        return None
    own = str(item)
    # vmadm joins a list with commas when it writes it down.
    if "," in own or len(own) > limits.TEXT_CHARACTERS or texts.CONTROL.search(own):
        found.refuse(path, "one line of text without commas")
    elif row.test is not None and not row.test(own):
        found.refuse(path, row.wanted)
    else:
        return own
    return None


def _scalars(row: Property, value: Any, path: str, found: Findings) -> dict[str, Any] | None:
    if not isinstance(value, dict):
        found.refuse(path, "an object")
        return None
    most = row.most if row.most is not None else limits.LIST_ENTRIES
    if len(value) > most:
        found.refuse(path, f"at most {most} entries, not {len(value)}")
        return None
    for key, item in value.items():
        if wanted := key_wanted(key) or scalar_wanted(item):
            found.refuse(f"{path}.{texts.shown(key)}", wanted)
    return value


def key_wanted(key: str) -> str:
    """Say what a key of tags or metadata should be; nothing if it is."""
    if 0 < len(key) <= limits.KEY_CHARACTERS and not texts.CONTROL.search(key):
        return ""
    return f"a key of 1 to {limits.KEY_CHARACTERS} characters without control characters"


def scalar_wanted(item: Any) -> str:
    """Say what a value of tags or metadata should be; nothing if it is."""
    if isinstance(item, str):
        if len(item) > limits.LONG_TEXT_CHARACTERS or "\0" in item:
            return f"at most {limits.LONG_TEXT_CHARACTERS} characters without NUL"
        return ""
    if isinstance(item, bool) or (
        isinstance(item, int | float) and abs(item) <= limits.NUMBER_LARGEST
    ):
        return ""
    return "a text, a boolean, or a number up to 2^53"


def _parts(row: Property, value: Any, path: str, found: Findings) -> list[Any] | None:
    if not isinstance(value, list):
        found.refuse(path, "a list of objects")
        return None
    if row.most is not None and len(value) > row.most:
        found.refuse(path, f"at most {row.most} entries, not {len(value)}")
        return None
    for index, item in enumerate(value):
        if not isinstance(item, dict):
            found.refuse(f"{path}[{index}]", "an object")
    return [item if isinstance(item, dict) else {} for item in value]


_READERS: Final[Mapping[Kind, Callable[[Property, Any, str, Findings], Any]]] = {
    "string": _string,
    "integer": _integer,
    "limit": _or("none"),
    "refreservation": _or("auto"),
    "boolean": _boolean,
    "uuid": _uuid,
    "list": _list,
    "scalars": _scalars,
    "parts": _parts,
}
