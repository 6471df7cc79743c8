"""Uids of what is made here: random UUIDs (RFC 9562, version 4)."""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

UID_BYTES: Final = 16
READ_AT_ONCE: Final = 256
"""Uids for which the system is asked at once: each time the interpreter's lock is given away."""


class Uids:
    """Gives uids; called on one thread. `randomness` is the system's unless a test has its own."""

    def __init__(self, randomness: Callable[[int], bytes] = os.urandom) -> None:
        self._randomness = randomness
        self._read = b""
        self._at = 0

    def __call__(self) -> str:
        """Give one that nobody has had."""
        if self._at == len(self._read):
            self._read = self._randomness(UID_BYTES * READ_AT_ONCE)
            self._at = 0
        self._at += UID_BYTES
        return str(uuid.UUID(bytes=self._read[self._at - UID_BYTES : self._at], version=4))
