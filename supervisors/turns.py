"""One turn of a process: dispatch a message and act on the handler's result."""

from __future__ import annotations

import logging
from collections import deque
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from supervisors import ending, limits, parking, resting, starting
from supervisors._pykka import PYKKA_MESSAGES, ActorStop, ProxyCall, ProxyGetAttr
from supervisors.errors import ProcessExit, StuckTurn
from supervisors.future import ERROR, VALUE, Future
from supervisors.messages import (
    ASK,
    BEGIN,
    CALL,
    CAST,
    CONTINUE,
    EXIT,
    INFO,
    PYKKA,
    RESUME,
    STEP,
    SYSTEM,
    WAKE,
)  # fmt: skip
from supervisors.process import (
    DEAD,
    DOOMED,
    HIBERNATED,
    IDLE,
    READY,
    SUSPENDED,
    TIMED,
    Process,
)  # fmt: skip
from supervisors.reasons import NORMAL
from supervisors.results import (
    NOTHING,
    SPECIAL,
    TIMEOUT_MESSAGE,
    Continue,
    NoReply,
    Reply,
    Stop,
    Timeout,
)  # fmt: skip

if TYPE_CHECKING:
    from supervisors.shard import Shard

logger = logging.getLogger("supervisors")

_PER_TURN = limits.MESSAGES_PER_TURN
_PER_LOOK = limits.MESSAGES_PER_CLOCK_CHECK
_FIRST_LOOK = limits.MESSAGES_BEFORE_CLOCK_CHECK
_LOOK_S = limits.SLICE_S / 4


def run(  # noqa: C901, PLR0912 - the hot loop: a call for each part would cost more than it does
    shard: Shard, max_turns: int, until_s: float | None
) -> None:
    """Run turns of ready processes, oldest first, within the bounds; with `_turn` the hot loop.

    Everything that every message touches stands in these two functions, inline: a call costs a
    tenth of a message here. With a meter, messages are tallied by runs of turns of one class.
    """
    runq = shard.runq
    popleft = runq.popleft
    clock = shard.host.clock
    meter = shard.meter
    timed_at = -1 if meter is None else max_turns - meter.turns_to_go
    tallied: Any = None
    tallied_count, unseen, began_s = 0, 0, 0.0
    epoch = shard.epoch
    _pace(shard, until_s)
    while runq and max_turns > 0:
        if shard.shuffle is not None:
            shard.shuffle(runq)
        process, kind, payload, future = popleft()
        if process._state != READY:
            _put_off(shard, process, kind, payload, future)
            continue
        max_turns -= 1
        shard.current = process
        if max_turns == timed_at:
            began_s = clock()
        handled = _turn(shard, process, kind, payload, future)
        if shard.epoch != epoch:
            return
        process._reductions += handled
        if meter is not None:
            if process.__class__ is tallied:
                tallied_count += handled
            else:
                _tally(shard, tallied, tallied_count)
                tallied, tallied_count = process.__class__, handled
            if max_turns == timed_at:
                meter.samples.append((tallied, clock() - began_s, handled))
                timed_at -= meter.gap()
        if until_s is not None:
            unseen += handled
            if unseen >= shard.per_look:
                before_s, shard.now = shard.now, clock()
                took_s = shard.now - before_s
                shard.per_look = _PER_LOOK if took_s <= _LOOK_S else _slow(shard, unseen, took_s)
                if shard.now >= until_s:
                    break
                unseen = 0
    shard.current = None
    if meter is not None:
        meter.ran(max_turns - timed_at)
        _tally(shard, tallied, tallied_count)
    _interrupt(shard)


def _interrupt(shard: Shard) -> None:
    """Raise the KeyboardInterrupt that ended a process to whoever runs the host."""
    if shard.interrupt is not None:
        interrupt, shard.interrupt = shard.interrupt, None
        raise interrupt


def _pace(shard: Shard, until_s: float | None) -> None:
    """Begin a slice with short distances between looks at the clock: what it brings may be slow."""
    shard.until_s = until_s
    shard.stride = _PER_TURN if until_s is None else min(shard.stride, _FIRST_LOOK)
    shard.per_look = min(shard.per_look, _FIRST_LOOK)


