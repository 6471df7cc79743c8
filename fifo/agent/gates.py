"""A gate: how many orders of one kind the driver is given at one time."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fifo.agent.orders import Order


class Gate:
    """How many orders of a kind may run, how many do, and who waits."""

    __slots__ = ("most", "running", "waiting")

    def __init__(self, most: int) -> None:
        self.most = most
        self.running = 0
        self.waiting: deque[Order] = deque()
