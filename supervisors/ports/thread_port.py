"""ThreadPort: jobs run on threads of the node, for code that is known to behave.

Only for code that releases the interpreter while it waits and has timeouts of its own: a thread
cannot be killed, and one that holds the interpreter holds every other.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from math import inf
from typing import TYPE_CHECKING, Any

from supervisors import limits
from supervisors.errors import PortError, PortStuck
from supervisors.future import ERROR, VALUE, Future
from supervisors.ports.bulkhead import OVERLOADED
from supervisors.ports.port import CLOSED_BY_OWNER, LONGEST_SLEEP_S, Port
from supervisors.ports.worker import answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from supervisors.ports.bulkhead import Job


logger = logging.getLogger("supervisors")


class _Runner(threading.Thread):
    """One thread of the pool."""

    def __init__(self, serve: Callable[[_Runner], None], name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.lost = False
        self._serve = serve

    def run(self) -> None:
        """Do jobs until there is no place for this thread."""
        self._serve(self)


class ThreadPort(Port):
    """Runs functions of a table on a bounded pool of daemon threads.

    A thread whose job is past its deadline is lost: the caller gets PortTimeout, another thread
    takes its place, and what the lost one comes back with is dropped. When more than `lost_threads`
    are lost at once the port breaks its circuit: jobs that wait and new calls get PortStuck until
    one of them comes back, which then takes a free place or ends.

    `clock` must be the machine's monotonic clock, never the shard's: jobs run in real time.
    """

    kind = "thread"

    def __init__(
        self,
        name: str,
        functions: Mapping[str, Callable[..., Any]],
        *,
        workers: int = limits.PORT_WORKERS,
        queue_jobs: int = limits.PORT_QUEUE_JOBS,
        frame_bytes: int = limits.PORT_FRAME_BYTES,
        lost_threads: int = limits.LOST_THREADS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(
            name, workers=workers, queue_jobs=queue_jobs, frame_bytes=frame_bytes, clock=clock
        )
        self._functions = functions
        self._lost_threads = lost_threads
        self._lock = threading.Lock()
        self._alive = 0
        self._lost = 0
        self._replaced = 0
        self._runners: set[_Runner] = set()
        self._work: queue.SimpleQueue[None] = queue.SimpleQueue()
        """One entry for each job that came in: runners wait here."""
        self._nudge = threading.Event()
        self._sleeps_until_s = inf
        self._closing = False
        threading.Thread(target=self._run, name=f"port-{name}", daemon=True).start()

    def close(self) -> Future[None]:
        """Close the port: calls that are not done get PortClosed, idle threads end.

        Threads that are in a job end when it does; `ended` does not wait for them.
        """
        self._closing = True
        self._nudge.set()
        return self.ended

    def _arrived(self, job: Job) -> None:
        self._work.put(None)
        if job.due_s < self._sleeps_until_s:
            self._nudge.set()

    def _turned_away(self, job: Job, outcome: str) -> PortError:
        if outcome == OVERLOADED and self._bulkhead.broken_off:
            return self._stuck(job)
        return super()._turned_away(job, outcome)

    def _stuck(self, job: Job) -> PortStuck:
        return PortStuck(
            f"{job.function} on port {self.name} was not started: {self._lost} of its threads are "
            "lost in jobs past their deadline; see what those wait for"
        )

    def _worker_statistics(self) -> dict[str, Any]:
        return {
            "alive": self._alive, "pids": (), "replaced": self._replaced, "lost": self._lost,
        }  # fmt: skip

    # -- the port's own thread: deadlines ------------------------------------------------------

    def _run(self) -> None:
        broken: str | None = None
        try:
            with self._lock:
                for _ in range(self._bulkhead.workers):
                    self._start_runner()
            self.ready.resolve(VALUE, tuple(sorted(self._functions)))
            while not self._closing:
                self._sleeps_until_s = inf
                self._sleeps_until_s = until_s = self._bulkhead.earliest_s
                self._nudge.wait(min(max(0.0, until_s - self._clock()), LONGEST_SLEEP_S))
                self._nudge.clear()
                self._give_up_late()
        except Exception as error:
            broken = f"it broke: {type(error).__name__}: {error}"
            logger.exception("port %s is closed", self.name)
        self._let_go(broken)

    def _let_go(self, broken: str | None) -> None:
        self._closing = True
        busy = {job.worker for job in self._shut(broken or CLOSED_BY_OWNER)}
        with self._lock:
            idle = [one for one in self._runners if not one.lost and one not in busy]
            for _ in self._runners:
                self._work.put(None)
        for runner in idle:
            runner.join()
        self._end(broken)

    def _start_runner(self) -> None:
        runner = _Runner(self._serve, f"port-{self.name}-{len(self._runners)}")
        runner.start()
        self._runners.add(runner)
        self._alive += 1

    def _give_up_late(self) -> None:
        """Lose the threads whose jobs are past their deadline and replace them, up to a bound."""
        late: list[Job] = []
        dropped: list[Job] = []
        workers = self._bulkhead.workers
        try:
            with self._lock:
                late = self._bulkhead.expired(self._clock())
                for job in late:
                    if job.worker is not None:
                        job.worker.lost = True
                        self._lost += 1
                        self._alive -= 1
                if self._lost > self._lost_threads:
                    dropped = self._bulkhead.break_off()
                most = min(workers, workers + self._lost_threads - self._lost)
                while self._alive < most:
                    self._start_runner()
                    self._replaced += 1
        finally:
            for job in late:
                self._fail_late(job)
            for job in dropped:
                job.future.resolve(ERROR, self._stuck(job))

    # -- the threads of the pool ---------------------------------------------------------------

    def _serve(self, runner: _Runner) -> None:
        while not self._closing:
            self._work.get()
            job = self._bulkhead.take(runner)
            if job is not None and not (self._do(job) or self._rejoin(runner)):
                break
        with self._lock:
            self._runners.discard(runner)

    def _do(self, job: Job) -> bool:
        """Do a job; False if nobody waits for it any more."""
        try:
            body = answer(self._functions, job.body, self._frame_bytes)
        except BaseException as error:  # noqa: BLE001 - SystemExit ends a job here, not a thread
            return self._settle_crashed(job, f"was ended by {type(error).__name__}")
        return self._settle_by_reply(job, body)

    def _rejoin(self, runner: _Runner) -> bool:
        """Take a place in the pool again after a job came back late; False if all are taken."""
        with self._lock:
            if not runner.lost:
                return False
            self._lost -= 1
            if self._lost <= self._lost_threads:
                self._bulkhead.mend()
            if self._alive >= self._bulkhead.workers:
                return False
            runner.lost = False
            self._alive += 1
            return True