def _is_late(shard: Shard) -> bool:
    """Look at the clock within a turn; tell whether the slice is over.

    The distance of the looks doubles while messages are fast, so that those pay nothing.
    """
    before_s, shard.now = shard.now, shard.host.clock()
    took_s = shard.now - before_s
    if took_s > _LOOK_S:
        shard.per_look = _slow(shard, shard.stride, took_s)
    elif took_s * 4 <= _LOOK_S:
        shard.stride *= 2
    return shard.until_s is not None and shard.now >= shard.until_s


def _slow(shard: Shard, messages: int, took_s: float) -> int:
    """Say how many of such slow messages may go between two looks at the clock."""
    shard.stride = max(1, int(messages * _LOOK_S / took_s))
    return min(shard.stride, _PER_LOOK)


def _tally(shard: Shard, process_class: Any, messages: int) -> None:
    """Count messages handled by a class."""
    if process_class is not None:
        shard.tally[process_class] = shard.tally.get(process_class, 0) + messages


def _turn(  # noqa: C901, PLR0912 - the hot loop, as `run`
    shard: Shard, process: Process, kind: int, payload: Any, future: Any
) -> int:
    """Let a process handle a message and what waits behind it, up to the bound; gives how many."""
    handled = 1
    bound = shard.stride
    epoch = shard.epoch
    try:
        while True:
            if kind == CAST:
                result = process.handle_cast(payload)
            elif kind == CALL:
                shard.serving = future
                result = process.handle_call(payload, future)
                if result.__class__ not in SPECIAL and process._state < DOOMED:
                    future.resolve(VALUE, result)
                    result = None
            elif kind == INFO:
                result = process.handle_info(payload)
            elif kind == RESUME:
                result = parking.resume(shard, process)
            else:
                result = serve(shard, process, kind, payload, future)
            if result is not None and result.__class__ in SPECIAL:
                act(shard, process, kind, payload, future, result)
            if process._state != READY:
                break
            queue = process._queue
            if queue is None:
                process._state = IDLE
                break
            if handled >= bound:
                if handled >= _PER_TURN or _is_late(shard):
                    make_ready(shard, process)
                    break
                bound = min(handled + shard.stride, _PER_TURN)
            kind, payload, future = queue.popleft()
            if not queue:
                process._queue = None
            handled += 1
    except BaseException as error:  # noqa: BLE001 - any of them ends this process, not others
        if shard.epoch == epoch:
            ending.crash(shard, process, kind, payload, future, error)
    # The end of the turn first: the watchdog must not take it for one that still runs.
    shard.turns += 1
    if process._state >= DOOMED and shard.epoch == epoch:
        try:
            ending.carry_out_doom(shard, process)
        except StuckTurn:
            ending.carry_out_doom(shard, process)
    return handled


def _put_off(shard: Shard, process: Process, kind: int, payload: Any, future: Any) -> None:
    """Keep or discard a message that came up while its process may not run."""
    if process._state == DEAD:
        shard.discard(process, kind, payload, future)
        return
    hold_back(process, kind, payload, future)
    if process._state == DOOMED:
        shard.turns += 1
        ending.carry_out_doom(shard, process)


def serve(  # noqa: PLR0911 - one return a kind
    shard: Shard, process: Process, kind: int, payload: Any, future: Any
) -> Any:
    """Dispatch the message kinds that are not hot; gives the handler's result."""
    if kind == ASK:
        return _serve_ask(shard, process, payload, future)
    if kind == EXIT:
        sender, reason = payload
        if sender is not None and sender._process is process._parent is not None:
            ending.stop(shard, process, reason)
            return None
        return process.handle_exit(sender, reason)
    if kind == CONTINUE:
        return process.handle_continue(payload)
    if kind == BEGIN:
        return starting.begin(shard, process)
    if kind == SYSTEM:
        shard.serving = future
        _serve_system(shard, process, payload, future)
        return resting.timeout_anew(process)
    if kind == WAKE:
        return process.on_wake()
    if kind == STEP:
        return payload()
    assert kind == PYKKA, f"unknown message kind {kind}"
    if payload.__class__ is ActorStop:
        _stop(shard, process)
        return None
    result = process.serve_pykka(payload)
    return result if payload.__class__ is ProxyCall else None


def _stop(shard: Shard, process: Process) -> None:
    """End a process that was asked to stop by Pykka's verb."""
    logger.debug("Stopping %s", process)
    ending.stop(shard, process, NORMAL)


