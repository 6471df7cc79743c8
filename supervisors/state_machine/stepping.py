"""Taking the steps of a state machine: events, enter calls, replies, in the machine's own turn.

`transitions` has the rules; here callbacks are called and their effects made. One message can make
a machine handle several events, each of whose callbacks may await: `_steps` is one generator for
all of them, run to its end at once where nothing awaits, else driven by a coroutine.
"""

from __future__ import annotations

from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final

from supervisors import limits
from supervisors.errors import CallbackError, Throw
from supervisors.process import DOOMED
from supervisors.results import NOTHING, Continue, Hibernate, NoReply, Stop
from supervisors.state_machine import callbacks
from supervisors.state_machine.actions import (
    ChangeCallbacks,
    PopCallbacks,
    PushCallbacks,
    ReplyTo,
    StopAndReply,
)
from supervisors.state_machine.events import Ask, Call, Enter, Event
from supervisors.state_machine.transitions import Step

if TYPE_CHECKING:
    from collections.abc import Generator

    from supervisors.state_machine.machine import StateMachine

GO_ON: Final = object()
"""A continuation of a machine: take up the events that are queued."""


def handle(machine: StateMachine, event: Event | None, result: Any = NOTHING) -> Any:
    """Handle an event, then those it left ready; gives what the scheduler is to do.

    Called in the machine's turn, for each message. `result` stands for what the event's callback
    returned, which is then not called.
    """
    if event is not None and result is NOTHING:
        machine._current_event = event
        try:
            result = _call_back(machine, machine._current_state, event)
        except Throw as thrown:
            result = thrown.result
        if result is None and machine._agenda is None:
            # Nothing to do and no timeout to end, as most events of most machines.
            machine._wants_hibernation = False
            return _outcome(machine, event)
    steps = _steps(machine, event, result)
    try:
        coroutine = next(steps)
    except StopIteration as done:
        return done.value
    return _finish(steps, coroutine)


async def _finish(steps: Generator[Any, Any, Any], coroutine: Any) -> Any:
    """Go on with steps whose callbacks await."""
    while True:
        try:
            try:
                value = await coroutine
            except BaseException as error:  # noqa: BLE001 - raised in the step it belongs to
                coroutine = steps.throw(error)
            else:
                coroutine = steps.send(value)
        except StopIteration as done:
            return done.value


def _steps(machine: StateMachine, event: Event | None, result: Any) -> Generator[Any, Any, Any]:
    """Take the steps of one message; yields the coroutines of callbacks for their results."""
    first = event
    for _ in range(limits.MACHINE_EVENTS_PER_MESSAGE):
        if event is None:
            event = machine._agenda.take() if machine._agenda is not None else None
        if event is None or machine._state == DOOMED:
            break
        machine._current_event = event
        machine._current_step = step = Step(machine._current_state, event)
        if result is NOTHING or result.__class__ is CoroutineType:
            result = yield from _result(machine, step, event, result)
        while True:
            stop = _act(machine, step, result)
            if stop is not None:
                return stop
            if not step.enters or not getattr(machine._top(), "state_enter", False):
                break
            step.enter()
            entry = Event(Enter(step.old_state), None)
            result = yield from _result(machine, step, entry, NOTHING)
        machine._current_state = step.state
        machine._carry_out(step)
        machine._current_step = None
        machine._wants_hibernation = step.hibernates
        event, result = None, NOTHING
    return _outcome(machine, first)


def _result(
    machine: StateMachine, step: Step, event: Event, result: Any
) -> Generator[Any, Any, Any]:
    """Call back for an event, unless that was done, and give the result."""
    try:
        if result is NOTHING:
            result = _call_back(machine, step.state, event)
        if result.__class__ is CoroutineType:
            result = yield result
    except Throw as thrown:
        return thrown.result
    except Exception as error:
        event_type = event.event_type
        if not isinstance(event_type, Ask):
            raise
        event_type.caller.fail(error)
        return None
    return result


def _call_back(machine: StateMachine, state: Any, event: Event) -> Any:
    top = machine._top()
    reserved = machine.reserved_names if top is machine else ()
    return callbacks.call_back(top, state, event.event_type, event.content, reserved)


def _act(machine: StateMachine, step: Step, result: Any) -> Stop | None:
    """Take a callback's result into a step and make its effects; gives a Stop if it is one."""
    if isinstance(result, (Stop, StopAndReply)):
        return _stop(step, result)
    for action in step.accept(result):
        if action.__class__ is ReplyTo:
            _reply(action, "bad_action_from_state_function")
        elif isinstance(action, (ChangeCallbacks, PushCallbacks, PopCallbacks)):
            step.refuse_entering(action)
            machine._callback_stack = callbacks.changed(machine._callback_stack, action, machine)
        else:
            step.add(action)
    return None


def _stop(step: Step, result: Stop | StopAndReply) -> Stop:
    if isinstance(result, StopAndReply):
        for reply in result.replies:
            _reply(reply, "bad_reply_action_from_state_function")
    elif result.reply is not NOTHING:
        event_type = step.event.event_type
        if not isinstance(event_type, Call):
            raise CallbackError("bad_return_from_state_function", result)
        event_type.caller.reply(result.reply)
    return Stop(result.reason)


def _reply(action: Any, fault: str) -> None:
    if action.__class__ is not ReplyTo or not hasattr(action.caller, "reply"):
        raise CallbackError(fault, action)
    action.caller.reply(action.value)


def _outcome(machine: StateMachine, first: Event | None) -> Any:
    """Say what the scheduler is to do after the steps of a message."""
    machine._current_event = None
    if machine._agenda is not None and machine._agenda.ready:
        return NoReply(Continue(GO_ON))
    if machine._wants_hibernation:
        return NoReply(Hibernate())
    if first is not None and isinstance(first.event_type, Call):
        return None if first.event_type.caller.done() else NoReply()
    return None
