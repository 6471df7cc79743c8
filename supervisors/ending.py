"""Ending a process: stop, crash, kill, and what everyone who cared gets to know."""

from __future__ import annotations

from types import CoroutineType
from typing import TYPE_CHECKING, Any

import pykka

from supervisors import limits, parking, starting
from supervisors._pykka import ActorStop
from supervisors.context import RUNNING
from supervisors.errors import CallExit, ProcessExit, StuckTurn, SupervisorsError
from supervisors.future import ERROR, VALUE, Future
from supervisors.messages import ASK, BEGIN, TERMINATE
from supervisors.process import ARMS_TIMERS, DEAD, DOOMED, LINKED_TO_PARENT, Process
from supervisors.reasons import NOPROC, STUCK, Crash, is_orderly, means
from supervisors.ref import Ref
from supervisors.signals import linked_exit

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterator

    from supervisors.shard import Shard


def reason_of(error: BaseException, shard: Shard) -> Any:
    """Turn what a handler raised into an exit reason."""
    if isinstance(error, ProcessExit):
        return error.reason
    if isinstance(error, StuckTurn):
        with shard.injection:
            shard.stuck = None
        return STUCK
    if isinstance(error, KeyboardInterrupt):
        shard.interrupt = error
    if isinstance(error, CallExit):
        return error.reason if is_orderly(error.reason) else Crash.of(error)
    return Crash.of(error)


def crash(
    shard: Shard, process: Process, kind: int, payload: Any, future: Any, error: BaseException
) -> None:
    """End a process whose handler raised, as gen_server does: report, terminate, bury.

    One that is doomed, before or meanwhile, is left to whoever doomed it.
    """
    try:
        if process._state < DOOMED:
            _crash(shard, process, kind, payload, future, error)
    except StuckTurn:
        if process._state < DOOMED:
            raise


def _crash(
    shard: Shard, process: Process, kind: int, payload: Any, future: Any, error: BaseException
) -> None:
    trace = error.__traceback__
    reason = reason_of(error, shard)
    if kind == BEGIN:
        start = process._ext.start if process._ext is not None else None
        if start is not None:
            process._ext.start = None
        starting.fail(shard, process, reason, error)
        if start is not None:
            starting.died(process, start, reason)
        return
    report_crash(shard, process, reason, error, payload)
    if kind == TERMINATE:
        depart(shard, process, future, reason)
        return
    error.__traceback__ = trace  # on_failure gets it whole; nobody keeps it longer
    stop(shard, process, reason, future, reported=True)
    error.__traceback__ = None


def stop(
    shard: Shard, process: Process, reason: Any, future: Any = None, *, reported: bool = False
) -> None:
    """End a process in order: its terminate(reason) runs, then it is buried.

    Called in the process's own turn, whose end buries it if it is doomed while it terminates.
    `future` is the call being handled, whose caller learns the reason, or gets the reply that its
    `Stop` had: when terminate is done, also if that fails (OTP: gen_server).
    """
    if not reported and not is_orderly(reason):
        report_crash(shard, process, reason, None, None)
    if future is not None:
        process.extras.future = future  # Whoever buries the process answers it.
    try:
        result = process.terminate(reason)
        if result.__class__ is CoroutineType:
            advanced = parking.advance(shard, process, result, TERMINATE, reason, future)
            if advanced is parking.PARKED_RESULT:
                return
    except BaseException as error:  # noqa: BLE001 - a failing terminate gives the reason (OTP)
        if process._state < DOOMED:
            reason = reason_of(error, shard)
            report_crash(shard, process, reason, error, None)
    depart(shard, process, future, reason)


def depart(shard: Shard, process: Process, future: Any, reason: Any) -> None:
    """Answer the call that ended a process, whose terminate is done, and bury it.

    Unless it is doomed by now: then it has another reason, and its caller no reply.
    """
    if process._state >= DOOMED:
        return
    if future is not None and process._ext is not None:
        parting = process._ext.parting
        if parting is not None:
            future.resolve(VALUE, parting[0])
    _settle_current(process, future, reason)
    bury(shard, process, reason)


