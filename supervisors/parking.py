"""Handlers that await: run a coroutine to its next await, park the process, resume it.

A parked process has its coroutine, what it awaits and the message it serves in its `Extras`; its
later messages wait in the mailbox. All functions run on the shard's thread.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from supervisors import ending, starting, turns
from supervisors.errors import ProcessExit, SupervisorsError
from supervisors.future import ERROR, VALUE, Future
from supervisors.messages import ASK, BEGIN, CALL, SYSTEM, TERMINATE
from supervisors.process import DOOMED, PARKED, STARTING, Process
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
        ending.bury(shard, process, payload)
    elif kind == BEGIN:
        starting.answer(shard, process, result)
    elif result.__class__ in SPECIAL:
        turns.act(shard, process, kind, payload, future, result)
    elif future is not None and kind in (CALL, ASK):
        future.resolve(VALUE, result)


def advance(  # noqa: C901 - the common await stands inline
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
        extras = process._ext
        if extras is None:
            extras = process.extras
        extras.coroutine = coroutine
        extras.awaited = awaited
        extras.kind = kind
        extras.payload = payload
        extras.future = future
        state = process._state
        if state != DOOMED:
            process._state = PARKED
        if (
            awaited.__class__ is Future
            and not awaited._status
            and awaited._shard is shard
            and awaited._waiter is None
            and kind != BEGIN
            and awaited._target is not None
            and awaited._target._process is not process
        ):
            awaited._waiter = process
            return PARKED_RESULT
        try:
            park(shard, process, awaited)
        except SupervisorsError as error:
            refusal = error
            extras.coroutine = extras.awaited = extras.payload = extras.future = None
            process._state = state
        else:
            return PARKED_RESULT


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
    """Go on with a parked coroutine; None, since `conclude` acts for the message it began with."""
    extras = process._ext
    coroutine, kind = extras.coroutine, extras.kind
    payload, future = extras.payload, extras.future
    extras.coroutine = extras.awaited = None
    if kind == BEGIN:
        process._state = STARTING
    try:
        result = advance(shard, process, coroutine, kind, payload, future)
    except BaseException as error:  # noqa: BLE001 - blamed on the message that began it
        extras.payload = extras.future = None
        ending.crash(shard, process, kind, payload, future, error)
        return None
    if result is not PARKED_RESULT:
        extras.payload = extras.future = None
        conclude(shard, process, kind, payload, future, result)
    return None


def give_back(process: Process, future: Any, error: Exception) -> None:
    """Hand the exception of an ask to the asker; the process lives on (Pykka)."""
    logger.info("Exception returned from %s to caller:", process, exc_info=error)
    future.resolve(ERROR, error)
