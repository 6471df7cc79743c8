"""The thread host: a node on a thread of its own, for programs without a loop."""

from __future__ import annotations

import logging
import random
import threading
import time
from typing import TYPE_CHECKING, Any

from supervisors import closing, ending, limits
from supervisors.collector import Collector
from supervisors.errors import StuckTurn, SupervisorsError, WouldDeadlock
from supervisors.node import Node

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from supervisors.future import Future
    from supervisors.process import Process
    from supervisors.shard import Shard


logger = logging.getLogger("supervisors")


class ThreadHost:
    """Runs a node on one thread; `close` ends it.

    Inits take turns of their own here, so that the watchdog can abandon a stuck one without its
    supervisor.
    """

    inline_init = False

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, tune_gc: bool = True
    ) -> None:
        self._collector = Collector() if tune_gc else None
        if self._collector is not None:
            self._collector.install()
        self.clock = clock
        self._node: Node | None = None
        self._work = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None

    def node(self, name: str = "local", **options: Any) -> Node:
        """Make the node and start its thread."""
        if self._node is not None:
            raise SupervisorsError("a thread host runs one node; make another host")
        self._node = node = Node(self, name=name, random=random.Random(), **options)  # noqa: S311
        bound = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(node, bound), name=f"shard-{name}", daemon=True
        )
        self._thread.start()
        bound.wait()
        return node

    def close(self) -> None:
        """End the thread after its present slice; processes stay as they are.

        Who waits for an answer gets CallExit with `noconnection`, and so does who asks later.
        """
        self._closing = True
        self._work.set()
        if self._thread is not None:
            self._thread.join()
        if self._collector is not None:
            self._collector.uninstall()
            self._collector = None

    def wake(self) -> None:
        """Nothing to do: the thread looks at the run queue before it waits."""

    def wake_from_outside(self) -> None:
        """Wake the thread; if it has ended, refuse what the caller has sent."""
        self._work.set()
        if self._node is not None and self._node.shard.closed:
            closing.refuse(self._node.shard)

    def run_until(self, future: Future[Any], timeout_s: float | None) -> None:
        """Refuse: the shard's own thread would wait for itself."""
        raise WouldDeadlock(f"get({timeout_s=}) of a pending {future!r} on the shard's thread")

    def await_foreign(self, process: Process, awaited: Any) -> None:
        """Refuse: there is no loop here."""
        raise SupervisorsError(
            f"{process} awaited {awaited!r} under the thread host, which has no asyncio loop"
        )

    def take_over(self, stuck: Sequence[Process]) -> None:
        """Go on with the shard on a fresh thread and leave the present one to its stuck turn.

        Called by the watchdog, which has raised the epoch and noted the old thread as abandoned
        while it was inside a handler: what it does to the node from then on is dropped, and it
        ends when the handler returns. `stuck` are the processes whose turn it is, the innermost
        first.
        """
        assert self._node is not None
        shard = self._node.shard
        bound = threading.Event()
        self._thread = threading.Thread(
            target=self._run,
            args=(self._node, bound, stuck),
            name=f"shard-{self._node.name}-{shard.epoch}",
            daemon=True,
        )
        self._thread.start()
        bound.wait()

    def _run(self, node: Node, bound: threading.Event, stuck: Sequence[Process] = ()) -> None:
        shard = node.shard
        shard.thread_id = threading.get_ident()
        epoch = shard.epoch
        try:
            if stuck:
                # A new list: the old thread may still take its turns off the one it knows.
                shard.current, shard.stuck, shard.stack = None, None, []
            for process in stuck:
                ending.give_up(shard, process)
        finally:
            bound.set()
        try:
            self._turn_until_closed(node, epoch)
        except StuckTurn:
            if shard.epoch == epoch:
                raise
        finally:
            with shard.injection:
                shard.abandoned.discard(threading.get_ident())
            if shard.epoch == epoch:
                closing.close(shard)

    def _turn_until_closed(self, node: Node, epoch: int) -> None:
        shard = node.shard
        while not self._closing and shard.epoch == epoch:
            self._work.clear()
            try:
                more = shard.run_slice(limits.TURNS_PER_SLICE)
            except KeyboardInterrupt:
                continue  # Ctrl-C reaches the main thread alone: a handler raised it, and is dead.
            except Exception:
                logger.exception("a slice of %r failed; the node goes on", node)
                continue
            if more or shard.epoch != epoch:
                continue
            due_s = shard.next_due_s()
            wait_s = None
            if due_s is not None:
                wait_s = min(max(0.0, due_s - self.clock()), threading.TIMEOUT_MAX)
            if not shard.inbound:
                self._wait(shard, wait_s)

    def _wait(self, shard: Shard, wait_s: float | None) -> None:
        collector = self._collector
        if collector is None or not collector.full_due:
            self._work.wait(wait_s)
            return
        quiet_s = limits.GC_QUIET_S if wait_s is None else min(wait_s, limits.GC_QUIET_S)
        if not self._work.wait(quiet_s) and quiet_s == limits.GC_QUIET_S and not shard.inbound:
            collector.collect_all()
