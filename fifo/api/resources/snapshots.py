"""Snapshots: what the host's report lists of an instance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fifo.api.resources.values import set_time
from fifo.model import names
from fifo.v1 import snapshot_pb2

if TYPE_CHECKING:
    from fifo.model.instance import Snapshot

Message = snapshot_pb2.Snapshot
TYPE: Final = "fifo/Snapshot"


def message(instance: str, snapshot: Snapshot) -> Message:
    """Make what callers see; `instance` is the instance's name."""
    made = Message(
        name=f"{instance}/{names.SNAPSHOTS}/{snapshot.name}", size_bytes=snapshot.size_bytes
    )
    set_time(made.create_time, snapshot.created)
    return made
