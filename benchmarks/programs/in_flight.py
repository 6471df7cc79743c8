"""How many calls a second, with so many in flight, by the wall clock."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

IN_FLIGHT = 16
WARM_UP = 200


async def rate(call: Callable[[], Awaitable[None]], calls: int) -> float:
    """Make calls by 16 clients of one connection and give calls a second."""

    async def client(count: int) -> None:
        for _ in range(count):
            await call()

    await asyncio.gather(*(client(WARM_UP // IN_FLIGHT) for _ in range(IN_FLIGHT)))
    began_s = time.perf_counter()
    await asyncio.gather(*(client(calls // IN_FLIGHT) for _ in range(IN_FLIGHT)))
    return calls // IN_FLIGHT * IN_FLIGHT / (time.perf_counter() - began_s)
