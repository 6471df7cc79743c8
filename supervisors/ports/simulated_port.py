"""SimulatedPort: a double for tests and simulations, whose jobs take virtual time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from supervisors import limits
from supervisors.errors import PortOverload
from supervisors.future import ERROR, VALUE, Future
from supervisors.ports.bulkhead import OVERLOADED, TIMED_OUT
from supervisors.ports.port import CLOSED_BY_OWNER, Port
from supervisors.ports.worker import answer
from supervisors.timers import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from supervisors.node import Node
    from supervisors.ports.bulkhead import Job


def never() -> Any:
    """Stand in a table for a function that never returns; a SimulatedPort does not call it."""
    raise NotImplementedError("only a SimulatedPort knows how to never return")


@dataclass(frozen=True, slots=True)
class Faults:
    """How often a simulated job goes wrong, each from 0 (never) to 1 (always).

    A job that times out or crashes has done its work in every other case, only its answer is lost,
    as it happens with real workers.
    """

    timeout: float = 0.0
    crash: float = 0.0
    overload: float = 0.0


NO_FAULTS: Final = Faults()


class SimulatedPort(Port):
    """Runs plain functions on the shard's thread, each after a drawn latency of virtual time.

    The functions must not block: they are stand-ins for those of a real port, or its own where they
    only compute. Latency (least and most seconds, drawn evenly) and faults are drawn from the
    node's randomness, so that under a seeded simulated host a run replays. Deadlines run on the
    shard's clock. On other hosts it works as well.
    """

    kind = "simulated"

    def __init__(
        self,
        name: str,
        node: Node,
        functions: Mapping[str, Callable[..., Any]],
        *,
        workers: int = limits.PORT_WORKERS,
        queue_jobs: int = limits.PORT_QUEUE_JOBS,
        frame_bytes: int = limits.PORT_FRAME_BYTES,
        latency_s: tuple[float, float] = (0.001, 0.020),
        restart_s: float = 0.050,
        faults: Faults = NO_FAULTS,
    ) -> None:
        self._shard = node.shard
        super().__init__(
            name,
            workers=workers,
            queue_jobs=queue_jobs,
            frame_bytes=frame_bytes,
            clock=self._shard.host.clock,
        )
        self._draw = node.random.random
        self._functions = functions
        self._latency_s = latency_s
        self._restart_s = restart_s
        self._faults = faults
        self._alive = self._idle = workers
        self._replaced = 0
        self._alarms: dict[int, list[Deadline]] = {}
        self._restarts: set[Deadline] = set()
        self.ready.resolve(VALUE, tuple(sorted(functions)))

    def call(
        self, function: str, /, *args: Any, deadline_s: float = limits.PORT_DEADLINE_S
    ) -> Future[Any]:
        """Run a function as every port does, or be overloaded by chance."""
        if self._draw() >= self._faults.overload:
            return super().call(function, *args, deadline_s=deadline_s)
        self._bulkhead.count(OVERLOADED)
        future: Future[Any] = Future(self._shard)
        told = f"{function} on port {self.name} was not started: overloaded as the simulation drew"
        future.resolve(ERROR, PortOverload(told))
        return future

    def close(self) -> Future[None]:
        """Close the port: calls that are not done get PortClosed."""
        self._shard.run_on_shard(self._let_go)
        return self.ended

    def _let_go(self) -> None:
        for alarms in (*self._alarms.values(), self._restarts):
            for alarm in alarms:
                alarm.cancel()
        self._alarms.clear()
        self._restarts.clear()
        self._alive = self._idle = 0
        self._shut(CLOSED_BY_OWNER)
        self._end(None)

    def _home(self) -> Any:
        return self._shard

    def _worker_statistics(self) -> dict[str, Any]:
        return {"alive": self._alive, "pids": (), "replaced": self._replaced, "lost": 0}

    # -- on the shard's thread -----------------------------------------------------------------

    def _arrived(self, job: Job) -> None:
        self._shard.run_on_shard(lambda: self._accept(job))

    def _accept(self, job: Job) -> None:
        shard = self._shard
        if self._bulkhead.closed is not None:
            return
        if shard.asleep:
            shard.wake()
        deadline = Deadline(shard, max(0.0, job.due_s - shard.now_s()), lambda: self._late(job))
        self._alarms[job.serial] = [deadline]
        self._hand_out()

    def _hand_out(self) -> None:
        while self._idle:
            job = self._bulkhead.take(self)
            if job is None:
                return
            self._idle -= 1
            self._begin(job)

    def _begin(self, job: Job) -> None:
        draw = self._draw
        least_s, most_s = self._latency_s
        latency_s = least_s + (most_s - least_s) * draw()
        stuck, crashes, works = draw() < self._faults.timeout, draw() < self._faults.crash, draw()

        def end() -> None:
            if stuck or crashes:
                if works < 0.5:  # noqa: PLR2004 - every other case
                    self._answer(job)
                if crashes and not stuck:
                    self._crash(job)
            else:
                self._finish(job)

        if self._functions.get(job.function) is not never:
            self._alarms[job.serial].append(Deadline(self._shard, latency_s, end))

    def _answer(self, job: Job) -> bytes | None:
        """Run the function; None if it would have ended its worker."""
        try:
            return answer(self._functions, job.body, self._frame_bytes)
        except SystemExit:
            return None

    def _finish(self, job: Job) -> None:
        body = self._answer(job)
        if body is None:
            self._crash(job)
            return
        self._quiet(job)
        self._idle += 1
        self._settle_by_reply(job, body)
        self._hand_out()

    def _crash(self, job: Job) -> None:
        self._quiet(job)
        self._restart()
        self._settle_crashed(job, "ended as the simulation wanted")

    def _late(self, job: Job) -> None:
        self._quiet(job)
        self._bulkhead.settle(job, TIMED_OUT)
        if job.worker is not None:
            self._restart()
        self._fail_late(job)

    def _quiet(self, job: Job) -> None:
        for alarm in self._alarms.pop(job.serial):
            alarm.cancel()

    def _restart(self) -> None:
        self._alive -= 1

        def restarted() -> None:
            self._restarts.discard(restart)
            self._alive += 1
            self._idle += 1
            self._replaced += 1
            self._hand_out()

        restart = Deadline(self._shard, self._restart_s, restarted)
        self._restarts.add(restart)
