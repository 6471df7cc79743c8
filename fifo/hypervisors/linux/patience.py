"""How long guests that are asked to stop may go on, which whoever asks again can only shorten."""

from __future__ import annotations

import asyncio
import contextlib
import math
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

T = TypeVar("T")


class Patience:
    """The patience of all stops of one instance that are under way: the shortest of them."""

    def __init__(self) -> None:
        self.stops = 0
        self._until = math.inf
        self._waiting: asyncio.Timeout | None = None

    def shorten(self, seconds: float) -> None:
        """Have no more than so many seconds from now on, also where somebody waits already."""
        self._until = min(self._until, asyncio.get_running_loop().time() + seconds)
        if self._waiting is not None:
            self._waiting.reschedule(self._until)

    @property
    def over(self) -> bool:
        """Tell whether it is at its end."""
        return self._until <= asyncio.get_running_loop().time()

    async def wait(self, end: Awaitable[T]) -> T | None:
        """Wait for an end; None if patience ends before. One stop at a time waits."""
        try:
            async with asyncio.timeout_at(self._until) as self._waiting:
                return await end
        except TimeoutError:
            return None
        finally:
            self._waiting = None


class Stops:
    """The patience with each instance that is being stopped. Used on the node's loop."""

    def __init__(self) -> None:
        self._patience: dict[str, Patience] = {}

    @contextlib.contextmanager
    def of(self, uid: str, patience_s: float) -> Iterator[Patience]:
        """Give the patience of a stop for the time of a block; all others of it have no more."""
        patience = self._patience.setdefault(uid, Patience())
        patience.stops += 1
        patience.shorten(patience_s)
        try:
            yield patience
        finally:
            patience.stops -= 1
            if not patience.stops:
                del self._patience[uid]
