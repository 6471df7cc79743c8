"""Patience with what is away: waits between tries that double, until a moment or for a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fifo.workflows import limits

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Patience:
    """One sequence of tries; in the runner's process.

    It is over by both clocks: at `until`, a UTC second, and after `most_s` seconds of waiting,
    since the clock may be set back meanwhile.
    """

    __slots__ = ("_most_s", "_sleep", "_until", "_utc", "_wait_s", "_waited_s")

    def __init__(
        self,
        utc: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        until: float,
        most_s: float,
    ) -> None:
        self._utc = utc
        self._sleep = sleep
        self._until = until
        self._most_s = most_s
        self._waited_s = 0.0
        self._wait_s = limits.RETRY_FIRST_S

    async def again(self) -> bool:
        """Wait for the next try; False at once if there is to be none."""
        wait_s = self._wait_s
        if self._utc() + wait_s >= self._until or self._waited_s >= self._most_s:
            return False
        await self._sleep(wait_s)
        self._waited_s += wait_s
        self._wait_s = min(2 * wait_s, limits.RETRY_MOST_S)
        return True
