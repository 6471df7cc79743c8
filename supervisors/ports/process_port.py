"""ProcessPort: jobs run in worker processes that can be killed at any moment.

For everything that may hang, crash or hold the interpreter: C extensions, drivers, large parsers.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
import sys
import threading
import time
from collections import deque
from math import inf
from typing import TYPE_CHECKING, Any, Final

from supervisors import limits
from supervisors.future import VALUE, Future
from supervisors.ports.frames import ANY_SIZE, Decoder, decode, encode, frame
from supervisors.ports.port import CLOSED_BY_OWNER, LONGEST_SLEEP_S, Port
from supervisors.ports.spawner import Spawner
from supervisors.ports.token_bucket import TokenBucket
from supervisors.ports.wakeup import Wakeup
from supervisors.ports.zygote import BORN, DIED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from supervisors.ports.bulkhead import Job

logger = logging.getLogger("supervisors")

_READ_BYTES: Final = 65_536
_BOTH_WAYS: Final = selectors.EVENT_READ | selectors.EVENT_WRITE

# A worker's states. It is STARTING until it says that it is ready, then IDLE and BUSY in turns; it
# is DOOMED from the moment its killing is asked for, and forgotten when the zygote has buried it.
STARTING: Final = "starting"
IDLE: Final = "idle"
BUSY: Final = "busy"
DOOMED: Final = "doomed"


class _Broken(Exception):  # noqa: N818 - it ends the thread and is never seen outside
    """The port cannot go on."""


class _Worker:
    """One worker process as the port sees it."""

    __slots__ = (
        "decoder", "fate", "job", "link", "number", "pid", "ready", "since_s", "state", "unsent",
    )  # fmt: skip

    def __init__(self, number: int, link: socket.socket, limit_bytes: int, now_s: float) -> None:
        self.number = number
        self.link = link
        self.decoder = Decoder(limit_bytes)
        self.state = STARTING
        self.since_s = now_s
        self.pid = 0
        self.ready = False
        self.job: Job | None = None
        self.unsent = memoryview(b"")
        self.fate: str | None = None
        """How it came to be doomed, if not by its job's deadline."""


