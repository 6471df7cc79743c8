"""How many restarts in how much time are too many (OTP: supervisor)."""

from __future__ import annotations

from collections import deque


class RestartIntensity:
    """Counts restarts in a sliding window of whole seconds, as OTP's supervisor does.

    A stamp is the floor of the monotonic seconds and is kept while it is at most `period_s` old,
    so the window is between `period_s` and one second more. OTP keeps the stamps in a list and
    walks it at every restart; the deque makes a burst linear.
    """

    __slots__ = ("intensity", "period_s", "stamps")

    def __init__(self, intensity: int, period_s: int) -> None:
        self.intensity = intensity
        self.period_s = period_s
        self.stamps: deque[int] = deque()

    def allow(self, now_s: float) -> bool:
        """Count one restart; False if it is one too many."""
        stamps = self.stamps
        now = int(now_s // 1)
        oldest = now - self.period_s
        while stamps and stamps[0] < oldest:
            stamps.popleft()
        stamps.append(now)
        return len(stamps) <= self.intensity

    def used(self, now_s: float) -> int:
        """Say how many restarts the window holds, without counting one."""
        oldest = int(now_s // 1) - self.period_s
        return sum(1 for stamp in self.stamps if stamp >= oldest)
