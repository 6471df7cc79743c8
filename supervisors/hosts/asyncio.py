"""The asyncio host: processes and gRPC share one loop and one thread, with no hop between them."""

from __future__ import annotations

import asyncio
import random
import time
from _thread import get_ident
from typing import TYPE_CHECKING, Any

from supervisors import closing, limits
from supervisors.collector import Collector
from supervisors.errors import SupervisorsError, WouldDeadlock
from supervisors.node import Node

if TYPE_CHECKING:
    from collections.abc import Callable

    from supervisors.future import Future
    from supervisors.process import Process


class AsyncioHost:
    """Runs a node inside a running asyncio loop; make it in the loop's own thread.

    Each slice of turns is one callback of the loop; it gives the loop back after
    `limits.TURNS_PER_SLICE` turns or `limits.SLICE_S` seconds. A handler may await asyncio's own
    futures and tasks.
    """

    inline_init = True

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        tune_gc: bool = True,
    ) -> None:
        self.loop = loop if loop is not None else asyncio.get_running_loop()
        self.clock = clock
        self.nodes: list[Node] = []
        self._node: Node | None = None
        self._scheduled = False
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due_s = 0.0
        self._slack_until_s = 0.0
        self._collector = Collector() if tune_gc else None
        if self._collector is not None:
            self._collector.install()
        self._quiet_check: asyncio.TimerHandle | None = None

    def node(self, name: str = "local", **options: Any) -> Node:
        """Make the node that runs here."""
        if self._node is not None:
            raise SupervisorsError("an asyncio host runs one node; make another host")
        self._node = Node(self, name=name, random=random.Random(), **options)  # noqa: S311
        return self._node

    def close(self) -> None:
        """Stop running the node; its processes stay as they are. On the loop's thread.

        Who waits for an answer gets CallExit with `noconnection`, and so does who asks later.
        """
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._quiet_check is not None:
            self._quiet_check.cancel()
        if self._collector is not None:
            self._collector.uninstall()
            self._collector = None
        if self._node is not None:
            closing.close(self._node.shard)

    # -- what a shard asks for ---------------------------------------------------------------

    def wake(self) -> None:
        """Run a slice in the loop's next pass, unless the host was closed."""
        if not self._scheduled and not self._closed:
            self._scheduled = True
            self.loop.call_soon(self._slice)

    def wake_from_outside(self) -> None:
        """Run a slice soon; called by any thread. Closed, refuse what the caller has sent."""
        node = self._node
        if self._closed:
            if node is not None:
                closing.refuse(node.shard)
        elif node is not None and node.shard.thread_id == get_ident():
            self.wake()  # Without the system call that another thread needs.
        else:
            self.loop.call_soon_threadsafe(self.wake)

    def run_until(self, future: Future[Any], timeout_s: float | None) -> None:
        """Refuse: waiting here would stop the loop that should settle the future."""
        raise WouldDeadlock(
            f"get({timeout_s=}) of a pending {future!r} on the loop's own thread; use await"
        )

    def await_foreign(self, process: Process, awaited: Any) -> None:
        """Resume a process when an asyncio future settles."""
        if not getattr(awaited, "_asyncio_future_blocking", False):
            raise SupervisorsError(f"{process} awaited {awaited!r}, which is not a future")
        awaited._asyncio_future_blocking = False
        shard = process._shard
        awaited.add_done_callback(lambda settled: shard.resume(process, settled))

    # -- running -----------------------------------------------------------------------------

    def _slice(self) -> None:
        self._scheduled = False
        node = self._node
        if self._closed or node is None:
            return
        shard = node.shard
        try:
            more = shard.run_slice(limits.TURNS_PER_SLICE, limits.SLICE_S)
        finally:
            if shard.runq or shard.inbound or shard.timers.due:
                self.wake()
        if not more:
            self._arm(shard.next_due_s())
            if self._collector is not None and self._collector.full_due:
                self._await_quiet(shard.turns)

    def _await_quiet(self, turns: int) -> None:
        if self._quiet_check is None:
            self._quiet_check = self.loop.call_later(limits.GC_QUIET_S, self._if_quiet, turns)

    def _if_quiet(self, turns: int) -> None:
        self._quiet_check = None
        if self._node is None or self._collector is None:
            return
        if self._node.shard.turns == turns:
            self._collector.collect_all()
        else:
            self._await_quiet(self._node.shard.turns)

    def _arm(self, due_s: float | None) -> None:
        timer = self._timer
        if timer is not None:
            if due_s is not None and self._timer_due_s <= due_s:
                return
            timer.cancel()
            self._timer = None
        if due_s is not None:
            due_s = max(due_s, self._slack_until_s)
            self._timer_due_s = due_s
            self._timer = self.loop.call_later(max(0.0, due_s - self.clock()), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._slack_until_s = self.clock() + limits.TIMER_SLACK_S
        if not self._scheduled:
            self._slice()
