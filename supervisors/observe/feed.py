"""A feed of changes in the tree, for one reader that may lag behind so far and no further."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from supervisors import limits
from supervisors.future import VALUE, Future

if TYPE_CHECKING:
    from collections.abc import Callable

    from supervisors.pid import Pid
    from supervisors.shard import Shard

BEGAN: Final = "began"
"""A process's init has answered ok."""
ENDED: Final = "ended"
"""A process is dead; also one whose init failed, without a BEGAN before."""
RESTARTED: Final = "restarted"
"""A supervisor has started a child again by itself; comes after the BEGAN of the new process."""
STATE: Final = "state"
"""A child that is down is now undefined, restarting or backing_off."""
OVERFLOW: Final = "overflow"
"""The reader lagged too far behind: the last item of its feed. Take a new feed and snapshot."""

KINDS: Final = frozenset({BEGAN, ENDED, RESTARTED, STATE})


class Change(NamedTuple):
    """One change, stated as what now holds, so that telling it twice does no harm.

    `pid` is the process that began or ended, or the new one of a restart; `parent` its supervisor
    or starter, unknown for an ended process. `child_id` and `restarts` are of the supervisor's row
    (under a dynamic supervisor None, and the restarts of all its children). `at_s` is the node's
    time.
    """

    sequence: int
    kind: str
    at_s: float
    pid: Pid | None = None
    parent: Pid | None = None
    class_name: str | None = None
    name: str | None = None
    child_id: str | None = None
    state: str | None = None
    reason: str | None = None
    restarts: int = 0


class Feed:
    """Changes in order, without a gap, until `close` or the overflow mark.

    Made by `Observer.subscribe`; written on the shard's thread, read by one reader on any.
    """

    def __init__(self, shard: Shard, kinds: frozenset[str], leave: Callable[[Feed], None]) -> None:
        self.kinds = kinds
        self._shard = shard
        self._leave = leave
        self._changes: deque[Change] = deque()
        self._waiting: list[Future[list[Change]]] = []
        self._ended = False

    def push(self, change: Change) -> None:
        """Add a change; called by the observer on the shard's thread."""
        if change.kind not in self.kinds or self._ended:
            return
        if len(self._changes) < limits.FEED_CHANGES:
            self._changes.append(change)
            self._serve()
        else:
            self._changes.append(Change(change.sequence, OVERFLOW, change.at_s))
            self._end()

    def take(self) -> list[Change]:
        """Give the changes that are there now, perhaps none; from any thread, without waiting."""
        changes = self._changes
        return [changes.popleft() for _ in range(len(changes))]

    def read(self) -> Future[list[Change]]:
        """Give a future of the next changes, at least one: await it, or get() it elsewhere.

        An empty list means that the feed has ended. Reads that wait together get the same list, so
        that one which was given up loses nothing.
        """
        future: Future[list[Change]] = Future(self._shard)

        def wait() -> None:
            self._waiting.append(future)
            self._serve()

        self._shard.run_on_shard(wait, lambda: future.resolve(VALUE, []))
        return future

    def close(self) -> None:
        """Stop listening; what was not read yet can still be. From any thread."""
        self._shard.run_on_shard(self._end)

    def _serve(self) -> None:
        if self._waiting and (self._changes or self._ended):
            waiting, self._waiting = self._waiting, []
            taken = self.take()
            for future in waiting:
                future.resolve(VALUE, taken)

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self._leave(self)
            self._serve()
