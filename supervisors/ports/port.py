"""The contract of a port: a place outside the shard where named functions run with a deadline."""

from __future__ import annotations

import itertools
from _thread import get_ident
from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any, Final

from supervisors import context, limits
from supervisors.errors import (
    PortClosed,
    PortCrashed,
    PortError,
    PortFailed,
    PortOverload,
    PortRefused,
    PortTimeout,
)  # fmt: skip
from supervisors.future import ERROR, VALUE, Future
from supervisors.ports.bulkhead import (
    CLOSED,
    CRASHED,
    DONE,
    FAILED,
    OVERLOADED,
    REFUSED,
    TIMED_OUT,
    Bulkhead,
    Job,
)  # fmt: skip
from supervisors.ports.frames import decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class PortStatistics:
    """A port at one moment, as data; counts are since it was opened."""

    name: str
    kind: str
    workers: int
    """How many it should have."""
    alive: int
    """How many can take a job now or after the one they do."""
    pids: tuple[int, ...]
    """Worker processes, none for ports without."""
    running: int
    waiting: int
    waiting_limit: int
    replaced: int
    """Workers started in place of lost ones."""
    lost: int
    """Threads that are stuck in a job past its deadline."""
    done: int
    failed: int
    refused: int
    timed_out: int
    crashed: int
    overloaded: int
    closed: int


CLOSED_BY_OWNER: Final = "its owner closed it"
LONGEST_SLEEP_S: Final = 3_600.0
"""Longest wait of a port's thread for the next deadline: poll takes milliseconds in 32 bits."""


