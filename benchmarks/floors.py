"""The floor of a row: what its figure, or its ratio to a peer's, must not fall below or exceed."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Relation: TypeAlias = Literal["<", "<=", ">="]
# What is held against the bound: the figure itself, or the figure divided by the peer's.
Subject: TypeAlias = Literal["figure", "ratio"]

_HOLDS: Final = {"<": operator.lt, "<=": operator.le, ">=": operator.ge}


@dataclass(frozen=True, slots=True)
class Floor:
    """A bound in the unit of the row's figure, or for a ratio in multiples of the peer's."""

    of: Subject
    relation: Relation
    bound: float


def ratio(ours: float | None, peer: float | None) -> float | None:
    """Return ours in multiples of the peer's; None if one of them was not measured."""
    return ours / peer if ours is not None and peer else None


def value_of(floor: Floor | None, ours: float | None, peer: float | None) -> float | None:
    """Return what is held against the floor; None if a side that it needs was not measured."""
    return ratio(ours, peer) if floor is not None and floor.of == "ratio" else ours


def holds(floor: Floor, value: float | None) -> bool:
    """Tell whether the value keeps the floor; what was not measured does not."""
    return value is not None and bool(_HOLDS[floor.relation](value, floor.bound))
