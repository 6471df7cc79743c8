"""The store's history: kept as long as watchers may need it, then compacted by this one owner."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING

from fifo.fleet import limits
from fifo.model.errors import FifoError
from fifo.store.limits import HISTORY_S
from supervisors import GenServer

if TYPE_CHECKING:
    from fifo.store.contract import Store

logger = logging.getLogger("fifo.fleet")


class History(GenServer):
    """Notes the store's revision once in a while and forgets what is older than `HISTORY_S`.

    Age is counted in its own looks, not on a clock: a jump of the time drops no history.
    """

    def init(self, store: Store) -> None:
        """Begin to note."""
        self.store = store
        self.noted: deque[int] = deque()
        self.send_after(limits.COMPACT_EVERY_S, "note")

    async def handle_info(self, message: object) -> None:
        """Note the present revision and compact to one that is old enough."""
        del message
        self.noted.append(self.store.revision)
        if len(self.noted) > HISTORY_S / limits.COMPACT_EVERY_S:
            old_enough = self.noted.popleft()
            if old_enough > self.store.compacted:
                try:
                    await self.store.compact(old_enough)
                except FifoError as error:
                    logger.warning("The store's history was not compacted: %s", error)
        self.send_after(limits.COMPACT_EVERY_S, "note")
