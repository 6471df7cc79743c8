"""Lengths of time as people write them: 10s, 5m, 1h, or seconds alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from typing import Any

UNITS_S: Final = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3_600.0}
_WRITTEN: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smh]?)")


class Duration(click.ParamType[float]):
    """An option's value in seconds, made of a number and a unit."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read it; raises UsageError for anything else."""
        found = _WRITTEN.fullmatch(str(value))
        if found is None:
            self.fail(f"{value!r} is no time like 10s, 5m or 1h", param, ctx)
        return float(found[1]) * UNITS_S[found[2]]
