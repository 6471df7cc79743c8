"""The simulated host: virtual time, seeded order, everything on the calling thread."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any

from supervisors.errors import CallTimeout, SupervisorsError, WouldDeadlock
from supervisors.node import Node

if TYPE_CHECKING:
    from collections import deque

    from supervisors.future import Future
    from supervisors.process import Process

_TURNS = 1_000


class SimulatedHost:
    """Runs any number of nodes in virtual time on the thread that calls it.

    Time stands still while anything can run and jumps to the next timer otherwise. With a seed
    the order in which ready processes get their turns is drawn from it, so that races show and
    replay; without one it is first come, first served. With `beam_order` an exit signal acts and
    an init runs when its process gets a turn, not at once: what OTP leaves open then falls as it
    does with one scheduler of the BEAM.
    """

    def __init__(
        self, *, seed: int | None = None, start_s: float = 0.0, beam_order: bool = False
    ) -> None:
        self.inline_init = not beam_order
        self.now_s = start_s
        self.nodes: list[Node] = []
        self.random = random.Random(seed if seed is not None else 0)  # noqa: S311
        self._shuffles = seed is not None

    def node(self, name: str = "local", **options: Any) -> Node:
        """Make a node that runs here."""
        node = Node(self, name=name, random=self.random, **options)
        if self._shuffles:
            node.shard.shuffle = self._shuffle
        node.shard.queues_exits = not self.inline_init
        self.nodes.append(node)
        return node

    def _shuffle(self, runq: deque[Any]) -> None:
        if len(runq) > 1:
            chosen = self.random.randrange(min(len(runq), 64))
            if chosen:
                runq[0], runq[chosen] = runq[chosen], runq[0]

    # -- what a shard asks for ---------------------------------------------------------------

    def clock(self) -> float:
        """Virtual seconds."""
        return self.now_s

    def wake(self) -> None:
        """Nothing to do: the host looks at its shards whenever it is asked to run."""

    def wake_from_outside(self) -> None:
        """As wake; the message is taken at the next run."""

    def await_foreign(self, process: Process, awaited: Any) -> None:
        """Refuse: nothing but the host itself makes time pass here."""
        raise SupervisorsError(
            f"{process} awaited {awaited!r} under the simulated host; only calls, sleeps, ports "
            "and futures of this library can be awaited there"
        )

    def run_until(self, future: Future[Any], timeout_s: float | None) -> None:
        """Run, letting time pass, until the future is settled."""
        until_s = None if timeout_s is None else self.now_s + timeout_s
        while not future.done():
            if self.run_ready() or future.done():
                continue
            due_s = self.next_due_s()
            if due_s is None or (until_s is not None and due_s > until_s):
                if until_s is None:
                    raise WouldDeadlock("nothing is left to run and no timer to wait for")
                self.now_s = max(self.now_s, until_s)
                raise CallTimeout(future._target or "the future", timeout_s or 0.0)
            self.now_s = max(self.now_s, due_s)

    # -- running -----------------------------------------------------------------------------

    def run_ready(self) -> bool:
        """Run everything that can run now without letting time pass; True if anything ran."""
        ran = False
        busy = True
        while busy:
            busy = False
            for node in self.nodes:
                shard = node.shard
                due_s = shard.timers.next_due_s()
                if (
                    shard.runq
                    or shard.inbound
                    or shard.timers.due
                    or (due_s is not None and due_s <= self.now_s)
                ):
                    # Even without a turn: what came from outside may have gone on to a node
                    # that was looked at before this one.
                    shard.run_slice(_TURNS)
                    busy = ran = True
                elif not shard.asleep:
                    # It was woken for a deadline alone: awake it would go on by this moment's time.
                    shard.run_slice(_TURNS)
        return ran

    def next_due_s(self) -> float | None:
        """Say when the next timer fires, or None."""
        dues = [node.shard.timers.next_live_s() for node in self.nodes]
        return min((due for due in dues if due is not None), default=None)

    def advance(self, duration_s: float) -> None:
        """Let virtual time pass, firing what falls due on the way in its order.

        Raises ValueError for a time that would go back, or that never ends.
        """
        self.advance_to(self.now_s + duration_s)

    def advance_to(self, until_s: float) -> None:
        """Let virtual time pass up to a moment, as `advance` does."""
        if not self.now_s <= until_s < math.inf:
            raise ValueError(f"time goes on from {self.now_s} s and cannot go to {until_s} s")
        self.run_ready()
        while (due_s := self.next_due_s()) is not None and due_s <= until_s:
            self.now_s = max(self.now_s, due_s)
            self.run_ready()
        self.now_s = until_s
        self.run_ready()
