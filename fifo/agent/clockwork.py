"""A node's time, chance and futures, for code that knows nothing of nodes: simulated drivers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from supervisors import Future
from supervisors.timers import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from supervisors import Node


class NodeClockwork:
    """`fifo.hypervisors.simulated.clockwork.Clockwork` of a node; used on its shard's thread.

    `utc` reads the wall clock: the system's in production, in simulations a function of `now`.
    Chance is the node's own without a `dice`.
    """

    def __init__(self, node: Node, utc: Callable[[], float], dice: Random | None = None) -> None:
        self._node = node
        self.utc = utc
        self._dice = dice or node.random

    def now(self) -> float:
        """Give the shard's seconds."""
        return self._node.shard.now_s()

    def sleep(self, seconds: float) -> Future[None]:
        """Wait."""
        future: Future[None] = Future(self._node.shard)
        self.after(seconds, lambda: future.reply(None))
        return future

    def after(self, seconds: float, function: Callable[[], None]) -> Deadline:
        """Call a function on the shard's thread."""
        shard = self._node.shard
        if shard.asleep:
            shard.wake()
        return Deadline(shard, seconds, function)

    def future(self) -> Future[Any]:
        """Make something to wait for."""
        return Future(self._node.shard)

    def random(self) -> float:
        """Draw from seeded dice."""
        return self._dice.random()
