"""Who is here: how many processes of each class, and which have nobody above them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from supervisors import limits

if TYPE_CHECKING:
    from supervisors.process import Process


class Census:
    """Kept for the observer and for metrics, so that neither has to walk a million processes.

    Written on the shard's thread at each start and end; other threads may copy the tables.
    `alive` counts by class and leaves classes of nobody out. `roots` lists processes without a
    parent, the first `limits.SNAPSHOT_ROOTS` of them and as many supervisors again.
    """

    __slots__ = ("alive", "roots")

    def __init__(self) -> None:
        self.alive: dict[type, int] = {}
        self.roots: dict[Process, None] = {}

    def enter_root(self, process: Process) -> None:
        """List a process that was made and has no parent; `spawn` itself counts it."""
        if process.is_running():
            room = limits.SNAPSHOT_ROOTS * (2 if process.tracks_children else 1)
            if len(self.roots) < room:
                self.roots[process] = None

    def leave(self, process: Process) -> None:
        """Count a process off that is dead."""
        count = self.alive.get(process.__class__, 0) - 1
        if count:
            self.alive[process.__class__] = count
        else:
            del self.alive[process.__class__]
        if self.roots:
            self.roots.pop(process, None)

    def adopt(self, process: Process) -> None:
        """Note that a process has come under a supervisor that did not start it."""
        self.roots.pop(process, None)