class ProcessPort(Port):
    """Runs the functions of the given modules' `PORT_FUNCTIONS` in worker processes.

    Opens at once and starts its workers from a thread of its own, which does all I/O with them;
    `ready` is settled when the first can work. A worker runs one job at a time. It is killed, with
    every process it has started that took no session of its own, when a job is past its deadline
    or an answer is no answer, and replaced, at a bounded rate. Workers end with the node. The
    caller is told of a deadline when the kill is on its way: the worker may live for a moment more,
    and one that the kernel cannot kill (a hung disk) keeps its place until it ends.

    The port breaks, and `ended` fails, when a worker says that its modules cannot be imported, when
    `limits.PORT_FAILED_STARTS` in a row end before they are ready, and when the zygote ends.

    `clock` must be the machine's monotonic clock, never the shard's, whatever host the node has:
    what the deadlines bound runs in real time.
    """

    kind = "process"

    def __init__(
        self,
        name: str,
        modules: Sequence[str],
        *,
        workers: int = limits.PORT_WORKERS,
        queue_jobs: int = limits.PORT_QUEUE_JOBS,
        frame_bytes: int = limits.PORT_FRAME_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(
            name, workers=workers, queue_jobs=queue_jobs, frame_bytes=frame_bytes, clock=clock
        )
        self._modules = list(modules)
        self._workers: dict[int, _Worker] = {}
        self._idle: list[_Worker] = []
        self._starting: set[_Worker] = set()
        self._stalled: deque[_Worker] = deque()
        """Workers with something left to send, for the port's thread to wait for."""
        self._handing_out = threading.Lock()
        self._sleeps_until_s = inf
        self._started = 0
        self._failed_starts = 0
        self._replacements = TokenBucket(
            limits.PORT_REPLACEMENTS, limits.PORT_REPLACEMENTS_PER_S, clock()
        )
        self._closing = False
        self._wakeup = Wakeup()
        self._selector = selectors.DefaultSelector()
        self._spawner = Spawner()
        self._thread = threading.Thread(target=self._run, name=f"port-{name}", daemon=True)
        self._thread.start()

    def close(self) -> Future[None]:
        """Begin to close the port: workers are killed and buried, calls get PortClosed."""
        self._closing = True
        self._wakeup.ring()
        return self.ended

    def _arrived(self, job: Job) -> None:
        self._hand_out()
        if job.due_s < self._sleeps_until_s:
            self._wakeup.ring()

    def _worker_statistics(self) -> dict[str, Any]:
        workers = tuple(self._workers.values())
        return {
            "alive": sum(worker.state != DOOMED for worker in workers),
            "pids": tuple(worker.pid for worker in workers if worker.pid),
            "replaced": max(0, self._started - self._bulkhead.workers),
            "lost": 0,
        }

    # -- the port's thread ---------------------------------------------------------------------

    def _run(self) -> None:
        broken: str | None = None
        try:
            self._work()
        except Exception as error:
            broken = f"it broke: {type(error).__name__}: {error}"
            logger.exception("port %s is closed", self.name)
        # Callers are told before the workers are buried, which may take a moment.
        self._shut(broken or CLOSED_BY_OWNER)
        self._let_go()
        self._end(broken)

    def _let_go(self) -> None:
        self._wakeup.close()
        self._selector.close()
        with self._handing_out:
            for worker in self._workers.values():
                worker.link.close()
        self._workers.clear()
        self._spawner.close()

    def _work(self) -> None:
        """Do everything until the port is closed; raises when it cannot go on."""
        self._spawner.start()
        self._selector.register(self._wakeup, selectors.EVENT_READ, self._wakeup.hear)
        self._selector.register(self._spawner, selectors.EVENT_READ, self._on_reports)
        for _ in range(self._bulkhead.workers):
            self._start_worker(self._clock())
        while not self._closing:
            self._sleeps_until_s = inf
            self._sleeps_until_s = self._next_due_s()
            patience_s = min(self._sleeps_until_s - self._clock(), LONGEST_SLEEP_S)
            for key, events in self._selector.select(patience_s):
                if isinstance(key.data, _Worker):
                    self._on_link(key.data, events)
                else:
                    key.data()
            now_s = self._clock()
            self._give_up_late(now_s)
            self._keep_number(now_s)
            while self._stalled:
                worker = self._stalled.popleft()
                if worker.state != DOOMED:
                    self._selector.modify(worker.link, _BOTH_WAYS, worker)

    def _give_up_late(self, now_s: float) -> None:
        """Kill the workers of jobs past their deadline and tell the callers."""
        late = self._bulkhead.expired(now_s)
        try:
            for job in late:
                if job.worker is not None:
                    job.worker.job = None
                    self._doom(job.worker, None)
        finally:
            for job in late:
                self._fail_late(job)

    def _next_due_s(self) -> float:
        """Say when there is something to do even if nothing happens."""
        due_s = self._bulkhead.earliest_s
        if self._starting:
            since_s = min(worker.since_s for worker in self._starting)
            due_s = min(due_s, since_s + limits.PORT_START_S)
        if len(self._workers) < self._bulkhead.workers:
            now_s = self._clock()
            due_s = min(due_s, now_s + self._replacements.wait_s(now_s))
        return due_s

    # -- workers: birth and death --------------------------------------------------------------

    def _start_worker(self, now_s: float) -> None:
        self._started += 1
        ours, theirs = socket.socketpair()
        ours.settimeout(0)
        worker = _Worker(self._started, ours, self._frame_bytes, now_s)
        self._workers[worker.number] = worker
        self._starting.add(worker)
        self._selector.register(ours, selectors.EVENT_READ, worker)
        self._spawner.spawn(worker.number, theirs)
        path = [str(entry) for entry in sys.path]
        begin = {"path": path, "modules": self._modules, "limit_bytes": self._frame_bytes}
        worker.unsent = memoryview(frame(encode(begin, ANY_SIZE)))
        self._stalled.append(worker)

    def _keep_number(self, now_s: float) -> None:
        """Kill what does not get ready, and replace what died."""
        for worker in tuple(self._starting):
            if worker.since_s + limits.PORT_START_S <= now_s:
                self._doom(worker, f"was not ready within {limits.PORT_START_S} s")
        while len(self._workers) < self._bulkhead.workers and self._replacements.take(now_s):
            self._start_worker(now_s)

    def _doom(self, worker: _Worker, fate: str | None) -> None:
        """Have a worker killed; its place is free when it is buried."""
        if worker.state == DOOMED:
            return
        self._set_aside(worker)
        worker.fate = fate
        self._spawner.kill(worker.number)

    def _set_aside(self, worker: _Worker) -> None:
        self._starting.discard(worker)
        self._selector.unregister(worker.link)
        with self._handing_out:
            if worker.state == IDLE:
                self._idle.remove(worker)
            worker.state = DOOMED

    def _on_reports(self) -> None:
        for what, number, value in self._spawner.reports():
            worker = self._workers[number]
            if what == BORN:
                worker.pid = value
            elif what == DIED:
                self._bury(worker, f"ended by {_ending(value)}")
            else:
                self._bury(worker, f"could not be forked: {os.strerror(value)}")

    def _bury(self, worker: _Worker, how: str) -> None:
        # It may have answered before it ended, and not all of the answer was read yet.
        while worker.state != DOOMED and self._receive(worker):
            pass
        if worker.state != DOOMED:
            self._set_aside(worker)
        worker.link.close()
        del self._workers[worker.number]
        how = worker.fate or how
        if worker.job is not None:
            self._settle_crashed(worker.job, how)
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts >= limits.PORT_FAILED_STARTS:
                raise _Broken(
                    f"{self._failed_starts} workers in a row were never ready, the last one {how}"
                )

    # -- workers: jobs and answers -------------------------------------------------------------

    def _hand_out(self) -> None:
        """Give waiting jobs to idle workers, the one that was busy last first: it is warm.

        Also on the caller's thread, since the port's own would have to wait for the interpreter.
        """
        if not self._idle or not self._bulkhead.waiting:
            return
        with self._handing_out:
            while self._idle and self._bulkhead.waiting:
                worker = self._idle.pop()
                job = self._bulkhead.take(worker)
                if job is None:
                    self._idle.append(worker)
                    continue
                worker.job = job
                worker.state = BUSY
                worker.unsent = memoryview(frame(job.body))
                if not self._send(worker):
                    self._stalled.append(worker)
                    self._wakeup.ring()

    def _send(self, worker: _Worker) -> bool:
        """Send what the worker's socket takes now; True if that was all.

        A socket that takes nothing because its worker has ended is noticed where it is read.
        """
        try:
            worker.unsent = worker.unsent[worker.link.send(worker.unsent) :]
        except BlockingIOError:
            return False
        except OSError:
            worker.unsent = memoryview(b"")
        return not worker.unsent

    def _on_link(self, worker: _Worker, events: int) -> None:
        if events & selectors.EVENT_READ and worker.state != DOOMED:
            self._receive(worker)
        if events & selectors.EVENT_WRITE and worker.state != DOOMED and self._send(worker):
            self._selector.modify(worker.link, selectors.EVENT_READ, worker)

    def _receive(self, worker: _Worker) -> bool:
        """Read what a worker has sent and act on it; False if there was nothing.

        What is no answer dooms it.
        """
        try:
            data = worker.link.recv(_READ_BYTES)
            for body in worker.decoder.feed(data):
                self._on_answer(worker, body)
        except BlockingIOError:
            return False
        except ValueError as error:
            self._doom(worker, f"sent something that is no answer: {error}")
        except OSError as error:
            self._doom(worker, f"cannot be read from ({error})")
        else:
            if not data:
                # Most likely it has just ended; the zygote will say how.
                self._doom(worker, None)
        return True

    def _on_answer(self, worker: _Worker, body: bytes) -> None:
        if worker.state == STARTING:
            self._on_first_words(worker, decode(body))
        elif worker.job is None:
            raise ValueError("it was asked nothing")
        else:
            self._settle_by_reply(worker.job, body)
            worker.job = None
        worker.state = IDLE
        self._idle.append(worker)
        self._hand_out()

    def _on_first_words(self, worker: _Worker, words: dict[str, Any]) -> None:
        match words:
            case {"ready": [*names]}:
                self._starting.discard(worker)
                self._failed_starts = 0
                worker.ready = True
                if not self.ready.done():
                    self.ready.resolve(VALUE, tuple(names))
            case {"unusable": why}:
                raise _Broken(f"its workers cannot import {', '.join(self._modules)}: {why}")
            case _:
                raise ValueError("it did not say that it is ready")


def _ending(code: int) -> str:
    """Put the exit code of a process into words; negative codes are signals."""
    if code >= 0:
        return f"exit code {code}"
    return f"signal {next((known.name for known in signal.Signals if known == -code), -code)}"
