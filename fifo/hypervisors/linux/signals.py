"""Whether a process has said what it does about a signal.

The first process of a zone is deaf to every signal it has no handler for (pid_namespaces(7)): one
that is sent between its start and its first instructions is lost.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from fifo.hypervisors.linux import limits

STARTER = "Name:\trunc:["
"""What runc's process in a new container is called: `runc:[2:INIT]`."""
DECIDED = ("SigIgn:", "SigCgt:")
"""Lines of /proc/PID/status: what a process ignores on purpose, and what it has a handler for."""


async def listened_to(pid: int, number: int) -> None:
    """Wait until a process has decided about a signal, or is gone, or does not for too long."""
    for _ in range(round(limits.LISTEN_S / limits.LOOK_S)):
        if decided(_status(pid), number):
            return
        await asyncio.sleep(limits.LOOK_S)


def decided(status: str, number: int) -> bool:
    """Tell by the text of /proc/PID/status; a process that is gone has nothing to decide.

    runc's own program, which is about to become the first process, has handlers for everything, and
    takes them with it.
    """
    if status.startswith(STARTER):
        return False
    masks = [line.split()[1] for line in status.splitlines() if line.startswith(DECIDED)]
    return not masks or any(int(mask, 16) >> number - 1 & 1 for mask in masks)


def _status(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
