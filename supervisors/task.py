"""Tasks: functions run as supervised processes, one each (after Elixir's Task and Task.Supervisor).

A task is for work that awaits: calls, sleeps, ports. A function that computes or blocks holds the
shard as any handler does; that belongs behind a port.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NamedTuple

from supervisors import context, limits, signals
from supervisors.child import SIMPLE_ONE_FOR_ONE, TEMPORARY, ChildSpec, Flags
from supervisors.dynamic_supervisor import DynamicSupervisor
from supervisors.errors import (
    CallExit,
    CallTimeout,
    ChildError,
    NotLocal,
    SupervisorsError,
    TaskOverload,
)
from supervisors.future import ERROR, VALUE, Future
from supervisors.gen_server import GenServer
from supervisors.process import DOOMED, Process
from supervisors.reasons import NORMAL, Shutdown
from supervisors.ref import Ref
from supervisors.requests import start_child
from supervisors.results import IGNORE, Continue, Ignore, Stop
from supervisors.timers import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

OWNER_ENDED = Shutdown("owner_ended")
"""Why a task ends whose stream lost its reader."""
TIMED_OUT = Shutdown("timeout")
"""Why a task ends that ran past its own limit."""


class Job:
    """What one task is to do and for whom; made by the functions below, read by the task."""

    __slots__ = ("answer", "args", "function", "kwargs", "linked", "owner", "process", "timeout_s")

    def __init__(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.answer: Future[Any] | None = None
        self.owner: Process | None = None
        self.linked = False
        self.timeout_s: float | None = None
        self.process: Process | None = None


class _Tie(signals.Monitor):
    """Ends a task in order when its owner ends, and does nothing to the owner."""

    __slots__ = ()

    def fire(self, process: Any, reason: Any) -> None:
        del reason
        task, self.watcher = self.watcher, None
        if task is not None:
            signals.exit_signal(task, process, OWNER_ENDED, by_link=False)


class Task(GenServer):
    """The process of one task; `this_task()` gives it to the function that it runs."""

    def init(self, job: Job, *, graceful: bool = False) -> Continue | Ignore:
        """Bind the task to who waits for it; the function runs after the start was answered."""
        self.trap_exit = graceful
        job.process = self
        answer, owner = job.answer, job.owner
        if answer is not None:
            if answer.done():
                return IGNORE  # Nobody waits any more.
            self.extras.deferred = waiting = {answer}  # They get CallExit if the task ends first.
            answer.add_done_callback(waiting.discard)
            if job.timeout_s is not None:
                self._limit(job, answer, job.timeout_s)
        if owner is not None and job.linked:
            self.link(owner.ref)
        elif owner is not None:
            tie = _Tie(self, owner.ref)
            signals.watching(self)[tie] = owner
            signals.watch_end(owner, tie)
        return Continue(job)

    def _limit(self, job: Job, answer: Future[Any], timeout_s: float) -> None:
        shard = self._shard

        def cut() -> None:
            if answer.resolve(ERROR, CallTimeout(f"{self} ({job.function!r})", timeout_s)):
                self._unlink_owner(job)
                shard.end_by_signal(self, TIMED_OUT)

        deadline = Deadline(shard, timeout_s, cut)
        answer.add_done_callback(lambda _: deadline.cancel())

    async def handle_continue(self, job: Job) -> Stop:
        """Run the function and hand its result over."""
        value = job.function(*job.args, **job.kwargs)
        if inspect.isawaitable(value):
            value = await value
        if self._state >= DOOMED:
            return Stop(NORMAL)  # It was killed or given up meanwhile; whoever waits is told that.
        self._unlink_owner(job)
        if job.answer is not None:
            job.answer.resolve(VALUE, value)
        return Stop(NORMAL)

    def _unlink_owner(self, job: Job) -> None:
        """Spare an owner that traps exits the news of an end that its future tells anyway."""
        if job.owner is not None and job.linked:
            self.unlink(job.owner.ref)

    def handle_exit(self, sender: Any, reason: Any) -> None:
        """Go on: a graceful task finishes its work whoever else ends."""


def this_task() -> Task:
    """Give the task whose function is running, so that the function can sleep or start others.

    Raises SupervisorsError outside of tasks.
    """
    shard = context.running_shard()
    task = shard.current if shard is not None else None
    if not isinstance(task, Task):
        raise SupervisorsError(f"{task or 'this thread'} runs no task: call it in a task")
    return task


class TaskSupervisor(DynamicSupervisor):
    """Supervises tasks, by default temporary ones: never run again.

    `max_tasks` bounds how many run at once, more are refused with TaskOverload. `restart` may be
    TRANSIENT for tasks of `start_task` that are to be run again when they crash, within the
    intensity of `flags`. At the supervisor's end `shutdown` is what a child spec's is: tasks end at
    once, `graceful` ones have those milliseconds to finish.
    """

    max_tasks: int | None

    def init(  # type: ignore[override]
        self,
        *,
        max_tasks: int | None = None,
        restart: str = TEMPORARY,
        shutdown: int | str = limits.SHUTDOWN_WORKER_MS,
        graceful: bool = False,
        flags: Flags | None = None,
    ) -> Any:
        """Give the flags and the one spec of all tasks."""
        if max_tasks is not None and max_tasks < 1:
            raise ValueError(f"max_tasks={max_tasks} must be at least 1, or None for no bound")
        self.max_tasks = max_tasks
        spec = ChildSpec(
            "task", (Task, (), {"graceful": graceful}), restart=restart, shutdown=shutdown
        )
        return flags if flags is not None else Flags(strategy=SIMPLE_ONE_FOR_ONE), [spec]

    def on_start_child(self, *args: Any) -> Any:
        """Start one task; called by the functions of this module."""
        if len(args) != 1 or not isinstance(args[0], Job):
            raise ChildError("start_child", args, "no_task: use start_task or run_task")
        (job,) = args
        if self.max_tasks is not None and self.count_tasks() >= self.max_tasks:
            raise TaskOverload(self.ref, self.max_tasks)
        if job.answer is not None and self.spec.restart != TEMPORARY:
            raise ChildError("run_task", job.function, "not_temporary: it could answer twice")
        return super().on_start_child(job)

    def count_tasks(self) -> int:
        """Count the tasks that run or wait for their next run."""
        return len(self._children) + len(self._restarting) + len(self._backing)


def start_task(
    supervisor: Any, function: Callable[..., Any], *args: Any, **kwargs: Any
) -> Future[Ref[Task]]:
    """Run a plain or async function as a task whose result nobody waits for.

    Gives a future of the task's ref, for `terminate_child`. It fails with TaskOverload. From any
    thread; the supervisor may be named.
    """
    return start_child(_address(supervisor), Job(function, args, kwargs))


def run_task(
    supervisor: Any,
    function: Callable[..., Any],
    *args: Any,
    timeout_s: float | None = None,
    **kwargs: Any,
) -> Future[Any]:
    """Run a function as a task linked to the calling process; gives a future of its result.

    If the task crashes so does the caller, unless it traps exits; if the caller ends so does the
    task. The future fails with CallExit(reason) of a crash, with CallTimeout after `timeout_s`,
    when the task is ended, and with TaskOverload. Raises SupervisorsError outside of handlers. For
    a function that itself has a `timeout_s` use functools.partial.
    """
    shard = context.running_shard()
    owner = shard.current if shard is not None else None
    if owner is None:
        raise SupervisorsError(
            "run_task links the task to the process that runs it; outside of handlers use "
            "run_task_nolink"
        )
    job = Job(function, args, kwargs)
    job.owner, job.linked, job.timeout_s = owner, True, timeout_s
    return _run(supervisor, job)


def run_task_nolink(
    supervisor: Any,
    function: Callable[..., Any],
    *args: Any,
    timeout_s: float | None = None,
    **kwargs: Any,
) -> Future[Any]:
    """As `run_task`, but neither end of one is the other's: the future alone tells of a crash."""
    job = Job(function, args, kwargs)
    job.timeout_s = timeout_s
    return _run(supervisor, job)


