"""Pressing a VM's power button until its guest feels it.

A guest that is still booting does not: so it is pressed again and again, by a task for each VM,
until the VM has ended, is asked for no more, or was pressed for as long as anybody waits for a stop
(`limits.PRESSES`). A guest that powers down already does not mind.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from fifo.hypervisors.linux.vm import limits
from fifo.model.errors import FifoError

if TYPE_CHECKING:
    from fifo.hypervisors.linux.vm.monitor import Monitor

_log = logging.getLogger(__name__)


class PowerButtons:
    """The buttons that are being pressed, by VM. Used on the node's loop."""

    def __init__(self) -> None:
        self._pressing: dict[str, asyncio.Task[None]] = {}

    def press(self, uid: str, monitor: Monitor) -> None:
        """Press one from now on; nothing if it is pressed already."""
        task = self._pressing.get(uid)
        if task is None or task.done():
            self._pressing[uid] = asyncio.create_task(_press(uid, monitor))

    async def release(self, uid: str) -> None:
        """Press one no more; nothing if it is not."""
        task = self._pressing.pop(uid, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def close(self) -> None:
        """Press none."""
        for uid in list(self._pressing):
            await self.release(uid)


async def _press(uid: str, monitor: Monitor) -> None:
    for _ in range(limits.PRESSES):
        try:
            await monitor.ask("system_powerdown")
        except FifoError as error:
            # Whoever asked for the stop forces it when its patience is over.
            _log.info("%s: its power button was not pressed: %s", uid, error)
        await asyncio.sleep(limits.PRESS_S)
