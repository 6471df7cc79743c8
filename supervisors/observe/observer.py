"""The observer of a node: its supervision tree as data, now (a snapshot) and from now on (a feed).

It costs nothing while nobody listens: the scheduler and the supervisors look at `listening` and go
on. Restart counts and last crashes are kept by the supervisors themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from supervisors import closing, limits
from supervisors.errors import CallExit
from supervisors.future import ERROR, VALUE, Future
from supervisors.messages import SYSTEM
from supervisors.observe import snapshot
from supervisors.observe.feed import BEGAN, ENDED, KINDS, RESTARTED, STATE, Change, Feed
from supervisors.observe.snapshot import Snapshot, describe, optional
from supervisors.pid import Pid
from supervisors.reasons import NOPROC
from supervisors.ref import Ref

if TYPE_CHECKING:
    from collections.abc import Collection

    from supervisors.node import Node
    from supervisors.process import Process


class Observer:
    """Found at `node.observer`; `snapshot` and `subscribe` may be called from any thread."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._feeds: tuple[Feed, ...] = ()
        self.listening = False
        self.sequence = 0

    # -- for readers -------------------------------------------------------------------------

    def snapshot(
        self,
        root: Any = None,
        *,
        depth: int = limits.SNAPSHOT_DEPTH,
        children: int = limits.SNAPSHOT_CHILDREN,
        rows: int = limits.SNAPSHOT_ROWS,
        opened: Collection[Pid] | None = None,
    ) -> Future[Snapshot]:
        """Give a future of the tree below `root`: a ref, a pid or a name; None for all roots.

        Taken on the shard's thread in slices of `limits.SNAPSHOT_ROWS_PER_SLICE` rows. The bounds
        are those of `snapshot.Request`, at most the defaults. Subscribe first if you want to
        follow the tree from here on. The future fails with CallExit for a root that is not alive.
        """
        future: Future[Snapshot] = Future(self._node.shard)
        shard = self._node.shard

        def begin() -> None:
            process = None
            if root is not None:
                process = self._find(root)
                if process is None:
                    future.resolve(ERROR, CallExit(root, NOPROC))
                    return
            request = snapshot.Request(
                process,
                min(depth, limits.SNAPSHOT_DEPTH),
                min(children, limits.SNAPSHOT_CHILDREN),
                min(rows, limits.SNAPSHOT_ROWS),
                None if opened is None else frozenset(opened),
            )
            steps = snapshot.take(shard, request, self.sequence)

            def step() -> None:
                try:
                    next(steps)
                except StopIteration as finished:
                    future.resolve(VALUE, finished.value)
                except Exception as error:  # noqa: BLE001 - the shard goes on, the asker learns it
                    future.resolve(ERROR, error)
                else:
                    shard.post_from_outside(None, SYSTEM, step, refused)

            step()

        def refused() -> None:
            closing.fail(shard, future)

        shard.run_on_shard(begin, refused)
        return future

    def _find(self, root: Any) -> Process | None:
        ref = root
        if isinstance(root, Pid):
            ref = self._node.ref(root)
        elif not isinstance(root, Ref):
            ref = self._node.whereis(root)
        process: Process | None = getattr(ref, "_process", None)
        return process if process is not None and process.is_running() else None

    def subscribe(self, kinds: Collection[str] = KINDS) -> Feed:
        """Give a feed of the changes of some kinds from now on; close it when done.

        From any thread. A feed whose reader lags `limits.FEED_CHANGES` behind ends with an
        overflow mark.
        """
        feed = Feed(self._node.shard, frozenset(kinds), self._leave)
        self._node.shard.run_on_shard(lambda: self._set((*self._feeds, feed)))
        return feed

    def close(self) -> None:
        """End all feeds; called when the shard is closed."""
        for feed in self._feeds:
            feed._end()

    def _leave(self, feed: Feed) -> None:
        self._set(tuple(one for one in self._feeds if one is not feed))

    def _set(self, feeds: tuple[Feed, ...]) -> None:
        self._feeds = feeds
        self.listening = bool(feeds)

    # -- for the scheduler and the supervisors, on the shard's thread, while listening ----------

    def began(self, process: Process) -> None:
        """Tell that a process's init has answered ok."""
        parent = process._parent
        self._tell(
            BEGAN,
            pid=process.pid,
            parent=parent.pid if parent is not None else None,
            class_name=type(process).__name__,
            name=optional(process._name),
        )

    def ended(self, process: Process, reason: Any) -> None:
        """Tell that a process is dead."""
        self._tell(
            ENDED, pid=process.pid, class_name=type(process).__name__, reason=describe(reason)
        )

    def restarted(
        self, supervisor: Process, child_id: Any, process: Process, restarts: int
    ) -> None:
        """Tell that a supervisor has started a child again by itself."""
        self._tell(
            RESTARTED,
            pid=process.pid,
            parent=supervisor.pid,
            class_name=type(process).__name__,
            name=optional(process._name),
            child_id=optional(child_id),
            restarts=restarts,
        )

    def child_state(self, supervisor: Process, child_id: Any, state: str) -> None:
        """Tell that a child is down and what its supervisor will do about it."""
        self._tell(STATE, parent=supervisor.pid, child_id=optional(child_id), state=state)

    def _tell(self, kind: str, **what: Any) -> None:
        self.sequence += 1
        change = Change(self.sequence, kind, self._node.shard.now_s(), **what)
        for feed in self._feeds:
            feed.push(change)
