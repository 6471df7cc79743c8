"""Handlers that await: run a coroutine to its next await, park the process, resume it.

A parked process has its coroutine, what it awaits and the message it serves in its `Extras`; its
later messages wait in the mailbox. All functions run on the shard's thread.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from supervisors import ending, starting, turns
from supervisors.errors import ProcessExit, StuckTurn, SupervisorsError
from supervisors.future import ERROR, VALUE, Future
from supervisors.messages import ASK, BEGIN, CALL, SYSTEM, TERMINATE
from supervisors.process import DEAD, DOOMED, PARKED, READY, STARTING, Process
from supervisors.results import SPECIAL

if TYPE_CHECKING:
    from supervisors.shard import Shard

logger = logging.getLogger("supervisors")

PARKED_RESULT: Final = object()
"""What `advance` gives when the coroutine awaits something."""


def conclude(
    shard: Shard, process: Process, kind: int, payload: Any, future: Any, result: Any
) -> None:
    """Treat what a finished coroutine returned as its handler's result."""
    if kind == TERMINATE:
        ending.depart(shard, process, future, payload)
    elif kind == BEGIN:
        starting.answer(shard, process, result)
    elif result.__class__ in SPECIAL:
        turns.act(shard, process, kind, payload, future, result)
    elif future is not None and kind in (CALL, ASK) and process._state < DOOMED:
        future.resolve(VALUE, result)  # Whoever buries a doomed process answers its caller.


def advance(
    shard: Shard, process: Process, coroutine: Any, kind: int, payload: Any, future: Any
) -> Any:
    """Run a coroutine to its next await; gives its result, or parks the process.

    What cannot be awaited here is raised at the await itself, in the handler.
    """
    refusal: SupervisorsError | None = None
    while True:
        try:
            awaited = coroutine.send(None) if refusal is None else coroutine.throw(refusal)
        except StopIteration as stopped:
            return stopped.value
        except ProcessExit:
            raise
        except Exception as error:
            if kind != ASK:
                raise
            give_back(process, future, error)
            return None
        extras = process.extras
        extras.coroutine = coroutine
        extras.kind = kind
        extras.payload = payload
        extras.future = future
        refusal = _await(shard, process, awaited)
        if refusal is None:
            return PARKED_RESULT
        extras.coroutine = extras.awaited = extras.payload = extras.future = None


def _await(shard: Shard, process: Process, awaited: Any) -> SupervisorsError | None:
    """Park a process on what it awaits; gives the error if that can not be awaited here."""
    state = process._state
    if state == DEAD:
        raise StuckTurn  # The turn was abandoned, and has caught the news of it.
    process._ext.awaited = awaited
    if state != DOOMED:
        process._state = PARKED
    try:
        park(shard, process, awaited)
    except SupervisorsError as error:
        process._state = state
        return error
    return None


def park(shard: Shard, process: Process, awaited: Any) -> None:
    """Arrange that the process is resumed when what it awaits has settled.

    Raises WouldDeadlock if only the process itself, or who waits for its init, could settle it,
    and SupervisorsError for what the host cannot await.
    """
    if isinstance(awaited, Future):
        target = awaited._target
        if target is not None and (target._process is process or process._ext.kind == BEGIN):
            shard.refuse_deadlock(target._process)
        if awaited._shard is None:
            awaited._shard = shard
        if awaited._shard is shard and awaited._waiter is None:
            awaited._waiter = process
            if awaited._status and awaited._waiter is process:
                awaited._waiter = None
                _resume_later(shard, process, awaited)
        else:
            awaited.add_done_callback(
                lambda settled: shard.run_on_shard(lambda: shard.resume(process, settled))
            )
    elif awaited is None:
        _resume_later(shard, process, None)
    else:
        shard.host.await_foreign(process, awaited)


def _resume_later(shard: Shard, process: Process, awaited: Any) -> None:
    """Resume after this turn: who is resumed within it would be taken for one that is done."""
    shard.post_from_outside(None, SYSTEM, lambda: shard.resume(process, awaited), None)


def resume(shard: Shard, process: Process) -> Any:
    """Go on with a parked coroutine; None, since `conclude` acts for the message it began with.

    To await the pending answer of another process is what nearly every resumed handler does next,
    so that stands inline.
    """
    extras = process._ext
    coroutine = extras.coroutine
    if extras.kind == BEGIN:
        process._state = STARTING
    try:
        awaited = coroutine.send(None)
    except BaseException as error:  # noqa: BLE001 - blamed on the message that began it
        _finish(shard, process, error)
        return None
    if (
        awaited.__class__ is Future
        and not awaited._status
        and awaited._shard is shard
        and awaited._waiter is None
        and process._state == READY
        and awaited._target is not None
        and awaited._target._process is not process
    ):
        awaited._waiter = process
        extras.awaited = awaited
        process._state = PARKED
        return None
    refusal = _await(shard, process, awaited)
    if refusal is not None:
        _raise_at_await(shard, process, refusal)
    return None


def _raise_at_await(shard: Shard, process: Process, refusal: SupervisorsError) -> None:
    """Raise in a handler that what it awaits cannot be awaited, until it awaits what can."""
    awaiting: SupervisorsError | None = refusal
    while awaiting is not None:
        try:
            awaited = process._ext.coroutine.throw(awaiting)
        except BaseException as error:  # noqa: BLE001 - as in `resume`
            _finish(shard, process, error)
            return
        awaiting = _await(shard, process, awaited)


def _finish(shard: Shard, process: Process, error: BaseException) -> None:
    """Act on the end of a resumed coroutine: its result, or what it raised."""
    if process._state >= DOOMED:
        return  # Whoever buries it answers its caller, who stands in the extras.
    extras = process._ext
    kind, payload, future = extras.kind, extras.payload, extras.future
    extras.coroutine = extras.awaited = extras.payload = extras.future = None
    if isinstance(error, StopIteration):
        conclude(shard, process, kind, payload, future, error.value)
    elif kind == ASK and isinstance(error, Exception):
        give_back(process, future, error)
    else:
        ending.crash(shard, process, kind, payload, future, error)


def give_back(process: Process, future: Any, error: Exception) -> None:
    """Hand the exception of an ask to the asker; the process lives on (Pykka), unless doomed."""
    if process._state >= DOOMED:
        return
    logger.info("Exception returned from %s to caller:", process, exc_info=error)
    future.resolve(ERROR, error)
