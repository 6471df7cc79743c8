"""What Linux tells of processes: who they are, whose they are, and how they ended.

A pid alone names nobody, since it is used again; (boot id, pid, start time) names one process for
ever, and a pidfd holds it.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


class Stat(NamedTuple):
    """Of /proc/PID/stat: the state's letter, the parent, and the start in ticks since boot."""

    state: str
    parent: int
    start_time: int


def boot_id() -> str:
    """Give the id of this boot of the host."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def stat(pid: int) -> Stat | None:
    """Read who a process is, a zombie included; None if there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name stands in parentheses and may hold any byte, parentheses too (proc(5)).
    rest = text[text.rindex(b")") + 2 :].split()
    return Stat(state=rest[0].decode(), parent=int(rest[1]), start_time=int(rest[19]))


def hold(pid: int) -> tuple[int, Stat] | None:
    """Open a pidfd and say whom it holds; None if there is no such process. Raises OSError.

    The order makes it one process: while the pidfd has not fired, its pid belongs to nobody else.
    """
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    found = stat(pid)
    try:
        signal.pidfd_send_signal(pidfd, 0)
    except ProcessLookupError:
        found = None
    if found is None:
        os.close(pidfd)
        return None
    return pidfd, found


def is_child(pidfd: int) -> bool:
    """Tell whether its end can be waited for by this process."""
    try:
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def ended_child() -> int | None:
    """Give the pid of a child that has ended, and leave it unreaped; None if none has."""
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return None if found is None else found.si_pid


def marked(variable: str) -> Iterator[tuple[int, str]]:
    """Yield (pid, value) of every process of ours that was started with an environment variable.

    What a process does to its environment later is not seen.
    """
    start = f"{variable}=".encode()
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            environment = Path(entry.path, "environ").read_bytes()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        for line in environment.split(b"\0"):
            if line.startswith(start):
                yield int(entry.name), line[len(start) :].decode(errors="replace")
