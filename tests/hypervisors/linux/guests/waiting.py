"""Waiting for what another process does, where nothing tells when it is done."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

DEADLINE_S = 30.0
"""Longer than anything takes on a busy machine."""


def eventually(ask: Callable[[], T | None], deadline_s: float = DEADLINE_S) -> T:
    """Ask again and again until there is an answer; each question takes its time in a process."""
    end_s = time.monotonic() + deadline_s
    while (answer := ask()) is None:
        assert time.monotonic() < end_s, f"no answer within {deadline_s:g} s"
    return answer
