"""Waiting for the end of a process that may be nobody's child: its pidfd becomes readable then."""

from __future__ import annotations

import asyncio


async def ended(pidfd: int, timeout_s: float) -> bool:
    """Wait for the end of the process that a pidfd holds; False if it has not come by then.

    Called on an asyncio loop, once at a time for each pidfd, by who keeps it open (pidfd_open(2)).
    """
    loop = asyncio.get_running_loop()
    end = asyncio.Event()
    loop.add_reader(pidfd, end.set)
    try:
        async with asyncio.timeout(timeout_s):
            await end.wait()
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(pidfd)
    return True
