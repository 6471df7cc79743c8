"""Starting a process: the synchronous handshake of proc_lib and gen_server.

The starter learns whether init answered ok, ignore or an error before it goes on. A plain init runs
inside the starter's turn, since the starter waits for it anyway; one that awaits, or that is nested
too deep, or any on a host that can take a stuck turn over, gets turns of its own.
"""

from __future__ import annotations

import logging
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from supervisors import ending, fencing, idleness, limits, parking, signals, turns
from supervisors.context import RUNNING
from supervisors.errors import StartError, StuckTurn
from supervisors.future import ERROR, VALUE, Future
from supervisors.messages import BEGIN
from supervisors.process import (
    DEAD,
    DOOMED,
    IDLE,
    LINKED_TO_PARENT,
    READY,
    STARTING,
    Process,
)  # fmt: skip
from supervisors.reasons import KILLED, NOCONNECTION, NORMAL, TIMEOUT
from supervisors.registry import Via
from supervisors.results import IGNORE, Continue, Hibernate, Ignore, Stop, Timeout
from supervisors.timers import patience

if TYPE_CHECKING:
    from supervisors.node import Node
    from supervisors.shard import Shard

logger = logging.getLogger("supervisors")


class Starting:
    """What is kept of a start until its init has answered."""

    __slots__ = ("_status", "args", "future", "kwargs", "process", "reason")

    def __init__(self, process: Process, args: Any, kwargs: Any, future: Any) -> None:
        self.process = process
        self.args = args
        self.kwargs = kwargs
        self.future = future
        self.reason: Any = None
        self._status = 0

    def expire(self) -> None:
        """Give the init up; called by the timer wheel.

        The starter is unlinked first and learns it from its answer alone (OTP: proc_lib).
        """
        process = self.process
        if not self._status and process._state != DEAD:
            self.reason = TIMEOUT
            starter = process._parent
            if starter is not None and starter._state != DEAD:
                signals.unlink(starter, process.ref)
            process._shard.end_by_signal(process, KILLED)


def make(shard: Shard, process_class: type[Process], parent: Process | None) -> Process:
    """Make the bare process object with its identity and nothing else."""
    process = process_class.__new__(process_class)
    process._shard = shard
    process._serial = serial = next(shard.serials)
    process._state = STARTING
    process._flags = 0
    process._queue = None
    process._parent = parent
    process._name = None
    process._ext = None
    process._reductions = 0
    shard.processes[serial] = process
    return process


def spawn(
    shard: Shard,
    process_class: type[Process],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    name: Any = None,
    parent: Process | None = None,
    link: bool = False,
    tracked: bool = False,
    timeout_s: float | None = None,
    inline: bool | None = None,
) -> Any:
    """Start a process on the shard's thread; a supervisor calls it for each child.

    Gives the Process if its init has answered ok, IGNORE if it said so, or a future of one of the
    two. Raises StartError, AlreadyStarted among them; the future fails with the same. `tracked`
    lets a supervisor's child table stand for the link; `inline` says whether init may run in the
    starter's turn, by default as the host wants it.
    """
    process = make(shard, process_class, parent)
    if name is not None:
        if name.__class__ is Via or shard.names.setdefault(name, process) is not process:
            _take_name(shard, name, process)
        else:
            process._name = name
    alive = shard.census.alive
    alive[process_class] = alive.get(process_class, 0) + 1
    if parent is None:
        shard.census.enter_root(process)
    elif link:
        if tracked:
            process._flags = LINKED_TO_PARENT
        else:
            process.link(parent.ref)
    if inline is None:
        inline = shard.host.inline_init
    if not inline or len(shard.stack) >= limits.INIT_INLINE_DEPTH:
        future: Future[Any] = Future(shard, process.ref)
        process.extras.start = Starting(process, args, kwargs, future)
        _arm(shard, process, timeout_s)
        process._state = READY
        shard.runq.append((process, BEGIN, None, None))
        if shard.asleep:
            shard.wake()
        return future
    return _begin_inline(shard, process, args, kwargs, timeout_s)


