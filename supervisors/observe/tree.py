"""A snapshot as a tree of lines: what is unfolded, in which order, and what is hidden."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from supervisors.observe.snapshot import Row, Snapshot
    from supervisors.pid import Pid

AS_STARTED: Final = "start"

SORTS: Final[dict[str, Callable[[Row], int]]] = {
    "mailbox": lambda row: row.mailbox,
    "restarts": lambda row: own_restarts(row) + children_restarts(row),
    "memory": lambda row: row.memory_bytes,
    "reductions": lambda row: row.reductions,
    "children": lambda row: row.children,
}
"""Orders of siblings besides the order of starting, each largest first."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the tree: a row, or `hidden` siblings that are not in the snapshot.

    `guides` tells for each level above whether more siblings follow there, `last` for this one.
    """

    row: Row | None
    guides: tuple[bool, ...]
    last: bool
    hidden: int = 0
    unfolded: bool = False


def own_restarts(row: Row) -> int:
    """Give the restarts of this child, 0 where nobody keeps them."""
    return row.restarts or 0


def children_restarts(row: Row) -> int:
    """Give the restarts of a supervisor's children."""
    return 0 if row.supervision is None else row.supervision.restarts


def label(row: Row) -> str:
    """Name a process for a person: name, else id, else pid, and its class."""
    named = row.name or row.child_id
    if named is None:
        named = "" if row.pid is None else f"<{row.pid.serial}>"
    return f"{named} {row.class_name}"


def lines(
    snapshot: Snapshot,
    opened: frozenset[Pid] | None,
    *,
    sort: str = AS_STARTED,
    wanted: str = "",
) -> list[Line]:
    """List the lines of a tree from its roots down; `opened` None unfolds what is listed.

    With `wanted` only rows whose label contains it, and those above them, are listed.
    """
    below = _by_parent(snapshot, wanted.casefold(), SORTS.get(sort))
    found: list[Line] = []
    roots = _siblings(below.get(None, []), 0 if wanted else snapshot.roots, ())
    pending = [iter(roots)]
    while pending:
        line = next(pending[-1], None)
        if line is None:
            pending.pop()
            continue
        row = line.row
        if row is None or row.pid is None or not row.children:
            found.append(line)
            continue
        unfolded = row.pid in (below if opened is None else opened)
        found.append(replace(line, unfolded=unfolded))
        if unfolded:
            guides = (*line.guides, not line.last) if row.depth else ()
            total = 0 if wanted else row.children
            pending.append(iter(_siblings(below.get(row.pid, []), total, guides)))
    return found


def _by_parent(
    snapshot: Snapshot, wanted: str, key: Callable[[Row], int] | None
) -> dict[Pid | None, list[Row]]:
    kept = _matching(snapshot, wanted) if wanted else None
    below: dict[Pid | None, list[Row]] = {}
    for row in snapshot.rows:
        if kept is None or id(row) in kept:
            below.setdefault(row.parent if row.depth else None, []).append(row)
    if key is not None:
        for rows in below.values():
            rows.sort(key=key, reverse=True)
    return below


def _matching(snapshot: Snapshot, wanted: str) -> set[int]:
    """Collect the rows that match and those above them."""
    by_pid = {row.pid: row for row in snapshot.rows}
    kept: set[int] = set()
    for match in snapshot.rows:
        row: Row | None = match if wanted in label(match).casefold() else None
        while row is not None and id(row) not in kept:
            kept.add(id(row))
            row = by_pid.get(row.parent) if row.parent is not None else None
    return kept


def _siblings(rows: list[Row], total: int, guides: tuple[bool, ...]) -> list[Line]:
    hidden = total - len(rows)
    listed = [Line(row, guides, last=False) for row in rows]
    if hidden > 0:
        listed.append(Line(None, guides, last=True, hidden=hidden))
    elif listed:
        listed[-1] = replace(listed[-1], last=True)
    return listed
