"""A snapshot of the supervision tree as plain data, taken in slices between turns."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import chain, islice
from reprlib import Repr
from typing import TYPE_CHECKING, Any, Final

from supervisors import limits
from supervisors.child import SIMPLE_ONE_FOR_ONE
from supervisors.dynamic_supervisor import DynamicSupervisor
from supervisors.observe.footprint import footprint_bytes
from supervisors.printable import text_by
from supervisors.process import DEAD, LINKED_TO_PARENT, STATE_NAMES, Process
from supervisors.reasons import Crash, Shutdown, text
from supervisors.supervising import Supervising
from supervisors.supervisor import Child, Supervisor

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from supervisors.pid import Pid
    from supervisors.shard import Shard


@dataclass(frozen=True, slots=True)
class LastCrash:
    """The last end of a child that was not orderly: why, and when by the node's clock."""

    reason: str
    at_s: float


@dataclass(frozen=True, slots=True)
class Supervision:
    """What only supervisors have: their flags, how much of them is used, and what befell them.

    `used` counts the restarts in the present window of `period_s` seconds, `restarts` those of
    all children since the supervisor began.
    """

    strategy: str
    intensity: int
    period_s: int
    used: int
    restarts: int
    last_crash: LastCrash | None


@dataclass(frozen=True, slots=True)
class Row:
    """One process, or one child of a supervisor that is down (`pid` None).

    `state` is one of the scheduler's (`process.STATE_NAMES`) or of a child that is down
    (undefined, restarting, backing_off; dead if its supervisor does not know yet). `restarts` and
    `last_crash` are kept by a static supervisor for each child; a dynamic one keeps them for all
    children together, and then `restarts` is None here. `memory_bytes` is an estimate; `children`
    counts all of them, listed or not. Texts are cut at `limits.SNAPSHOT_CHARACTERS`.
    """

    pid: Pid | None
    parent: Pid | None
    depth: int
    child_id: str | None
    name: str | None
    class_name: str
    state: str
    mailbox: int
    restarts: int | None
    last_crash: LastCrash | None
    memory_bytes: int
    reductions: int
    links: int
    children: int
    supervision: Supervision | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The tree level by level, siblings in the order of their supervisor, roots by age.

    Each row is true for the moment it was made. All changes up to `sequence` are in it and later
    ones may be; a reader of a feed drops the former and applies the latter. `processes` counts
    all that live, `roots` those without a parent.
    """

    node: str
    creation: int
    sequence: int
    at_s: float
    processes: int
    roots: int
    run_queue: int
    turns: int
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """What part of the tree is wanted; `root` and `opened` None mean all of it.

    Of each process at most `children` are listed, `rows` in all, levels above `depth` only, and
    below a process only if it is in `opened`.
    """

    root: Process | None = None
    depth: int = limits.SNAPSHOT_DEPTH
    children: int = limits.SNAPSHOT_CHILDREN
    rows: int = limits.SNAPSHOT_ROWS
    opened: frozenset[Pid] | None = None


_REPR: Final = Repr()
_REPR.maxlevel = 3
_REPR.maxstring = _REPR.maxlong = _REPR.maxother = limits.SNAPSHOT_CHARACTERS


def describe(value: Any) -> str:
    """Give a name, an id or a reason as a text of bounded length; never raises."""
    told = text_by(_described, value)
    most = limits.SNAPSHOT_CHARACTERS
    return told if len(told) <= most else f"{told[: most - 1]}…"


def _described(value: Any) -> str:
    if isinstance(value, (str, Crash)):
        return text(value)
    if isinstance(value, Shutdown):
        return f"shutdown: {describe(value.detail)}"
    return _REPR.repr(value)


def optional(value: Any) -> str | None:
    """Give the text of a value that may be missing."""
    return None if value is None else describe(value)


def take(shard: Shard, request: Request, sequence: int) -> Generator[None, None, Snapshot]:
    """Make a snapshot, yielding whenever the run queue should have its turn.

    Runs on the shard's thread; each step costs about `limits.SNAPSHOT_ROWS_PER_SLICE` rows.
    """
    at_s = shard.now_s()
    rows: list[Row] = []
    first: list[Any] = [request.root] if request.root is not None else _roots(shard)
    levels: deque[tuple[Process | None, Pid | None, int]] = deque([(None, None, 0)])
    while levels and len(rows) < request.rows:
        parent, parent_pid, depth = levels.popleft()
        entries = first if parent is None else list(_children(parent, request.children))
        for entry in entries[: min(request.children, request.rows - len(rows))]:
            row = _row(entry, parent, parent_pid, depth, at_s)
            if row is None:
                continue
            rows.append(row)
            wanted = request.opened is None or row.pid in request.opened
            if wanted and row.children and depth + 1 < request.depth:
                process = entry.process if entry.__class__ is Child else entry
                levels.append((process, row.pid, depth + 1))
            if not len(rows) % limits.SNAPSHOT_ROWS_PER_SLICE:
                yield
    node = shard.node
    return Snapshot(
        node.name, node.creation, sequence, at_s, len(shard.processes), len(shard.census.roots),
        len(shard.runq), shard.turns, tuple(rows),
    )  # fmt: skip


def _roots(shard: Shard) -> list[Process]:
    """List the processes without a parent, supervisors first."""
    return sorted(shard.census.roots, key=lambda process: not process.tracks_children)


def _children(process: Process, most: int) -> Iterable[Any]:
    """List the first children: Child rows, processes, or (state, id) of dynamic ones down."""
    if process._state == DEAD:
        return ()
    if isinstance(process, Supervisor):
        children: Iterable[Any] = getattr(process, "children", {}).values()
    elif isinstance(process, DynamicSupervisor) and hasattr(process, "_children"):
        children = chain(
            process._children,
            (("restarting", process.spec.id) for _ in process._restarting),
            (("backing_off", process.spec.id) for _ in process._backing),
        )
    elif process.tracks_children:
        children = process.linked_children()
    else:
        children = _started_by(process)
    return islice(children, most)


def _count_children(process: Process) -> int:
    if isinstance(process, Supervisor):
        return len(getattr(process, "children", ()))
    if isinstance(process, DynamicSupervisor) and hasattr(process, "_children"):
        return len(process._children) + len(process._restarting) + len(process._backing)
    if process.tracks_children:
        return sum(1 for _ in process.linked_children())
    return sum(1 for _ in _started_by(process)) if process._ext is not None else 0


def _started_by(process: Process) -> Iterable[Process]:
    """List the processes that one which is no supervisor has started and is linked to."""
    links = process._ext.links if process._ext is not None else None
    return (
        peer
        for peer in islice(links or (), limits.SNAPSHOT_LINKS)
        if isinstance(peer, Process) and peer._parent is process
    )


def _row(
    entry: Any, parent: Process | None, parent_pid: Pid | None, depth: int, at_s: float
) -> Row | None:
    """Make the row of an entry; None if it is gone since its parent was asked."""
    process = entry
    child = None
    if entry.__class__ is Child:
        assert isinstance(parent, Supervisor)
        if parent.children.get(entry.spec.id) is not entry:
            return None
        child, process = entry, entry.process
        if process is None or process._state == DEAD:
            state = entry.state if process is None else STATE_NAMES[DEAD]
            return _down(parent_pid, depth, entry.spec, state, entry)
    elif entry.__class__ is tuple:
        assert isinstance(parent, DynamicSupervisor)
        return _down(parent_pid, depth, parent.spec, entry[0], None)
    if process._state == DEAD:
        return None
    return Row(
        process.pid, parent_pid, depth, describe(child.spec.id) if child is not None else None,
        optional(process._name), type(process).__name__, STATE_NAMES[process._state],
        process.mailbox_length, *_kept(child), footprint_bytes(process), process._reductions,
        _links(process), _count_children(process), _supervision(process, at_s),
    )  # fmt: skip


def _down(parent: Pid | None, depth: int, spec: Any, state: str, child: Child | None) -> Row:
    named = getattr(spec.target, "__name__", None) or describe(spec.target)
    return Row(
        None, parent, depth, describe(spec.id), None, named, state, 0, *_kept(child),
        0, 0, 0, 0, None,
    )  # fmt: skip


def _kept(child: Child | None) -> tuple[int | None, LastCrash | None]:
    """Give the restarts and the last crash that a static supervisor keeps of a child."""
    return (None, None) if child is None else (child.restarts, _crash(child.last_crash))


def _crash(kept: tuple[Any, float] | None) -> LastCrash | None:
    return None if kept is None else LastCrash(describe(kept[0]), kept[1])


def _links(process: Process) -> int:
    count = 1 if process._flags & LINKED_TO_PARENT else 0
    if process.tracks_children:
        count += _count_children(process)
    if process._ext is not None:
        count += len(process._ext.links or ())
    return count


def _supervision(process: Process, at_s: float) -> Supervision | None:
    if not isinstance(process, Supervising) or not hasattr(process, "restarts"):
        return None
    flags = process.flags
    dynamic = isinstance(process, DynamicSupervisor)
    return Supervision(
        SIMPLE_ONE_FOR_ONE if dynamic else flags.strategy, flags.intensity, flags.period,
        process.restarts.used(at_s), process.restarted, _crash(process.last_crash),
    )  # fmt: skip
