"""What an observe server and its clients say to each other: one JSON object a line.

The client begins and may ask again at any time: `{"depth", "children", "rows", "opened"}`, all
optional; `opened` lists serials of processes to look below. The server answers with a head
(`{"snapshot": ...}`), its rows (`{"rows": [...]}`, several lines) and `{"complete": SEQUENCE}`, and
tells changes in between: `{"changes": [...]}`, or `{"overflow": SEQUENCE}` and a new snapshot.
`{"error": TEXT}` is its last line.
"""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from supervisors import limits
from supervisors.errors import ObserveError
from supervisors.observe.feed import Change
from supervisors.observe.snapshot import LastCrash, Row, Snapshot, Supervision
from supervisors.pid import Pid

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

_BOUNDS: Final = {
    "depth": limits.SNAPSHOT_DEPTH,
    "children": limits.SNAPSHOT_CHILDREN,
    "rows": limits.SNAPSHOT_ROWS,
}


def encode(message: dict[str, Any]) -> bytes:
    """Write a message as one line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """Read one line; raises ObserveError if it is no JSON object."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ObserveError(f"a line is no JSON: {error}") from error
    if not isinstance(message, dict):
        raise ObserveError("a line is no JSON object")
    return message


# -- requests ---------------------------------------------------------------------------------


def request(depth: int, children: int, rows: int, opened: Collection[Pid] | None) -> dict[str, Any]:
    """Make a client's request."""
    asked: dict[str, Any] = {"depth": depth, "children": children, "rows": rows}
    if opened is not None:
        asked["opened"] = sorted(pid.serial for pid in opened)
    return asked


def read_request(message: dict[str, Any], node: str, creation: int) -> dict[str, Any]:
    """Check a request and give the options of `Observer.snapshot`; raises ObserveError."""
    unknown = message.keys() - _BOUNDS.keys() - {"opened"}
    if unknown:
        raise ObserveError(f"unknown key {min(unknown)!r}: known are {[*_BOUNDS, 'opened']}")
    options: dict[str, Any] = {}
    for key, bound in _BOUNDS.items():
        value = message.get(key, bound)
        if type(value) is not int or not 0 < value <= bound:
            raise ObserveError(f"{key} is {value!r}: it must be from 1 to {bound}")
        options[key] = value
    opened = message.get("opened")
    if opened is not None:
        if not isinstance(opened, list) or not all(type(serial) is int for serial in opened):
            raise ObserveError("opened must be a list of serials")
        options["opened"] = frozenset(Pid(node, creation, serial) for serial in opened)
    return options


# -- answers ----------------------------------------------------------------------------------


def snapshot_lines(snapshot: Snapshot) -> Iterator[bytes]:
    """Write a snapshot as lines of at most `limits.OBSERVE_ROWS_PER_LINE` rows."""
    names = ("node", "creation", "sequence", "at_s", "processes", "roots", "run_queue", "turns")
    yield encode({"snapshot": {name: getattr(snapshot, name) for name in names}})
    rows = iter(snapshot.rows)
    while chunk := [_from_row(row) for row in islice(rows, limits.OBSERVE_ROWS_PER_LINE)]:
        yield encode({"rows": chunk})
    yield encode({"complete": snapshot.sequence})


def _serial(pid: Pid | None) -> int | None:
    return None if pid is None else pid.serial


def _from_crash(crash: LastCrash | None) -> list[Any] | None:
    return None if crash is None else [crash.reason, crash.at_s]


def _from_row(row: Row) -> list[Any]:
    group = row.supervision
    supervision = None
    if group is not None:
        supervision = [
            group.strategy, group.intensity, group.period_s, group.used, group.restarts,
            _from_crash(group.last_crash),
        ]  # fmt: skip
    return [
        _serial(row.pid), _serial(row.parent), row.depth, row.child_id, row.name, row.class_name,
        row.state, row.mailbox, row.restarts, _from_crash(row.last_crash), row.memory_bytes,
        row.reductions, row.links, row.children, supervision,
    ]  # fmt: skip


def changes_line(changes: Iterable[Change]) -> bytes:
    """Write changes as one line."""
    told = [
        [_serial(value) if isinstance(value, Pid) else value for value in change]
        for change in changes
    ]
    return encode({"changes": told})


class Reader:
    """Puts snapshots and changes together again from lines; on the client's side."""

    def __init__(self) -> None:
        self._head: dict[str, Any] | None = None
        self._rows: list[Row] = []
        self._node = ("", 0)

    def take(self, line: bytes) -> Snapshot | list[Change] | None:
        """Take one line; gives a snapshot that it completes, or changes, or None.

        Raises ObserveError, with the server's words if it refused.
        """
        message = decode(line)
        try:
            if "error" in message:
                raise ObserveError(f"the process refused: {message['error']}")
            if "snapshot" in message:
                self._head, self._rows = message["snapshot"], []
                self._node = (message["snapshot"]["node"], message["snapshot"]["creation"])
            elif "rows" in message:
                self._rows.extend(self._row(*values) for values in message["rows"])
            elif "complete" in message and self._head is not None:
                head, self._head = self._head, None
                return Snapshot(**head, rows=tuple(self._rows))
            elif "changes" in message:
                return [self._change(*values) for values in message["changes"]]
        except (TypeError, KeyError, AttributeError) as error:
            raise ObserveError(f"a line has another shape: {error}") from error
        return None

    def _pid(self, serial: int | None) -> Pid | None:
        return None if serial is None else Pid(*self._node, serial)

    def _row(self, pid: int | None, parent: int | None, *values: Any) -> Row:
        depth, child_id, name, class_name, state, mailbox, restarts, crash, *counts = values
        memory, reductions, links, children, group = counts
        supervision = None
        if group is not None:
            strategy, intensity, period_s, used, restarted, last = group
            last_crash = None if last is None else LastCrash(*last)
            supervision = Supervision(strategy, intensity, period_s, used, restarted, last_crash)
        return Row(
            self._pid(pid), self._pid(parent), depth, child_id, name, class_name, state, mailbox,
            restarts, LastCrash(*crash) if crash is not None else None, memory, reductions, links,
            children, supervision,
        )  # fmt: skip

    def _change(self, *values: Any) -> Change:
        change = Change(*values)
        return change._replace(pid=self._pid(values[3]), parent=self._pid(values[4]))