def _take_name(shard: Shard, name: Any, process: Process) -> None:
    """Register a new process; one that does not get its name never was."""
    try:
        shard.node.registry.add(name, process)
    except Exception as error:
        process._state = DEAD
        process._ext = reason = ending.reason_of(error, shard)
        del shard.processes[process._serial]
        if isinstance(error, StartError):
            raise
        raise StartError(name, reason) from error


def _begin_inline(shard: Shard, process: Process, args: Any, kwargs: Any, timeout_s: Any) -> Any:
    """Run init in the starter's turn, as a nested turn of the new process."""
    before, running, stack = shard.current, RUNNING.shard, shard.stack
    if running is not shard:
        RUNNING.shard = shard
    stack.append(before)
    shard.current = process
    try:
        result = process.begin(args, kwargs)
        if result.__class__ is CoroutineType:
            start = Starting(process, args, kwargs, None)
            process.extras.start = start
            result = parking.advance(shard, process, result, BEGIN, None, None)
            if result is parking.PARKED_RESULT and process._state != DOOMED:
                start.future = Future(shard, process.ref)
                _arm(shard, process, timeout_s)
                return start.future
            process._ext.start = None
    except BaseException as error:
        if shard.stack is not stack:
            raise  # Another thread has the shard; this one leaves the turn.
        reason = ending.reason_of(error, shard)
        fail(shard, process, reason, error)
        raise StartError(process_class_name(process), reason) from None
    finally:
        if shard.stack is stack:
            shard.current = before
            stack.pop()
        if running is not shard:
            RUNNING.shard = running
    if (
        result is None
        and process._state == STARTING
        and process._queue is None
        and process.hibernate_after_s is None
    ):
        if shard.node.observer.listening:
            shard.node.began(process)
        process._state = IDLE
        return process
    return settle(shard, process, result)


def process_class_name(process: Process) -> str:
    """Name a process that may be dead already, for an error text."""
    return type(process).__name__


def _arm(shard: Shard, process: Process, timeout_s: float | None) -> None:
    if timeout_s is not None:
        shard.timers.insert(shard.now_s() + timeout_s, process.extras.start)


def settle(shard: Shard, process: Process, result: Any) -> Any:
    """Act on what init returned: gives the Process or IGNORE, raises StartError."""
    if process._state >= DOOMED:
        fencing.leave(shard)
        try:
            reason = ending.doom_of(shard, process)
        except StuckTurn:
            reason = ending.doom_of(shard, process)
    elif result is None:
        _go(shard, process)
        return process
    elif isinstance(result, Ignore):
        process._flags &= ~LINKED_TO_PARENT
        ending.bury(shard, process, NORMAL)
        return IGNORE
    elif isinstance(result, (Continue, Timeout, Hibernate)):
        process._state = READY
        return _go_then(shard, process, result)
    else:
        reason = result.reason if isinstance(result, Stop) else ("bad_return_value", result)
    fail(shard, process, reason, None)
    raise StartError(process_class_name(process), reason)


def _go(shard: Shard, process: Process) -> None:
    _began(shard, process)
    if process is shard.current:
        process._state = READY
    else:
        turns.make_ready(shard, process)


def _go_then(shard: Shard, process: Process, action: Any) -> Process:
    """Let a started process go, which first has to continue, time out or hibernate."""
    try:
        turns.then(shard, process, action)
    except Exception as error:  # noqa: BLE001 - as any error of init, the starter's answer
        reason = ending.reason_of(error, shard)
        fail(shard, process, reason, error)
        raise StartError(process_class_name(process), reason) from None
    if process._state == READY:
        _go(shard, process)
    else:
        _began(shard, process)
    return process


def _began(shard: Shard, process: Process) -> None:
    if process.hibernate_after_s is not None:
        idleness.hibernate_when_idle(process, process.hibernate_after_s)
    shard.node.began(process)


