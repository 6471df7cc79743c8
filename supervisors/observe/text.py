"""Text that is safe on a terminal and as wide as it says."""

from __future__ import annotations

import unicodedata
from typing import Final

_HARMLESS_SPACE: Final = " "
_WIDE: Final = frozenset({"W", "F"})
_KILO: Final = 1_000
_KIBI: Final = 1_024
_TEN: Final = 10


def printable(text: str) -> str:
    """Write what a terminal would act on or not show (control, format, combining) as escapes."""
    composed = unicodedata.normalize("NFC", text)
    return "".join(map(_shown, composed))


def _shown(character: str) -> str:
    kind = unicodedata.category(character)
    if character == _HARMLESS_SPACE or kind[0] not in "CMZ":
        return character
    code = ord(character)
    if code < 0x100:  # noqa: PLR2004 - two digits are enough
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"  # noqa: PLR2004


def cells(text: str) -> int:
    """Count the columns a printable text takes; East Asian wide characters take two."""
    return sum(2 if unicodedata.east_asian_width(one) in _WIDE else 1 for one in text)


def fit(text: str, width: int, *, right: bool = False) -> str:
    """Cut or pad a printable text to exactly `width` columns; a cut shows as an ellipsis."""
    room = cells(text)
    if room > width:
        kept, used = [], 0
        for one in text:
            wide = cells(one)
            if used + wide > width - 1:
                break
            kept.append(one)
            used += wide
        text, room = ("".join(kept) + "…", used + 1) if width > 0 else ("", 0)
    padding = " " * (width - room)
    return padding + text if right else text + padding


def count(value: int) -> str:
    """Write a count in few columns: 99,999 in full, then 123k, 1.2M, 12G."""
    if value < 100 * _KILO:
        return f"{value:,}"
    return _scaled(value, _KILO, ("", "k", "M", "G"))


def size(size_bytes: int) -> str:
    """Write a size: 512B, 1.2K, 34M, 5.6G."""
    return _scaled(size_bytes, _KIBI, ("B", "K", "M", "G"))


def _scaled(value: float, step: int, suffixes: tuple[str, ...]) -> str:
    """Divide a value until it is small, or the suffixes end; one decimal where only one digit."""
    power = 0
    while value >= step and power < len(suffixes) - 1:
        value /= step
        power += 1
    decimals = 1 if power and value < _TEN else 0
    return f"{value:,.{decimals}f}{suffixes[power]}"


def age(age_s: float) -> str:
    """Write a time that has passed: 0.3 s, 12 s, 5 min, 3 h, 2 d."""
    if age_s < _TEN:
        return f"{max(age_s, 0.0):.1f} s"
    for unit, length_s, most in (("s", 1, 120), ("min", 60, 7_200), ("h", 3_600, 172_800)):
        if age_s < most:
            return f"{age_s / length_s:.0f} {unit}"
    return f"{age_s / 86_400:.0f} d"
