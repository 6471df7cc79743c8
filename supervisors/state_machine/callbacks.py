"""The callback objects of a state machine: a stack of them, and how one is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from supervisors.errors import CallbackError
from supervisors.state_machine.actions import ChangeCallbacks, PopCallbacks

if TYPE_CHECKING:
    from collections.abc import Container

    from supervisors.state_machine.actions import CallbacksAction

STATE_FUNCTIONS: Final = "state_functions"
"""Callback mode: a state is a name, its events go to the method of that name."""
HANDLE_EVENT_FUNCTION: Final = "handle_event_function"
"""Callback mode: a state is any value, all events go to `handle_event`."""

Stack = tuple[Any, ...]
"""Callback objects, the one that serves events last; None stands for the machine itself."""

ITSELF: Final[Stack] = (None,)
"""The stack of a machine that has no callbacks but its own."""


def call_back(
    callbacks: Any, state: Any, event_type: Any, content: Any, reserved: Container[str]
) -> Any:
    """Let an object's callback handle an event in a state; gives what it returns.

    Raises CallbackError when there is no such callback, or when the state has one of the
    `reserved` names, whose methods are something else.
    """
    mode = callbacks.callback_mode
    if mode == HANDLE_EVENT_FUNCTION:
        return callbacks.handle_event(event_type, content, state)
    if mode != STATE_FUNCTIONS:
        raise CallbackError("bad_return_from_callback_mode", mode)
    if not isinstance(state, str):
        raise CallbackError("state_is_not_a_name", state)
    if state in reserved:
        raise CallbackError("state_is_named_like_a_method_of_every_machine", state)
    function = getattr(callbacks, state, None)
    if function is None:
        raise CallbackError("undef", f"{type(callbacks).__name__}.{state}")
    return function(event_type, content)


def changed(stack: Stack, action: CallbacksAction, machine: Any) -> Stack:
    """Give the stack after a change, push or pop; CallbackError for a pop too many."""
    below = stack[:-1]
    if isinstance(action, PopCallbacks):
        if not below:
            raise CallbackError("bad_action_from_state_function", action)
        return below
    callbacks = action.callbacks
    if not hasattr(callbacks, "callback_mode"):
        raise CallbackError("undef", f"{type(callbacks).__name__}.callback_mode")
    kept = below if isinstance(action, ChangeCallbacks) else stack
    return (*kept, None if callbacks is machine else callbacks)
