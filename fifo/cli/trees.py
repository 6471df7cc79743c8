"""Supervision trees as text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from fifo.cli.output import enum, since
from fifo.cli.text import safe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fifo.v1.supervision_service_pb2 import SupervisedProcess, Tree, TreeChange


WORDS: Final = {"undefined": "not running"}
"""OTP's word for a child that declined its start or was stopped: it is not an error."""
_PART: Final = re.compile(r"'([^']*)'")
_UID: Final = re.compile(r"\b([0-9a-f]{8})-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")


def tree_lines(tree: Tree) -> Iterator[str]:
    """Draw a tree, one process a line, with what is not quiet about it."""
    doing = f"{tree.run_queue} have something to do" if tree.run_queue else "all idle"
    yield f"{safe(tree.node)}: {tree.process_count} processes, {doing}"
    children: dict[str, list[SupervisedProcess]] = {}
    known = {own.pid for own in tree.processes}
    for own in tree.processes:
        children.setdefault(own.parent if own.parent in known else "", []).append(own)
    yield from _branch(children, "", "")


def _branch(
    children: dict[str, list[SupervisedProcess]], parent: str, guides: str
) -> Iterator[str]:
    below = children.pop(parent, [])
    for own in below:
        last = own is below[-1]
        yield f"{guides}{'└─ ' if last else '├─ '}{_name(own)}{_state(own)}"
        if own.pid:
            yield from _branch(children, own.pid, f"{guides}{'   ' if last else '│  '}")


def _name(own: SupervisedProcess) -> str:
    name = _plain(safe(own.child_id or own.registered_name or own.pid))
    kind = safe(own.class_name)
    return f"{name} ({kind})" if name != kind else name


def _plain(name: str) -> str:
    """Write a name of several parts as words, and uids by their beginnings."""
    parts = _PART.findall(name) if name.startswith("(") else []
    return _UID.sub(r"\1", " ".join(parts) or name)


def _state(own: SupervisedProcess) -> str:
    told = []
    if own.state not in {"idle", "ready", "parked"}:
        told.append(WORDS.get(own.state) or safe(own.state))
    if own.mailbox:
        told.append(f"{own.mailbox} waiting")
    if own.restarts:
        told.append(f"{own.restarts} restarts")
    if own.HasField("last_crash"):
        told.append(f"crashed {since(own.last_crash.time)} ago: {safe(own.last_crash.reason)[:60]}")
    if own.HasField("supervision") and own.child_count:
        told.append(f"{own.child_count} children, {own.supervision.strategy}")
    return f"  [{', '.join(told)}]" if told else ""


def change_line(change: TreeChange) -> str:
    """Write one change of a tree."""
    who = _plain(safe(change.child_id or change.registered_name or change.class_name or change.pid))
    why = f": {safe(change.reason)[:80]}" if change.reason else ""
    return f"{enum(change, 'type'):<9} {who} {change.pid}{why}"