def _settle_current(process: Process, future: Any, reason: Any) -> None:
    if future is not None and not future.done():
        future.resolve(ERROR, CallExit(process.ref, reason))


def carry_out_doom(shard: Shard, process: Process) -> None:
    """Bury a process that was killed, or given up by the watchdog, while its code was running."""
    if process._state == DOOMED:
        reason = doom_of(shard, process)
        if means(reason, STUCK):
            give_up(shard, process)
        else:
            _settle_serving(shard, process, reason)
            bury(shard, process, reason)


def doom_of(shard: Shard, process: Process) -> Any:
    """Say why a doomed process must die.

    The watchdog raises StuckTurn into this thread under the lock: whoever has had the lock has
    also had the exception, and callers catch it.
    """
    if shard.stuck is not process:
        return process._ext.doom if process._ext is not None else STUCK
    with shard.injection:
        shard.stuck = None
    return STUCK


def give_up(shard: Shard, process: Process) -> None:
    """Bury a process whose turn the watchdog abandoned, and answer the call it was serving.

    None of its own code runs here, which might be stuck again where nobody looks.
    """
    if process._state == DEAD:
        return
    shard.node.reports.crash(process, STUCK, None, None, inside=False)
    _settle_serving(shard, process, STUCK)
    bury(shard, process, STUCK)


def _settle_serving(shard: Shard, process: Process, reason: Any) -> None:
    serving, shard.serving = shard.serving, None
    if serving is None or serving._target is None or serving._target._process is not process:
        return
    serving.resolve(ERROR, CallExit(process.ref, reason))


def bury(shard: Shard, process: Process, reason: Any) -> None:
    """Make a process dead and tell links, monitors, callers, names and groups.

    Runs on the shard's thread while none of the process's code is on the stack. Exits it causes
    are worked off in a queue, so that a chain of links of any length needs no recursion.
    """
    if process._state == DEAD:
        return
    extras = process._ext
    process._state = DEAD
    process._ext = reason
    del shard.processes[process._serial]
    shard.census.leave(process)
    if process._flags & ARMS_TIMERS:
        shard.timers.stale += 1
    node = shard.node
    if process._name is not None:
        node.registry.forget(process)
    dying = shard.dying
    outermost = not dying
    _queue_exits(dying, process, extras, reason)
    if node.observer.listening:
        node.ended(process, reason)
    if process._queue is not None:
        _discard_mailbox(shard, process)
    if outermost:
        _send_exits(dying)
    if extras is not None:
        _settle_extras(shard, process, extras, reason)


def _queue_exits(
    dying: deque[tuple[Any, Process, Any]], process: Process, extras: Any, reason: Any
) -> None:
    """Line up everyone linked to a dead process, in the order in which they will hear of it."""
    parent = process._parent
    process._parent = None
    linked_parent = parent if process._flags & LINKED_TO_PARENT else None
    if process.tracks_children:
        for peer in process.linked(linked_parent):
            # A child may have undone its link; one that was adopted stands in `links`.
            if peer is linked_parent or (
                peer._flags & LINKED_TO_PARENT and peer._parent is process
            ):
                dying.append((peer, process, reason))
    elif linked_parent is not None:
        dying.append((linked_parent, process, reason))
    if extras is not None and extras.links:
        for peer in extras.links:
            dying.append((peer, process, reason))


def _send_exits(dying: deque[tuple[Any, Process, Any]]) -> None:
    """Tell the links, before the monitors and callers of the first to die hear of it (ERTS)."""
    while dying:
        target, dead, why = dying[0]
        if isinstance(target, Ref):
            target.remote_exit(dead, why)  # type: ignore[attr-defined]
        else:
            linked_exit(target, dead, why)
        dying.popleft()


def _discard_mailbox(shard: Shard, process: Process) -> None:
    queue = process._queue
    process._queue = None
    while queue:
        kind, payload, future = queue.popleft()
        shard.discard(process, kind, payload, future, "ended")


