"""Locks by name: one thing at a time for each instance or image. Used on one event loop."""

from __future__ import annotations

import asyncio
import weakref


class Locks:
    """Gives the lock of a name; one that nobody holds or waits for is forgotten."""

    def __init__(self) -> None:
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    def of(self, name: str) -> asyncio.Lock:
        """Give the lock, to be held by `async with`."""
        found = self._locks.get(name)
        if found is None:
            found = self._locks[name] = asyncio.Lock()
        return found
