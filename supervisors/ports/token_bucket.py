"""A token bucket: so much at once, then so much a second."""

from __future__ import annotations


class TokenBucket:
    """Bounds a rate; reads no clock."""

    __slots__ = ("_burst", "_per_s", "_stamp_s", "_tokens")

    def __init__(self, burst: int, per_s: float, now_s: float) -> None:
        self._burst = float(burst)
        self._per_s = per_s
        self._tokens = float(burst)
        self._stamp_s = now_s

    def take(self, now_s: float) -> bool:
        """Take a token; False if there is none yet, see `wait_s`."""
        if self.wait_s(now_s) > 0:
            return False
        self._tokens -= 1
        return True

    def wait_s(self, now_s: float) -> float:
        """Say how long it takes until a token is there; 0 if one is."""
        self._tokens = min(self._burst, self._tokens + (now_s - self._stamp_s) * self._per_s)
        self._stamp_s = now_s
        return max(0.0, (1 - self._tokens) / self._per_s)