def _serve_ask(shard: Shard, process: Process, message: Any, future: Future[Any]) -> Any:
    """Pykka's rule: the asker gets the exception, the process lives on."""
    if message.__class__ is ActorStop:
        process.extras.stop_future = future
        _stop(shard, process)
        return None
    shard.serving = future
    try:
        if message.__class__ in PYKKA_MESSAGES:
            result = process.serve_pykka(message)
        else:
            result = process.handle_ask(message, future)
    except ProcessExit:
        raise
    except Exception as error:  # noqa: BLE001 - handed to the asker whole
        parking.give_back(process, future, error)
        return None
    if result.__class__ in SPECIAL and message.__class__ is not ProxyGetAttr:
        return result
    if process._state < DOOMED:
        future.resolve(VALUE, result)
    return None


def _serve_system(shard: Shard, process: Process, function: Any, future: Future[Any]) -> None:
    try:
        status, value = VALUE, function()
    except Exception as error:  # noqa: BLE001 - handed to who asked; the process is not at fault
        status, value = ERROR, error
    if shard.stuck is not process:
        future.resolve(status, value)


def act(  # noqa: C901, PLR0912 - one branch a result
    shard: Shard, process: Process, kind: int, payload: Any, future: Any, result: Any
) -> None:
    """Carry out a special result: run a coroutine, reply, stop, continue, wait, hibernate."""
    if process._state >= DOOMED:
        if result.__class__ is CoroutineType:
            result.close()
        return
    if result.__class__ is CoroutineType:
        result = parking.advance(shard, process, result, kind, payload, future)
        if result is parking.PARKED_RESULT:
            return
        parking.conclude(shard, process, kind, payload, future, result)
        return
    if result.__class__ is Reply:
        if future is not None:
            future.resolve(VALUE, result.value)
        result = result.then
    elif result.__class__ is NoReply:
        if future is not None and not future.done():
            extras = process.extras
            if extras.deferred is None:
                extras.deferred = set()
            extras.deferred.add(future)
            future.add_done_callback(extras.deferred.discard)
        result = result.then
    elif result.__class__ is Stop:
        if result.reply is not NOTHING:
            process.extras.parting = (result.reply,)
        ending.stop(shard, process, result.reason, future)
        return
    elif future is not None and kind in (CALL, ASK):
        future.resolve(VALUE, None)
    if result is not None:
        then(shard, process, result)


def then(shard: Shard, process: Process, action: Any) -> None:
    """Carry out what a result asks for after its message: continue, time out, hibernate."""
    if action.__class__ is Continue:
        push_front(shard, process, CONTINUE, action.argument, None)
    elif action.__class__ is Timeout:
        if process._queue is not None:
            return
        if action.after_s <= 0:
            # It is over already: ahead of whatever comes from now on (OTP: receive after 0).
            push_front(shard, process, INFO, TIMEOUT_MESSAGE, None)
        else:
            process._state = TIMED
            extras = process.extras
            extras.timed_s = action.after_s
            extras.timer = process.send_after(action.after_s, TIMEOUT_MESSAGE)
    elif process._queue is None:
        hibernate(process)


def hibernate(process: Process) -> None:
    """Let an idle process drop what it can make again."""
    result = process.on_hibernate()
    if result.__class__ is CoroutineType:
        result.close()
        raise TypeError(f"on_hibernate of {type(process).__name__} may not be async")
    if process._state < DOOMED:
        process._state = HIBERNATED


def push_front(shard: Shard, process: Process, kind: int, payload: Any, future: Any) -> None:
    """Put a message ahead of a process's mailbox and make it ready if it was idle."""
    if process._state == DEAD:
        shard.discard(process, kind, payload, future)
        return
    if process._state == IDLE:
        shard.post(process, kind, payload, future)
        return
    if process._state == SUSPENDED and kind == SYSTEM:
        _serve_system(shard, process, payload, future)
        return
    if process._queue is None:
        process._queue = deque()
    process._queue.appendleft((kind, payload, future))
    if process._state in (TIMED, HIBERNATED):
        resting.rouse(shard, process)


def hold_back(process: Process, kind: int, payload: Any, future: Any) -> None:
    """Put a message back that came up while its process may not run."""
    if process._queue is None:
        process._queue = deque()
    process._queue.appendleft((kind, payload, future))


def make_ready(shard: Shard, process: Process) -> None:
    """Put a process that was held into the run queue if messages wait, else make it idle."""
    queue = process._queue
    if queue is None:
        process._state = IDLE
        return
    process._state = READY
    shard.runq.append((process, *queue.popleft()))
    if not queue:
        process._queue = None
    if shard.asleep:
        shard.wake()
