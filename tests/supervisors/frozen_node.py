"""A node for the heart's tests: beats, and freezes or crashes in its first life.

Run as `python -m tests.supervisors.frozen_node HOW MARK`; MARK is a file that says whether this is
the first life. HOW is "freeze" (a call that holds the GIL), "crash", "stop", or "serve" and "deaf":
until a signal comes, which the latter does not heed.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import Any

from supervisors import AsyncioHost, ChildSpec, Flags, GenServer, Supervisor
from supervisors.heart import Heartbeat


class Freezer(GenServer):
    def handle_cast(self, message: Any) -> None:
        # PyDLL calls keep the GIL: every thread of the process stands still.
        ctypes.PyDLL(None).sleep(1_000)


def tell(words: str) -> None:
    """Say how far it is to who reads standard output."""
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def is_first_life(mark: Path) -> bool:
    """Tell whether no life has left its mark yet, and leave one."""
    first = not mark.exists()
    with mark.open("a") as lives:
        lives.write(f"{os.getpid()}\n")
    return first


async def main(how: str, *, first: bool) -> int:
    """Live one life; gives the exit status."""
    host = AsyncioHost()
    node = host.node(log_reports=False)
    specs = [ChildSpec("freezer", (Freezer,), name="freezer"), ChildSpec("beat", (Heartbeat,))]
    await node.start(Supervisor, Flags(), specs)
    if first and how == "freeze":
        node.address("freezer").cast("freeze")
        await asyncio.Event().wait()
    if how in {"serve", "deaf"}:
        asked = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            heed = asked.set if how == "serve" else lambda: None
            asyncio.get_running_loop().add_signal_handler(number, heed)
        tell("ready")
        await asked.wait()
        tell("ended in order")
    host.close()
    return 3 if first and how == "crash" else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1], first=is_first_life(Path(sys.argv[2])))))