class Port(ABC):
    """Runs functions, named by strings, where they may block.

    Arguments and results are JSON values on every kind of port: nothing is shared with a worker,
    and a function may move from one kind to another, a SimulatedPort among them.
    """

    kind = "port"

    def __init__(
        self,
        name: str,
        *,
        workers: int,
        queue_jobs: int,
        frame_bytes: int,
        clock: Callable[[], float],
    ) -> None:
        if workers < 1 or queue_jobs < 0:
            raise ValueError(
                f"port {name} needs at least one worker and no negative queue, "
                f"got workers={workers} and queue_jobs={queue_jobs}"
            )
        self.name = name
        self.ready: Future[tuple[str, ...]] = Future()
        """Settled when the first worker can work, with the names it knows; fails with the port."""
        self.ended: Future[None] = Future()
        """Settled when the port is closed and holds nothing any more; fails if it broke."""
        self._bulkhead = Bulkhead(workers, queue_jobs)
        self._frame_bytes = frame_bytes
        self._clock = clock
        self._serials = itertools.count(1)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    def call(
        self, function: str, /, *args: Any, deadline_s: float = limits.PORT_DEADLINE_S
    ) -> Future[Any]:
        """Run a function and give a future of its result: await it in a handler, `get` elsewhere.

        From any thread; it never blocks and never raises. The deadline counts from here, waiting
        included. The future fails with PortOverload at once when too many jobs wait, PortTimeout
        at the deadline, PortCrashed if the worker died, PortFailed with type and message of what
        the function raised, PortRefused for a function in no table and for what JSON cannot carry,
        and PortClosed.
        """
        job = Job(next(self._serials), function, deadline_s, Future(self._home()))
        try:
            self._refuse_abandoned()
            job.body = self._request(job, args)
        except (TypeError, ValueError) as error:
            self._bulkhead.count(REFUSED)
            told = f"{function!r} on port {self.name} was not started: {error}; correct the call"
            job.future.resolve(ERROR, PortRefused(told))
            return job.future
        job.due_s = self._clock() + deadline_s
        outcome = self._bulkhead.admit(job)
        if outcome is None:
            self._arrived(job)
        else:
            job.future.resolve(ERROR, self._turned_away(job, outcome))
        return job.future

    @staticmethod
    def _refuse_abandoned() -> None:
        """Keep a turn that the watchdog gave up on from having effects."""
        shard = context.running_shard()
        if shard is not None and get_ident() in shard.abandoned:
            raise ValueError("the turn that calls was abandoned")

    def _request(self, job: Job, args: tuple[Any, ...]) -> bytes:
        if not 0 < job.deadline_s < inf:
            raise ValueError(f"a deadline is a number of seconds above 0, not {job.deadline_s!r}")
        request = {"id": job.serial, "call": job.function, "args": args}
        return encode(request, self._frame_bytes)

    @abstractmethod
    def close(self) -> Future[None]:
        """Begin to close the port and give `ended`; calls that are not done get PortClosed.

        From any thread; it does not block, and closing twice is closing once.
        """

    def statistics(self) -> PortStatistics:
        """Describe the port as it is now; from any thread."""
        bulkhead = self._bulkhead
        outcomes = bulkhead.outcomes
        waiting = len(bulkhead.waiting)
        return PortStatistics(
            name=self.name,
            kind=self.kind,
            workers=bulkhead.workers,
            running=max(0, len(bulkhead) - waiting),
            waiting=waiting,
            waiting_limit=bulkhead.queue_jobs,
            done=outcomes[DONE],
            failed=outcomes[FAILED],
            refused=outcomes[REFUSED],
            timed_out=outcomes[TIMED_OUT],
            crashed=outcomes[CRASHED],
            overloaded=outcomes[OVERLOADED],
            closed=outcomes[CLOSED],
            **self._worker_statistics(),
        )

    # -- for the kinds of port -----------------------------------------------------------------

    @abstractmethod
    def _arrived(self, job: Job) -> None:
        """See that a job which was just admitted gets run; on the caller's thread."""

    @abstractmethod
    def _worker_statistics(self) -> dict[str, Any]:
        """Give alive, pids, replaced and lost of the statistics."""

    def _home(self) -> Any:
        """Give the shard whose handlers will await the future, if that is known."""
        return context.running_shard()

    def _turned_away(self, job: Job, outcome: str) -> PortError:
        if outcome == CLOSED:
            return PortClosed(f"port {self.name} is closed: {self._bulkhead.closed}")
        return PortOverload(
            f"{job.function} on port {self.name} was not started: "
            f"{self._bulkhead.queue_jobs} jobs wait already; try again later"
        )

    def _settle(self, job: Job, outcome: str, status: int, value: Any) -> bool:
        """Give a running job its outcome; False, and nothing happens, if it has one already."""
        if not self._bulkhead.settle(job, outcome):
            return False
        job.future.resolve(status, value)
        return True

    def _settle_by_reply(self, job: Job, body: bytes) -> bool:
        """Settle a job as a reply of `worker.answer` says; raises ValueError if it says nothing."""
        reply = decode(body)
        if reply.get("id") != job.serial:
            raise ValueError(f"an answer to job {reply.get('id')!r}, not to {job.serial}")
        match reply:
            case {"ok": value}:
                return self._settle(job, DONE, VALUE, value)
            case {"error": [str() as kind, str() as message, str() as place]}:
                failed = PortFailed(job.function, self.name, kind, message, place)
                return self._settle(job, FAILED, ERROR, failed)
            case {"refused": str() as why}:
                told = f"{job.function!r} on port {self.name} was not started: {why}"
                return self._settle(job, REFUSED, ERROR, PortRefused(told))
            case _:
                raise ValueError("an answer with no result in it")

    def _fail_late(self, job: Job) -> None:
        """Tell the caller of a job that `expired` took out."""
        started = job.worker is not None
        told = (
            "its worker was given up and the work may be half done: look before you ask again"
            if started
            else "it was still waiting and was never started: asking again is harmless"
        )
        error = PortTimeout(
            f"{job.function} on port {self.name} was not done within {job.deadline_s} s; {told}",
            started=started,
        )
        job.future.resolve(ERROR, error)

    def _settle_crashed(self, job: Job, how: str) -> bool:
        error = PortCrashed(
            f"the worker of port {self.name} that ran {job.function} {how}; "
            "the work may be half done: look before you ask again"
        )
        return self._settle(job, CRASHED, ERROR, error)

    def _shut(self, why: str) -> list[Job]:
        """Admit no more jobs and tell everyone who waits for one, or for the port to be ready.

        Gives the jobs that were not done.
        """
        rest = self._bulkhead.close(why)
        for job in rest:
            job.future.resolve(ERROR, PortClosed(f"port {self.name} is closed: {why}"))
        if not self.ready.done():
            self.ready.resolve(ERROR, PortClosed(f"port {self.name} was never ready: {why}"))
        return rest

    def _end(self, broken: str | None) -> None:
        """Settle `ended`, last of all."""
        if broken is None:
            self.ended.resolve(VALUE, None)
        else:
            self.ended.resolve(ERROR, PortClosed(f"port {self.name} is closed: {broken}"))
