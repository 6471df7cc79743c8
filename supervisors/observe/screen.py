"""One screen of the observer: a pure function of what is known and how it is looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from supervisors.observe import text, tree

if TYPE_CHECKING:
    from collections.abc import Iterable

    from supervisors.observe.snapshot import LastCrash, Row, Snapshot
    from supervisors.pid import Pid

HEAD_LINES: Final = 2
FOOT_LINES: Final = 3

_COLUMNS: Final = {"state": 12, "mailbox": 9, "restarts": 10, "memory": 8, "reductions": 12}
_LABEL_LEAST: Final = 12

_KEYS: Final = "q quit  arrows move  enter fold  s sort  / filter"


@dataclass(frozen=True, slots=True)
class Rates:
    """Changes a second, from the feed."""

    began: int = 0
    ended: int = 0
    restarted: int = 0


@dataclass(frozen=True, slots=True)
class View:
    """How somebody looks at a tree: the line under the cursor, what is unfolded, order, filter.

    `opened` None unfolds what is listed. `typing` is set while the filter is being typed; `note` is
    a line to show in place of the keys.
    """

    cursor: int = 0
    top: int = 0
    opened: frozenset[Pid] | None = None
    sort: str = tree.AS_STARTED
    wanted: str = ""
    typing: bool = False
    note: str = ""


def body_height(height: int) -> int:
    """Say how many lines of the tree fit on a screen."""
    return max(0, height - HEAD_LINES - FOOT_LINES)


def screen(
    snapshot: Snapshot,
    view: View,
    width: int,
    height: int,
    *,
    now_s: float,
    rates: Rates | None = None,
) -> list[str]:
    """Draw `height` lines of exactly `width` columns, without any control character.

    `now_s` is the node's time; the line under the cursor begins with `>`.
    """
    listed = tree.lines(snapshot, view.opened, sort=view.sort, wanted=view.wanted)
    room = body_height(height)
    shown = listed[view.top : view.top + room]
    drawn = [_title(snapshot, width, rates), _heads(view.sort, width)]
    drawn += [
        _line(line, width, chosen=view.top + number == view.cursor)
        for number, line in enumerate(shown)
    ]
    drawn += [" " * width] * (room - len(shown))
    chosen = listed[view.cursor].row if 0 <= view.cursor < len(listed) else None
    drawn += [text.fit(one, width) for one in _details(chosen, now_s)]
    drawn.append(text.fit(_keys(view), width))
    return drawn[:height]


def excerpt(snapshot: Snapshot, opened: frozenset[Pid], width: int, height: int) -> list[str]:
    """Draw heads and the first lines of a tree alone, for a report that is not a screen."""
    listed = tree.lines(snapshot, opened)[: height - 1]
    return [_heads(tree.AS_STARTED, width), *(_line(line, width, chosen=False) for line in listed)]


def _title(snapshot: Snapshot, width: int, rates: Rates | None) -> str:
    left = (
        f" {text.printable(snapshot.node)}: {snapshot.processes:,} processes,"
        f" {snapshot.run_queue:,} ready, {text.count(snapshot.turns)} turns"
    )
    right = ""
    if rates is not None:
        right = f" +{rates.began:,} -{rates.ended:,} restarts {rates.restarted:,} a second "
    right = text.fit(right, min(width, len(right)))
    return text.fit(left, width - len(right)) + right


def _heads(sort: str, width: int) -> str:
    """Name the columns; a star marks the one that siblings are sorted by."""
    names = [f"{name}*" if name == sort else name for name in _COLUMNS]
    return _columns(" PROCESS", [name.upper() for name in names], width)


def _columns(first: str, rest: Iterable[str], width: int) -> str:
    """Lay the label and the columns out; columns fall away from the right on a narrow screen."""
    room = width
    kept: list[str] = []
    for cell, cell_width in zip(rest, _COLUMNS.values(), strict=True):
        if room - cell_width < _LABEL_LEAST:
            break
        room -= cell_width
        kept.append(text.fit(cell, cell_width, right=True))
    return text.fit(first, room) + "".join(kept)


def _line(line: tree.Line, width: int, *, chosen: bool) -> str:
    row = line.row
    mark = ">" if chosen else " "
    stem = "".join("│ " if more else "  " for more in line.guides)
    if row is None:
        return text.fit(f"{mark}{stem}└─ … {line.hidden:,} more", width)
    if row.depth:
        stem += "└─" if line.last else "├─"
    fold = ("▾" if line.unfolded else "▸") if row.children else " "
    label = text.printable(tree.label(row))
    return _columns(f"{mark}{stem}{fold}{label}", _cells(row), width)


def _cells(row: Row) -> tuple[str, ...]:
    restarts = text.count(tree.own_restarts(row))
    if row.supervision is not None:
        restarts = f"{restarts}+{text.count(tree.children_restarts(row))}"
    if row.pid is None:
        return (row.state, "", restarts, "", "")
    return (
        row.state,
        text.count(row.mailbox),
        restarts,
        text.size(row.memory_bytes),
        text.count(row.reductions),
    )


def _details(row: Row | None, now_s: float) -> tuple[str, str]:
    """Say of the chosen process what has no column."""
    if row is None:
        return ("", "")
    where = "down" if row.pid is None else str(row.pid)
    first = f" {text.printable(f'{tree.label(row)} {where}')}, links {row.links:,}"
    group = row.supervision
    crash, whose = row.last_crash, "last crash"
    if group is not None:
        first = (
            f" {text.printable(where)} {group.strategy}, {row.children:,} children, restarts"
            f" {group.used:,} of {group.intensity:,} in {group.period_s:,} s"
        )
        if group.last_crash is not None:
            crash, whose = group.last_crash, "last crash of a child"
    return (first, "" if crash is None else _crash(whose, crash, now_s))


def _crash(whose: str, crash: LastCrash, now_s: float) -> str:
    return f" {whose} {text.age(now_s - crash.at_s)} ago: {text.printable(crash.reason)}"


def _keys(view: View) -> str:
    if view.typing:
        return f" filter: {text.printable(view.wanted)}_  (enter keeps it, escape drops it)"
    if view.note:
        return f" {text.printable(view.note)}"
    looked = [f"sorted by {view.sort}"] if view.sort != tree.AS_STARTED else []
    if view.wanted:
        looked.append(f"only {text.printable(view.wanted)!r}")
    return f" {_KEYS}  {', '.join(looked)}"
