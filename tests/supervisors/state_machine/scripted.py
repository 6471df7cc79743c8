"""Machines made of one function a state, in either callback mode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from supervisors.state_machine.callbacks import HANDLE_EVENT_FUNCTION, STATE_FUNCTIONS
from supervisors.state_machine.machine import StateMachine

if TYPE_CHECKING:
    from collections.abc import Callable

    State = Callable[[Any, Any, Any], Any]


class Scripted(StateMachine):
    """Starts in the state it is told, with the actions it is told."""

    def init(
        self, first: Any, *actions: Any, notes: list[Any] | None = None, data: Any = None
    ) -> Any:
        self.notes = notes if notes is not None else []
        self.data = data
        return (first, *actions)


def scripted(mode: str, *states: State, enter: bool = False) -> type[Scripted]:
    """Make a class of the functions `state(machine, event_type, content)`, named as the states."""
    functions = {state.__name__: state for state in states}
    body: dict[str, Any] = {"callback_mode": mode, "state_enter": enter}
    if mode == STATE_FUNCTIONS:
        body.update(functions)
    else:
        assert mode == HANDLE_EVENT_FUNCTION
        body["handle_event"] = lambda self, event_type, content, state: functions[state](
            self, event_type, content
        )
    return type("ScriptedMachine", (Scripted,), body)
