"""Snapshots: what the host's report lists of an instance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from fifo.api.resources.values import set_time
from fifo.model import names
from fifo.v1 import snapshot_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fifo.model.instance import Snapshot
    from fifo.store.catalog import View

Message = snapshot_pb2.Snapshot
TYPE: Final = "fifo/Snapshot"


class Parts(NamedTuple):
    """The name of its instance, and what that one's host reports of it."""

    instance: str
    snapshot: Snapshot


def of_instance(view: View, uid: str) -> Iterator[Parts]:
    """Give the snapshots of an instance as they are now, in its host's order."""
    spec, status = view.specs.record(uid), view.statuses.record(uid)
    if spec is not None and status is not None:
        name = names.instance_name(spec.id, spec.org)
        yield from (Parts(name, snapshot) for snapshot in status.snapshots)


def capture(view: View, path: str) -> Parts | None:
    """Take a snapshot as it is now, by its instance's uid and its own name; None for none."""
    uid, _, own = path.partition("/")
    return next((one for one in of_instance(view, uid) if one.snapshot.name == own), None)


def name_of(parts: Parts) -> str:
    """Name it."""
    return f"{parts.instance}/{names.SNAPSHOTS}/{parts.snapshot.name}"


def message(view: View, parts: Parts) -> Message:
    """Make what callers see."""
    del view
    made = Message(name=name_of(parts), size_bytes=parts.snapshot.size_bytes)
    set_time(made.create_time, parts.snapshot.created)
    return made
