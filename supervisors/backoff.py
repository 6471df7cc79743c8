"""Exponential back-off of one child's restarts (after Akka's restartWithBackoff)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Backoff:
    """Wait before each restart of a child: longer each time, capped, with jitter.

    The n-th restart in a row waits `min_s * factor ** (n - 1)`, at most `max_s`, and then up to
    `jitter` times that longer or shorter. A child that lived `reset_after_s` begins anew, and so
    does one that somebody restarted. After `max_restarts` in a row (None: never) the child is given
    up: it stays down, is reported, and its siblings live on. Restarts under back-off never count in
    the supervisor's intensity.
    """

    min_s: float = 0.2
    max_s: float = 60.0
    factor: float = 2.0
    jitter: float = 0.2
    reset_after_s: float = 60.0
    max_restarts: int | None = None

    def __post_init__(self) -> None:
        """Refuse values that cannot be a back-off; raises ValueError naming the field."""
        if not 0 <= self.min_s <= self.max_s:
            raise ValueError(f"min_s={self.min_s} must lie between 0 and max_s={self.max_s}")
        if not math.isfinite(self.max_s):
            raise ValueError(f"max_s={self.max_s} must be finite, else the last wait never ends")
        if not 1 <= self.factor < math.inf:
            raise ValueError(f"factor={self.factor} must be at least 1 and finite")
        if not 0 <= self.jitter < 1:
            raise ValueError(f"jitter={self.jitter} must be at least 0 and below 1")
        if not self.reset_after_s >= 0:
            raise ValueError(f"reset_after_s={self.reset_after_s} must not be negative")
        if self.max_restarts is not None and self.max_restarts < 0:
            raise ValueError(f"max_restarts={self.max_restarts} must not be negative")

    def delay_s(self, attempt: int, draw: Callable[[], float]) -> float:
        """Give the wait before restart number `attempt` in a row, counted from 1.

        `draw` gives a number from 0 up to 1 and decides the jitter.
        """
        try:
            plain = min(self.max_s, self.min_s * self.factor ** min(attempt - 1, 64))
        except OverflowError:
            plain = self.max_s if self.min_s else 0.0
        return plain * (1 + self.jitter * (2 * draw() - 1))

    def next_attempt(self, attempts: int, lived_s: float) -> int:
        """Number the restart that follows a life of `lived_s` after `attempts` in a row."""
        return 1 if lived_s >= self.reset_after_s else attempts + 1

    def exhausted(self, attempt: int) -> bool:
        """Tell whether restart number `attempt` is one too many."""
        return self.max_restarts is not None and attempt > self.max_restarts