def _address(supervisor: Any) -> Ref[Any]:
    ref = supervisor if isinstance(supervisor, Ref) else Process.node_here().address(supervisor)
    if ref._process is None:
        raise NotLocal(f"{ref} is on another node, where this function is not: start it there")
    return ref


def _run(supervisor: Any, job: Job) -> Future[Any]:
    ref = _address(supervisor)
    shard = ref._process._shard
    if job.owner is not None and job.owner._shard is not shard:
        raise NotLocal(f"{ref} runs on another node than {job.owner}: use run_task_nolink")
    answer: Future[Any] = Future(shard)
    job.answer = answer

    def refused(started: Future[Any]) -> None:
        try:
            started.result()
        except Exception as error:  # noqa: BLE001 - whatever it is, who waits is told
            answer.resolve(ERROR, error)

    start_child(ref, job).add_done_callback(refused)
    return answer


class Outcome(NamedTuple):
    """What became of one item of a stream: `value`, or the `error` that its task failed with."""

    item: Any
    value: Any
    error: Exception | None

    def get(self) -> Any:
        """Give the value or raise the error."""
        if self.error is not None:
            raise self.error
        return self.value


class TaskStream:
    """The outcomes of a function over many items, a bounded number of tasks at a time.

    Made by `stream_tasks` and read by `async for` in one handler. The tasks end with the process
    that reads them; a task that crashes does it no harm. `close` ends those that still run.
    """

    def __init__(
        self, supervisor: Any, jobs: Iterable[tuple[Any, Job]], width: int, *, ordered: bool
    ) -> None:
        self._supervisor = supervisor
        self._jobs = iter(jobs)
        self._width = width
        self._ordered = ordered
        self._running: dict[Job, Any] = {}
        self._bell: Future[None] | None = None

    def __aiter__(self) -> TaskStream:
        return self

    async def __anext__(self) -> Outcome:
        self._fill()
        if not self._running:
            raise StopAsyncIteration
        job = next(iter(self._running)) if self._ordered else await self._first_done()
        item, value, error = self._running[job], None, None
        assert job.answer is not None
        try:
            value = await job.answer
        except Exception as failed:  # noqa: BLE001 - the outcome carries it
            error = failed
        del self._running[job]
        return Outcome(item, value, error)

    def close(self) -> None:
        """End the tasks that still run and take no more items; on the reader's own shard."""
        self._jobs = iter(())
        for job in self._running:
            assert job.answer is not None
            job.answer.resolve(ERROR, CallExit(job.function, OWNER_ENDED))
            if job.process is not None:
                job.process.ref.exit(OWNER_ENDED)
        self._running.clear()

    def _fill(self) -> None:
        while len(self._running) < self._width:
            found = next(self._jobs, None)
            if found is None:
                return
            item, job = found
            answer = _run(self._supervisor, job)
            self._running[job] = item
            answer.add_done_callback(self._ring)

    def _ring(self, _: Any) -> None:
        if self._bell is not None:
            self._bell.resolve(VALUE, None)

    async def _first_done(self) -> Job:
        while True:
            for job in self._running:
                if job.answer is not None and job.answer.done():
                    return job
            self._bell = Future()
            await self._bell


def stream_tasks(
    supervisor: Any,
    function: Callable[..., Any],
    items: Iterable[Any],
    *,
    max_concurrency: int = limits.STREAM_TASKS,
    timeout_s: float | None = None,
    ordered: bool = True,
) -> TaskStream:
    """Run `function(item)` as a task for each item, at most `max_concurrency` at a time.

    Gives an `Outcome` for each, in the order of the items or, with `ordered=False`, as they come.
    Items are taken as tasks are free, so their source may be endless. Each task has `timeout_s`
    of its own. Use it in a handler: `async for outcome in stream_tasks(...)`. Raises ValueError.
    """
    if max_concurrency < 1:
        raise ValueError(f"max_concurrency={max_concurrency} must be at least 1")
    shard = context.running_shard()
    owner = shard.current if shard is not None else None
    if owner is None:
        raise SupervisorsError("a stream of tasks ends with its reader: read it in a handler")

    def jobs() -> Iterable[tuple[Any, Job]]:
        for item in items:
            job = Job(function, (item,), {})
            job.owner, job.timeout_s = owner, timeout_s
            yield item, job

    return TaskStream(supervisor, jobs(), max_concurrency, ordered=ordered)
