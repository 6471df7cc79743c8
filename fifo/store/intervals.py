"""Half-open intervals of keys, written as etcd writes them."""

from __future__ import annotations

from typing import Final

TO_END: Final = b"\0"
"""As `end`: every key from `start` on. `start=b"\\0", end=TO_END` is the whole store."""


def after(key: bytes) -> bytes:
    """Give the least key above `key`: where the next page begins."""
    return key + b"\0"


def covers(start: bytes, end: bytes | None, key: bytes) -> bool:
    """Tell whether an interval holds a key; without an end it holds `start` alone."""
    if end is None:
        return key == start
    return key >= start and (end == TO_END or key < end)
