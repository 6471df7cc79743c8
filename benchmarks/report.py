"""The verdict on each row, as a table for people and as one JSON object a row for programs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.floors import holds, ratio, value_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from benchmarks.floors import Floor
    from benchmarks.rows import Figure, Row

_COLUMNS: Final = ("row", "ours", "peer", "unit", "ratio", "floor", "verdict")
_NOT_MEASURED: Final = "not measured"
# From here on decimals say nothing that the noise would not drown.
_WHOLE_FROM: Final = 100


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judged row; figures are medians in the row's units, None where one was not measured.

    `ok` is None for a row without a floor.
    """

    row: Row
    ours: float | None
    peer: float | None
    value: float | None
    ok: bool | None


def judge(row: Row, medians: Mapping[Figure, float]) -> Verdict:
    """Hold a row's medians against its floor; a figure that is not there was not measured."""
    ours = medians.get(row.ours)
    peer = medians.get(row.peer) if row.peer is not None else None
    value = value_of(row.floor, ours, peer)
    ok = holds(row.floor, value) if row.floor is not None else None
    return Verdict(row, ours, peer, value, ok)


def all_kept(verdicts: Iterable[Verdict]) -> bool:
    """Tell whether no floor was missed; a floor that could not be measured counts as missed."""
    return all(verdict.ok is not False for verdict in verdicts)


def json_lines(verdicts: Iterable[Verdict]) -> str:
    """Return one JSON object a line for each row that has a floor.

    `value` and `floor` are in `unit`, for a row named after a peer in multiples of the peer's
    figure; `value` is null where the row could not be measured, and `ok` is false then.
    """
    return "".join(
        json.dumps(
            {
                "name": verdict.row.name,
                "value": verdict.value,
                "unit": verdict.row.unit,
                "floor": verdict.row.floor.bound,
                "ok": verdict.ok,
            }
        )
        + "\n"
        for verdict in verdicts
        if verdict.row.floor is not None
    )


def table(verdicts: Iterable[Verdict]) -> str:
    """Return the rows as aligned columns under a heading, one line each."""
    lines = [_COLUMNS, *(_cells(verdict) for verdict in verdicts)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    # Words start at the left, numbers end at the right.
    aligns = ("<", ">", ">", "<", ">", ">", "<")
    return "".join(
        "  ".join(
            f"{cell:{align}{width}}"
            for cell, align, width in zip(line, aligns, widths, strict=True)
        ).rstrip()
        + "\n"
        for line in lines
    )


def _cells(verdict: Verdict) -> tuple[str, ...]:
    row = verdict.row
    return (
        row.name,
        number(verdict.ours),
        f"{row.peer.program.who} {number(verdict.peer)}" if row.peer is not None else "-",
        row.ours.unit,
        number(ratio(verdict.ours, verdict.peer)),
        _floor(row.floor),
        _word(verdict),
    )


def _floor(floor: Floor | None) -> str:
    if floor is None:
        return "-"
    return f"{floor.relation} {number(floor.bound)}{'x' if floor.of == 'ratio' else ''}"


def _word(verdict: Verdict) -> str:
    if verdict.value is None:
        return _NOT_MEASURED
    return {True: "ok", False: "BELOW", None: "-"}[verdict.ok]


def number(value: float | None) -> str:
    """Return a number as the table shows it: `5,102,041`, `0.925`, or `-` for none."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= _WHOLE_FROM else f"{value:.3g}"
