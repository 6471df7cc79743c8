"""A process's end is seen when it comes, by who is not its parent too."""

from __future__ import annotations

import os
import subprocess

import pytest

from fifo.hypervisors.linux.process_end import ended


@pytest.mark.parametrize("killed", [True, False])
async def test_it_is_told_whether_the_end_has_come_by_then(*, killed: bool) -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as process:
        pidfd = os.pidfd_open(process.pid)
        try:
            assert not await ended(pidfd, 0.01)
            if killed:
                process.kill()
            assert await ended(pidfd, 20.0 if killed else 0.01) == killed
        finally:
            os.close(pidfd)
            process.kill()