def begin(shard: Shard, process: Process) -> Any:
    """Run init as a turn of its own; gives a coroutine for the turn to run, or None."""
    start = process._ext.start if process._ext is not None else None
    process._state = STARTING
    result = process.launched() if start is None else process.begin(start.args, start.kwargs)
    if result.__class__ is CoroutineType:
        return result
    answer(shard, process, result)
    return None


def answer(shard: Shard, process: Process, result: Any) -> None:
    """Tell the starter what an init said that ran in turns of its own."""
    if process._state >= DOOMED:
        fencing.leave(shard)
    start = process._ext.start if process._ext is not None else None
    if start is not None:
        process._ext.start = None
        start._status = 1
    try:
        value = settle(shard, process, result)
    except StartError as error:
        if start is not None:
            start.future.resolve(ERROR, error)
    else:
        if start is not None:
            start.future.resolve(VALUE, value)


def fail(shard: Shard, process: Process, reason: Any, error: BaseException | None) -> None:
    """Bury a process whose init failed; its name is free before the starter is told (OTP)."""
    parent = process._parent
    if parent is not None and parent.tracks_children:
        process._flags &= ~LINKED_TO_PARENT
    ending.report_crash(shard, process, reason, error, None)
    ending.bury(shard, process, reason)


def died(process: Process, start: Starting, reason: Any) -> None:
    """Answer a start whose process was killed before its init was done."""
    start._status = 1
    told = start.reason if start.reason is not None else reason
    if start.future is not None:
        start.future.resolve(ERROR, StartError(process_class_name(process), told))


def launch(
    node: Node, process_class: type[Process], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Process:
    """Start as Pykka does: construct in the calling thread, run on_start in a turn."""
    shard = node.shard
    process = make(shard, process_class, None)
    try:
        fencing.refuse(shard, process, process_class)
        process.__init__(*args, **kwargs)  # type: ignore[misc]
        fencing.leave(shard)
    except BaseException:
        process._state = DEAD
        del shard.processes[process._serial]
        raise
    logger.debug("Starting %s", process)

    def enqueue() -> None:
        alive = shard.census.alive
        alive[process_class] = alive.get(process_class, 0) + 1
        shard.census.enter_root(process)
        if process._state == STARTING:
            process._state = READY
            shard.runq.append((process, BEGIN, None, None))
            if shard.asleep:
                shard.wake()

    def never() -> None:
        process._state = DEAD
        process._ext = NOCONNECTION
        shard.processes.pop(process._serial, None)

    shard.run_on_shard(enqueue, never)
    return process


def start_future(
    shard: Shard, process_class: type[Process], args: Any, kwargs: Any, **options: Any
) -> Future[Any]:
    """Start with the handshake from any thread; the future's value is the new ref."""
    hash(options.get("name"))  # A name that no table can hold is refused here, where it is given.
    wanted: Any = process_class
    if not (isinstance(wanted, type) and issubclass(wanted, Process)):
        raise TypeError(f"{process_class!r} is no Process class: only those can be started")
    fencing.refuse(shard, process_class.__name__, args)
    options["timeout_s"] = patience(options.get("timeout_s"))
    future: Future[Any] = Future(shard)

    def told(value: Any) -> None:
        if value is IGNORE:
            ignored = StartError(process_class.__name__, "ignore", ignored=True)
            future.resolve(ERROR, ignored)
        else:
            future.resolve(VALUE, value.ref)

    def told_later(spawned: Future[Any]) -> None:
        try:
            told(spawned.result())
        except StartError as error:
            future.resolve(ERROR, error)

    def begin_start() -> None:
        try:
            spawned = spawn(shard, process_class, args, kwargs, **options)
        except Exception as error:  # noqa: BLE001 - whatever is wrong, it is the starter's to know
            future.resolve(ERROR, error)
            return
        if isinstance(spawned, Future):
            future._target = spawned._target
            spawned.add_done_callback(told_later)
        else:
            told(spawned)

    def refused() -> None:
        future.resolve(ERROR, StartError(process_class.__name__, NOCONNECTION))

    shard.run_on_shard(begin_start, refused)
    return future
