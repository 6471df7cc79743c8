"""The bound of a port: so many jobs and no more, first come first served, each with a deadline."""

from __future__ import annotations

import threading
from collections import Counter, deque
from math import inf
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from supervisors.future import Future

# What became of a job, as counted.
DONE: Final = "done"
FAILED: Final = "failed"
REFUSED: Final = "refused"
TIMED_OUT: Final = "timed_out"
CRASHED: Final = "crashed"
OVERLOADED: Final = "overloaded"
CLOSED: Final = "closed"


class Job:
    """One call of a function: its request, its deadline, its future, and who runs it."""

    __slots__ = ("body", "deadline_s", "due_s", "function", "future", "serial", "worker")

    def __init__(self, serial: int, function: str, deadline_s: float, future: Future[Any]) -> None:
        self.serial = serial
        self.function = function
        self.deadline_s = deadline_s
        self.future = future
        self.body = b""
        """The request as JSON."""
        self.due_s = inf
        """When the deadline is, on the port's clock."""
        self.worker: Any = None
        """Whatever the port runs it on; None while it waits."""


class Bulkhead:
    """The jobs of one port that have no outcome yet; all methods may be called from any thread.

    A job leaves it exactly once, by `settle`, `expired`, `break_off` or `close`; whoever takes
    it out is the one who resolves its future. Nothing here resolves a future, so that no callback
    runs under the lock.
    """

    def __init__(self, workers: int, queue_jobs: int) -> None:
        self.workers = workers
        self.queue_jobs = queue_jobs
        self.outcomes: Counter[str] = Counter()
        self.waiting: deque[Job] = deque()
        self.earliest_s = inf
        """No job is due before this; it may be too early, never too late."""
        self.broken_off = False
        """No job is admitted until `mend`."""
        self._lock = threading.Lock()
        self._jobs: dict[int, Job] = {}
        self._closed: str | None = None

    def __len__(self) -> int:
        """Count the jobs that run or wait."""
        return len(self._jobs)

    @property
    def closed(self) -> str | None:
        """Why the port was closed; None while it is open."""
        return self._closed

    def admit(self, job: Job) -> str | None:
        """Take a job on, or give the outcome that tells why not: CLOSED or OVERLOADED."""
        with self._lock:
            if self._closed is not None:
                outcome = CLOSED
            elif self.broken_off or len(self._jobs) >= self.workers + self.queue_jobs:
                outcome = OVERLOADED
            else:
                self._jobs[job.serial] = job
                self.waiting.append(job)
                self.earliest_s = min(self.earliest_s, job.due_s)
                return None
            self.outcomes[outcome] += 1
            return outcome

    def count(self, outcome: str) -> None:
        """Count a job that was turned away before it was admitted."""
        with self._lock:
            self.outcomes[outcome] += 1

    def take(self, worker: Any) -> Job | None:
        """Give the job that has waited longest to a worker; None when none waits."""
        with self._lock:
            if not self.waiting:
                return None
            job = self.waiting.popleft()
            job.worker = worker
            return job

    def settle(self, job: Job, outcome: str) -> bool:
        """Take a job out; False if it was out already and this outcome comes too late."""
        with self._lock:
            if self._jobs.pop(job.serial, None) is None:
                return False
            if job.worker is None:
                self.waiting.remove(job)
            self.outcomes[outcome] += 1
            return True

    def expired(self, now_s: float) -> list[Job]:
        """Take out the jobs that are past their deadline, those that wait among them."""
        if now_s < self.earliest_s:
            return []
        with self._lock:
            late = [job for job in self._jobs.values() if job.due_s <= now_s]
            for job in late:
                del self._jobs[job.serial]
            if any(job.worker is None for job in late):
                self.waiting = deque(job for job in self.waiting if job.serial in self._jobs)
            self.outcomes[TIMED_OUT] += len(late)
            self.earliest_s = min((job.due_s for job in self._jobs.values()), default=inf)
            return late

    def break_off(self) -> list[Job]:
        """Take out all jobs that wait, as overloaded, and admit none until `mend`."""
        with self._lock:
            self.broken_off = True
            dropped = list(self.waiting)
            self.waiting.clear()
            for job in dropped:
                del self._jobs[job.serial]
            self.outcomes[OVERLOADED] += len(dropped)
            return dropped

    def mend(self) -> None:
        """Admit jobs again."""
        self.broken_off = False

    def close(self, why: str) -> list[Job]:
        """Take out all jobs and admit none any more; only the first call does anything."""
        with self._lock:
            if self._closed is not None:
                return []
            self._closed = why
            rest = list(self._jobs.values())
            self._jobs.clear()
            self.waiting.clear()
            self.outcomes[CLOSED] += len(rest)
            return rest
