"""The story of an instance: what happened to it and why, one event at a time."""

from __future__ import annotations

from typing import Literal

from fifo.model.records import Record

EventKind = Literal[
    "created", "placed", "started", "stopped", "ended", "restarted", "crash_loop", "failed",
    "updated", "deleted", "snapshot", "rolled_back", "cut_off", "adopted", "actor_restarted",
    "reports_dropped", "halted",
]  # fmt: skip


class StoryEvent(Record, frozen=True, tag="story_event/1"):
    """One thing that happened: when (UTC seconds), to whom, what, why, and its figures."""

    uid: str
    at: float
    kind: EventKind
    text: str
    host: str = ""
    operation: str = ""
    figures: dict[str, str] = {}
    dropped: int = 0
    """Older events of the instance that are gone by now: the marker of a story that is cut."""
