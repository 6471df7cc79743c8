"""A process's end is seen when it comes, and not before."""

from __future__ import annotations

import asyncio
import os

import pytest

from fifo.hypervisors.linux.process_end import ended


@pytest.mark.parametrize("killed", [True, False])
async def test_it_is_told_whether_the_end_has_come_by_then(*, killed: bool) -> None:
    process = await asyncio.create_subprocess_exec("/bin/sleep", "60")
    pidfd = os.pidfd_open(process.pid)
    try:
        assert not await ended(pidfd, 0.01)
        if killed:
            process.kill()
        assert await ended(pidfd, 20.0 if killed else 0.01) == killed
    finally:
        os.close(pidfd)
        if process.returncode is None:
            process.kill()
        await process.wait()
