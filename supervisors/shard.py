"""The scheduler core: one run queue, many processes, no I/O.

A shard runs on whatever its host gives it; `supervisors.host` says what a host owes it.

A process is in the run queue exactly when its state is READY, with its next message beside it, so
an idle process costs nothing and needs no mailbox object.
"""

from __future__ import annotations

import itertools
import logging
from _thread import get_ident
from collections import deque
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from supervisors import closing, ending, limits, mailbox, resting, starting, turns
from supervisors.context import RUNNING
from supervisors.errors import WouldDeadlock
from supervisors.future import EndFuture, Future
from supervisors.messages import (
    ASK,
    BEGIN,
    CALL,
    CAST,
    EXIT,
    INFO,
    RESUME,
    SYSTEM,
    WAKE,
)  # fmt: skip
from supervisors.observe.census import Census
from supervisors.process import (
    DEAD,
    DOOMED,
    IDLE,
    PARKED,
    READY,
    STARTING,
    TIMED,
    Process,
)  # fmt: skip
from supervisors.signals import exit_signal
from supervisors.timers import Timer, TimerWheel

if TYPE_CHECKING:
    from collections.abc import Callable

    from supervisors.host import Host
    from supervisors.node import Node


logger = logging.getLogger("supervisors")


class Shard:
    """One run queue with its processes, timers and inbound messages from other threads."""

    # Slots: every message touches some of these, and more than thirty plain attributes are slower.
    __slots__ = (
        "abandoned", "asleep", "census", "closed", "current", "dying", "epoch", "host", "inbound",
        "injection", "interrupt", "meter", "names", "node", "now", "outside_woke", "per_look",
        "processes", "queues_exits", "runq", "serials", "serving", "shuffle", "slices", "stack",
        "stride", "stuck", "tally", "thread_id", "timers", "turns", "until_s",
    )  # fmt: skip

    def __init__(self, node: Node, host: Host) -> None:
        self.node = node
        self.host = host
        self.thread_id = get_ident()
        self.epoch = 0
        self.now = host.clock()
        self.asleep = True
        self.runq: deque[tuple[Process, int, Any, Any]] = deque()
        self.inbound: deque[tuple[Any, int, Any, Any]] = deque()
        self.outside_woke = False
        self.timers = TimerWheel(self.now)
        self.processes: dict[int, Process] = {}
        self.census = Census()
        self.names = node.registry.named
        self.serials = itertools.count(1)
        self.current: Process | None = None
        self.stack: list[Process | None] = []
        self.dying: deque[tuple[Any, Any, Any]] = deque()
        self.turns = 0
        self.slices = 0
        self.until_s: float | None = None
        self.stride = limits.MESSAGES_PER_TURN
        self.per_look = limits.MESSAGES_PER_CLOCK_CHECK
        self.abandoned: set[int] = set()
        self.closed = False
        self.tally: dict[type, int] = {}
        self.meter: Any = None
        self.shuffle: Callable[[deque[Any]], None] | None = None
        self.queues_exits = False
        self.interrupt: BaseException | None = None
        self.serving: Future[Any] | None = None
        self.stuck: Process | None = None
        self.injection: Any = nullcontext()

    # -- time --------------------------------------------------------------------------------

    def now_s(self) -> float:
        """Give the shard's time: of the slice while one runs, of the clock otherwise."""
        if self.asleep:
            self.now = self.host.clock()
        return self.now

    def next_due_s(self) -> float | None:
        """Say when the host must run a slice at the latest, None if only a message wakes it."""
        return self.timers.next_due_s()

    def wake(self) -> None:
        """Note that there is work although no slice runs."""
        self.asleep = False
        self.now = self.host.clock()
        self.host.wake()

    # -- delivering --------------------------------------------------------------------------

    def post(self, process: Process, kind: int, payload: Any, future: Any) -> None:
        """Deliver a message on the shard's thread, whatever state the process is in."""
        state = process._state
        if state == IDLE:
            process._state = READY
            self.runq.append((process, kind, payload, future))
            if self.asleep:
                self.wake()
            return
        if state == DEAD:
            self.discard(process, kind, payload, future)
            return
        queue = process._queue
        if queue is None:
            queue = process._queue = deque()
        elif len(queue) >= process.mailbox_limit and not mailbox.is_owed(kind, payload):
            mailbox.overflow(self, process, kind, payload, future)
            return
        queue.append((kind, payload, future))
        if state >= TIMED:
            resting.rouse(self, process)

    def post_system(self, process: Process, kind: int, payload: Any) -> None:
        """Deliver an EXIT, a DOWN or another message no mailbox bound may refuse."""
        if process._state in (IDLE, DEAD):
            self.post(process, kind, payload, None)
            return
        queue = process._queue
        if queue is None:
            queue = process._queue = deque()
        queue.append((kind, payload, None))
        if process._state >= TIMED:
            resting.rouse(self, process)
        elif kind == EXIT and self.queues_exits and process._state == PARKED:
            self._hear(process, *payload)

    def _hear(self, process: Process, sender: Any, reason: Any) -> None:
        """Wake who waits for this very end, in the place that the link gives it (ERTS)."""
        awaited = process._ext.awaited
        if isinstance(awaited, EndFuture) and awaited._target == sender and not sender.is_alive():
            awaited.fire(sender, reason)

    def post_any(self, process: Process, kind: int, payload: Any, future: Any) -> None:
        """Deliver a message from any thread."""
        if get_ident() == self.thread_id:
            self.post(process, kind, payload, future)
        else:
            self.post_from_outside(process, kind, payload, future)

    def post_from_outside(self, process: Any, kind: int, payload: Any, future: Any) -> None:
        """Deliver a message from another thread; what an abandoned thread sends is dropped."""
        if get_ident() in self.abandoned:
            self.fence(process if process is not None else "the shard", payload)
        else:
            self._take_in(process, kind, payload, future)

    def fence(self, process: Process | str, effect: Any) -> None:
        """Count what an abandoned thread wanted as a dead letter, on the shard's own thread."""
        letters = self.node.dead_letters
        self._take_in(None, SYSTEM, lambda: letters.record(process, effect, "fenced"), None)

    def _take_in(self, process: Any, kind: int, payload: Any, future: Any) -> None:
        self.inbound.append((process, kind, payload, future))
        if not self.outside_woke:
            self.outside_woke = True
            self.host.wake_from_outside()

    def run_on_shard(
        self, function: Callable[[], None], otherwise: Callable[[], Any] | None = None
    ) -> None:
        """Run a function on the shard's thread between turns, at once if that is this thread.

        If the shard is closed before it comes to that, `otherwise` is called instead, anywhere.
        """
        if get_ident() == self.thread_id:
            function()
        else:
            self.post_from_outside(None, SYSTEM, function, otherwise)

    def system(self, process: Process, function: Callable[[], Any]) -> Future[Any]:
        """Run a function in a process's turn ahead of its mailbox, and give its result."""
        future: Future[Any] = Future(self, process.ref)
        self.run_on_shard(
            lambda: turns.push_front(self, process, SYSTEM, function, future),
            lambda: closing.fail(self, future),
        )
        return future

    def exit_signal(self, process: Process, reason: Any) -> None:
        """Send `exit/2` to a process of this shard from any thread."""
        current = self.current if get_ident() == self.thread_id else None
        sender = current.ref if current is not None else None
        self.run_on_shard(lambda: exit_signal(process, sender, reason, by_link=False))

    def discard(
        self, process: Process, kind: int, payload: Any, future: Any, why: str = "dead"
    ) -> None:
        """Answer or record a message that will never be handled."""
        if future is not None and kind != RESUME:
            ending.answer_discarded(process, kind, payload, future, why)
        elif kind in (CAST, INFO, ASK):
            self.node.dead_letters.record(process, payload, why)

    def refuse_deadlock(self, target: Process) -> None:
        """Raise if the running process calls itself, or its starter from its own init."""
        caller = self.current
        if caller is target:
            raise WouldDeadlock(f"{target} called itself and would wait for its own answer")
        while caller is not None and (
            caller._state == STARTING or (caller._state == PARKED and caller._ext.kind == BEGIN)
        ):
            starter = caller._parent
            if starter is target and starter is not None:
                raise WouldDeadlock(
                    f"{self.current} called {target}, which waits for the init of {caller}; "
                    "call it from handle_continue instead"
                )
            caller = starter

    # -- futures -----------------------------------------------------------------------------

    def settled_outside(self, future: Future[Any]) -> None:
        """Resume who awaits a future that another thread has settled, an abandoned one too.

        Settled is settled: whoever it was, nobody else will wake the waiter.
        """
        if not self.closed:
            self._take_in(None, RESUME, future, None)

    def resume(self, process: Process, awaited: Any) -> None:
        """Put a parked process back into the run queue, ahead of its mailbox."""
        if process._state != PARKED or process._ext.awaited is not awaited:
            return
        process._state = READY
        self.runq.append((process, RESUME, awaited, None))
        if self.asleep:
            self.wake()

    # -- running -----------------------------------------------------------------------------

    def run_slice(self, max_turns: int, slice_s: float | None = None) -> bool:
        """Run turns until none is left or the bound is met; True if there is more to do now.

        Called by the host on the shard's thread. `slice_s` bounds the time as well; the clock is
        read every few turns.
        """
        before = RUNNING.shard
        RUNNING.shard = self
        self.asleep = False
        self.slices += 1
        epoch = self.epoch
        try:
            self.now = now = self.host.clock()
            if self.inbound:
                self._drain()
            self.timers.advance(now)
            if self.timers.due:
                self._fire()
            turns.run(self, max_turns, None if slice_s is None else now + slice_s)
            return bool(self.runq or self.inbound or self.timers.due)
        finally:
            if self.epoch == epoch:
                self.current = None
                self.asleep = not (self.runq or self.inbound or self.timers.due)
            RUNNING.shard = before

    def _drain(self) -> None:
        self.outside_woke = False
        inbound = self.inbound
        for _ in range(len(inbound)):
            process, kind, payload, future = inbound.popleft()
            try:
                if process is not None:
                    if future is not None and kind == CALL and future._timeout_s is not None:
                        self.timers.insert(self.now + future._timeout_s, future)
                    self.post(process, kind, payload, future)
                elif kind == RESUME:
                    waiter, payload._waiter = payload._waiter, None
                    if payload._timeout_s is not None:
                        self.timers.stale += 1
                    if waiter is not None:
                        self.resume(waiter, payload)
                else:
                    payload()
            except Exception:
                logger.exception("%r failed at something that came from outside", self.node)

    def _fire(self) -> None:
        due = self.timers.due
        runq, processes = self.runq, self.processes
        budget = limits.TIMERS_PER_TURN
        while due and budget > 0:
            entries = due[0]
            if len(entries) > budget:
                entries, due[0] = entries[:budget], entries[budget:]
            else:
                due.popleft()
            budget -= len(entries)
            last = 0
            queue: Any = None
            for entry in entries:
                if entry._status:
                    continue
                if entry.__class__ is not Timer:
                    last = 0
                    self._expire(entry)
                    continue
                entry._status = 1
                serial = entry.serial
                if serial == last:
                    queue.append((INFO, entry.message, None))
                    continue
                process = processes.get(serial)
                if process is None:
                    continue
                if process._state == IDLE:
                    process._state = READY
                    runq.append((process, INFO, entry.message, None))
                else:
                    self.post_system(process, INFO, entry.message)
                    last, queue = serial, process._queue
                    if queue is None:
                        last = 0

    def _expire(self, entry: Any) -> None:
        try:
            entry.expire()
        except Exception:
            logger.exception("%r failed at a timer", self.node)

    # -- starting and ending, by name --------------------------------------------------------

    def start(
        self,
        process_class: type[Process],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        name: Any = None,
        parent: Process | None = None,
        link: bool = False,
        timeout_s: float | None = None,
    ) -> Future[Any]:
        """Start a process with the init handshake and give a future of its ref.

        From any thread. The future fails with StartError.
        """
        return starting.start_future(
            self, process_class, args, kwargs,
            name=name, parent=parent, link=link, timeout_s=timeout_s,
        )  # fmt: skip

    def end_by_signal(self, process: Process, reason: Any) -> None:
        """End a process whose exit signal was not trapped."""
        if process is self.current or process in self.stack:
            if process._state != DEAD:
                process.extras.doom = reason
                process._state = DOOMED
        elif self.queues_exits:
            self._doom(process, reason)
        else:
            ending.bury(self, process, reason)

    def _doom(self, process: Process, reason: Any) -> None:
        """End a process when its turn comes, so that signals act in the order they were sent."""
        state = process._state
        if state in (DEAD, DOOMED):
            return
        process.extras.doom = reason
        process._state = DOOMED
        if state != READY:
            self.runq.append((process, WAKE, None, None))
            if self.asleep:
                self.wake()