def _settle_extras(  # noqa: C901 - as `bury`
    shard: Shard, process: Process, extras: Any, reason: Any
) -> None:
    if extras.start is not None:
        starting.died(process, extras.start, reason)
    if extras.timer is not None:
        extras.timer.cancel()
    if extras.idle is not None:
        extras.idle.cancel()
    if extras.groups:
        shard.node.groups.forget(process, extras.groups)
    for watcher in extras.watchers or ():
        watcher.fire(process.ref, reason)
    for made, peer in (extras.watching or {}).items():
        made.watcher = None
        if isinstance(peer, Ref):
            peer.remote_demonitor(process, made)  # type: ignore[attr-defined]
        elif peer._state != DEAD and peer._ext is not None and peer._ext.watchers:
            peer._ext.watchers.pop(made, None)
    _settle_current(process, extras.future, reason)
    for caller in tuple(extras.deferred or ()):
        _settle_current(process, caller, reason)
    if extras.stop_future is not None:
        extras.stop_future.resolve(VALUE, None)
    if extras.coroutine is not None:
        # Last: it runs the user's clean-up, which finds a process that is dead for everyone.
        _close(shard, process, extras.coroutine, extras.awaited)


def _close(shard: Shard, process: Process, coroutine: Any, awaited: Any) -> None:
    """Unwind a parked coroutine; what it raises meanwhile is reported, not lost.

    Its clean-up is the dead process's own code, within the turn of whoever ended it.
    """
    if isinstance(awaited, Future):
        if awaited._waiter is process:
            awaited._waiter = None
    elif awaited is not None:
        awaited.cancel()
    if coroutine.cr_running:
        return  # on the stack of an abandoned thread, which unwinds it
    before, running = shard.current, RUNNING.shard
    shard.stack.append(before)
    shard.current, RUNNING.shard = process, shard
    try:
        error = _unwind(process, coroutine)
    finally:
        shard.current, RUNNING.shard = before, running
        shard.stack.pop()
    if error is not None:
        report_crash(shard, process, reason_of(error, shard), error, None)


def _unwind(process: Process, coroutine: Any) -> BaseException | None:
    """Close a coroutine; gives what its clean-up raised, or that it awaited, which nobody can."""
    told: BaseException | None = None
    for _ in range(limits.CLEAN_UP_AWAITS):
        chain = tuple(_awaiting(coroutine))
        try:
            coroutine.close()
        except BaseException as error:  # noqa: BLE001 - the process is dead already
            suspended = [one for one in chain if _frame(one) is not None]
            if not suspended:
                return error if told is None else told
            coroutine = suspended[0]
            told = SupervisorsError(
                f"{process} awaited in the clean-up of a handler when it had been ended; "
                "clean up without awaiting, or in terminate"
            )
        else:
            break
    return told


def _awaiting(coroutine: Any) -> Iterator[Any]:
    """Give a coroutine and what it awaits, and so on inwards, as far as they can be closed."""
    while _frame(coroutine) is not None:
        yield coroutine
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)


def _frame(coroutine: Any) -> Any:
    """Give the frame of a coroutine or a generator, None of one that is done or is neither."""
    return getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)


def answer_discarded(process: Process, kind: int, payload: Any, future: Any, why: str) -> None:
    """Answer a request that no one will handle: the caller learns why."""
    if kind == ASK:
        if payload.__class__ is ActorStop and why == "ended":
            future.resolve(VALUE, None)
        else:
            message = f"{process} stopped before handling the message"
            future.resolve(ERROR, pykka.ActorDeadError(message))
    else:
        reason = process.exit_reason if why == "ended" else NOPROC
        future.resolve(ERROR, CallExit(process.ref, reason))


def report_crash(
    shard: Shard, process: Process, reason: Any, error: BaseException | None, message: Any
) -> None:
    """Report an end that is not orderly (proc_lib's crash report with gen_server's fields)."""
    if not is_orderly(reason):
        shard.node.reports.crash(process, reason, error, message)
