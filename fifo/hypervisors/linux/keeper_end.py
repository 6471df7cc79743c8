"""Ending a keeper that has nothing to keep: the other side of `keeper_start`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from fifo.hypervisors.linux import limits
from fifo.hypervisors.linux.keeper import processes
from fifo.hypervisors.linux.keeper_client import KeeperClient
from fifo.hypervisors.linux.process_end import ended
from fifo.model.errors import DeadlineExceeded, WrongState

if TYPE_CHECKING:
    from pathlib import Path

END_S: Final = 10.0
"""For a keeper that runs nothing: it writes its journal and ends within a few milliseconds."""


async def end_idle_keeper(directory: Path) -> bool:
    """End the keeper of a directory unless it runs something; return when its process has ended.

    Gives whether it was ended. Commands whose client is gone get `limits.ORPHANS_S` to end by
    themselves, and are killed then. Called on the node's loop by a start that is given up and had
    started the keeper. Raises Unavailable if none answers, DeadlineExceeded if it does not end,
    OSError without a free descriptor.
    """
    keeper = KeeperClient(directory, patience_s=END_S)
    try:
        found = processes.hold((await keeper.line()).hello["pid"])
        if found is None:
            return True
        try:
            await keeper.settle(limits.ORPHANS_S)
            await keeper.shutdown()
            if not await ended(found[0], END_S):
                raise DeadlineExceeded(
                    f"it has not ended within {END_S:g} s", f"the keeper of {directory}",
                    "see keeper.log",
                )  # fmt: skip
        finally:
            os.close(found[0])
    except WrongState:
        return False
    finally:
        await keeper.close()
    return True
