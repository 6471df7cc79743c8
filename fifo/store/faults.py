"""What can happen to a commit of the memory engine, and who decides it.

A *fate* is asked for once for each commit, in their order, when its turn at the disk has come:
number 1 is the first after the store was opened. All of it is deterministic: scripted, or drawn
from the randomness that is handed in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

Outcome: TypeAlias = Literal["done", "refused", "reply lost", "crash before", "crash after"]


class Fate(msgspec.Struct, frozen=True):
    """What becomes of one commit.

    `refused`: not written; it and all that wait behind it fail with StoreFull. `reply lost`:
    written, but whoever waits gets OutcomeUnknown. `crash before` and `crash after`: the store
    stops before or after it is written, and all that wait get OutcomeUnknown. `delay_s` is how long
    the disk takes, and all behind it wait.
    """

    outcome: Outcome = "done"
    delay_s: float = 0.0


DONE: Final = Fate()


class Faults(Protocol):
    """Who decides about commits; asked on the shard's thread."""

    def fate(self, number: int) -> Fate:
        """Say what becomes of a commit."""


class ScriptedFaults:
    """Fates by the number of the commit; all others are done."""

    def __init__(self, fates: Mapping[int, Fate] = {}) -> None:
        self._fates = dict(fates)

    def fate(self, number: int) -> Fate:
        """Give the scripted fate."""
        return self._fates.get(number, DONE)


class DrawnFaults:
    """Fates drawn evenly; each share is from 0 (never) to 1 (always)."""

    def __init__(
        self,
        random: Random,
        *,
        refused: float = 0.0,
        reply_lost: float = 0.0,
        delayed: float = 0.0,
        delay_s: tuple[float, float] = (0.001, 0.100),
    ) -> None:
        self._random = random
        self._refused = refused
        self._reply_lost = reply_lost
        self._delayed = delayed
        self._delay_s = delay_s

    def fate(self, number: int) -> Fate:
        """Draw a fate."""
        del number
        draw = self._random.random()
        outcome: Outcome = "done"
        if draw < self._refused:
            outcome = "refused"
        elif draw < self._refused + self._reply_lost:
            outcome = "reply lost"
        delayed = self._random.random() < self._delayed
        return Fate(outcome, self._random.uniform(*self._delay_s) if delayed else 0.0)


NO_FAULTS: Final = ScriptedFaults()
