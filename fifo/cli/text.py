"""Text from elsewhere, made harmless for a terminal."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_BREAK: Final = re.compile(r"([:;,.]?)[ \t]*(?:\r?\n[ \t]*)+")


def safe(text: str) -> str:
    """Replace control and format characters, which could move a cursor or colour a line.

    Several lines become one, with "; " between them unless something stands there already.
    """
    if text.isascii() and text.isprintable():
        return text
    text = _BREAK.sub(lambda found: f"{found[1] or ';'} ", text.strip("\r\n"))
    return "".join(
        char if unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"} else "�"
        for char in text
    )


def width(text: str) -> int:
    """Give how many cells of a terminal a text takes: wide characters two, marks on them none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in text
    )


def cut(text: str, cells: int) -> str:
    """Shorten a text to so many cells, with a sign that it was longer."""
    if width(text) <= cells:
        return text
    while width(text) > cells - 1:
        text = text[:-1]
    return f"{text}…"


def size(number: float) -> str:
    """Write bytes in the unit that leaves up to four digits."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(number) < 1024:  # noqa: PLR2004
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"


def age(seconds: float) -> str:
    """Write a duration by its largest unit."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f}{unit}"
    return f"{max(0.0, seconds):.0f}s"
