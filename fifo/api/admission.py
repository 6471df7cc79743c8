"""Admission: separate budgets for what calls may be in flight, so that none starves another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NoReturn

from fifo.api import limits
from fifo.model.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

Class = Literal["reads", "writes", "watches", "waits"]


class Budget:
    """How many calls of a class may be in flight; on the node's loop."""

    __slots__ = ("in_flight", "most", "name", "refused")

    def __init__(self, name: str, most: int) -> None:
        self.name = name
        self.most = most
        self.in_flight = 0
        self.refused = 0

    def refuse(self) -> NoReturn:
        """Count a call that is refused, and raise the error that says so."""
        self.refused += 1
        raise Unavailable(
            f"{self.in_flight} {self.name} are in flight, which is all this node takes",
            self.name,
            "try again in a moment",
            retry_after_s=limits.OVERLOAD_RETRY_S,
            reason="OVERLOADED",
        )


def budgets(
    reads: int = limits.READS,
    writes: int = limits.WRITES,
    watches: int = limits.WATCHES,
    waits: int = limits.WAITS,
) -> Mapping[Class, Budget]:
    """Make a node's budgets."""
    return {
        "reads": Budget("reads", reads),
        "writes": Budget("writes", writes),
        "watches": Budget("watches", watches),
        "waits": Budget("waits", waits),
    }
