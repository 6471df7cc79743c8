"""The owner of the history: keeps at least `limits.HISTORY_S` of it and lets go of the rest."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from fifo.model.errors import FifoError
from fifo.store import limits
from supervisors import GenServer

if TYPE_CHECKING:
    from fifo.store.contract import Store

logger = logging.getLogger("fifo.store")

_MARK: Final = "mark"


class Compactor(GenServer):
    """Notes the store's revision now and then, and compacts to the note that is old enough.

    One process of all that share a store does this; with etcd it is chosen by a lease. A new one
    knows no age and so keeps everything for the whole time again.
    """

    def init(
        self,
        store: Store,
        history_s: float = limits.HISTORY_S,
        period_s: float = limits.COMPACT_EVERY_S,
    ) -> None:
        """Make the first note."""
        self._store = store
        self._history_s = history_s
        self._period_s = period_s
        self._marks: deque[tuple[float, int]] = deque()
        self._mark()

    async def handle_info(self, message: Any) -> Any:
        """Note, and compact; what fails is tried again the next time."""
        if message != _MARK:
            return super().handle_info(message)
        revision = 0
        while self._marks and self._marks[0][0] <= self._now_s() - self._history_s:
            revision = self._marks.popleft()[1]
        self._mark()
        if revision > self._store.compacted:
            try:
                await self._store.compact(revision)
            except FifoError as error:
                logger.warning("the history before revision %d stays for now: %s", revision, error)
        return None

    def _mark(self) -> None:
        self._marks.append((self._now_s(), self._store.revision))
        self.send_after(self._period_s, _MARK)

    def _now_s(self) -> float:
        return self.node.shard.now_s()
