"""Guests that start anew again and again: a panic that nobody is told of looks like a reboot.

A reboot is no end. But a guest that reboots without a pause has crashed each time, most likely
before it could load a driver for pvpanic, and would go on for ever: it is ended as a crash loop.
QEMU tells of resets to whoever is connected, so that nobody counts while there is no node.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from fifo.hypervisors.linux.vm import limits

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Resets:
    """The latest resets of each VM; `end` ends one after so many. Used on the node's loop."""

    def __init__(self, end: Callable[[str, int], Awaitable[None]]) -> None:
        self._end = end
        self._times: dict[str, deque[float]] = {}
        self._ending: dict[str, asyncio.Task[None]] = {}

    def count(self, uid: str) -> None:
        """Count one; too many in too short a time have the VM ended."""
        now = asyncio.get_running_loop().time()
        times = self._times.setdefault(uid, deque(maxlen=limits.RESETS))
        times.append(now)
        looped = len(times) == limits.RESETS and now - times[0] <= limits.RESETS_S
        if looped and uid not in self._ending:
            self._ending[uid] = asyncio.create_task(self._give_up(uid, len(times)))

    async def _give_up(self, uid: str, times: int) -> None:
        try:
            await self._end(uid, times)
        finally:
            self._ending.pop(uid, None)

    def forget(self, uid: str) -> None:
        """Count from nothing again: its start is over."""
        self._times.pop(uid, None)

    async def close(self) -> None:
        """End none any more."""
        tasks = tuple(self._ending.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
