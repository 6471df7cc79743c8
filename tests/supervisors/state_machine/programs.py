"""Small machines as data: what they do in which state, run by anything that can take a step.

A program is plain JSON, so that OTP's gen_statem runs it too (see otp/oracle.py):
`{"enter": bool, "first_state": STATE, "first": [ACTION], "on": {STATE: {CONTENT: REACTION}},
"entering": {STATE: REACTION}, "script": [["cast", [CONTENT, ...]] | ["pass", ms]]}`.
STATE is a, b or c, CONTENT a digit. REACTION is `{"to": STATE, "do": [ACTION]}`, or with
`"repeat": true`. ACTION is `["postpone"]`, `["next", TYPE, CONTENT]`, `["set", TIMEOUT, ms,
CONTENT]`, `["update", TIMEOUT, CONTENT]` or `["cancel", TIMEOUT]`. TIMEOUT is timeout,
state_timeout, x or y; the last two are generic.

A machine reacts to its first `FUEL` events only, so every program comes to rest.
"""

from __future__ import annotations

from typing import Any

from supervisors.state_machine.actions import (
    CancelTimeout,
    KeepState,
    NextEvent,
    NextState,
    Postpone,
    RepeatState,
    SetTimeout,
    UpdateTimeout,
)
from supervisors.state_machine.events import (
    CAST,
    INFO,
    INTERNAL,
    STATE_TIMEOUT,
    TIMEOUT,
    Enter,
    EventType,
    GenericTimeout,
)

Program = dict[str, Any]
Trace = list[list[Any]]
"""One row a callback: the state, the event type's name (or "enter"), the content or old state."""

STATES = ("a", "b", "c")
CONTENTS = "0123"
FUEL = 30
REST_MS = 13_000
"""Longer than all the timeouts that fuel allows for, one after the other."""

TYPES: dict[str, Any] = {
    "cast": CAST, "info": INFO, "internal": INTERNAL, "timeout": TIMEOUT,
    "state_timeout": STATE_TIMEOUT, "x": GenericTimeout("x"), "y": GenericTimeout("y"),
}  # fmt: skip


def type_name(event_type: Any) -> str:
    """Name an event type as programs do."""
    if isinstance(event_type, EventType):
        return event_type.value
    return "enter" if isinstance(event_type, Enter) else str(event_type.name)


def action(form: list[Any]) -> Any:
    """Make an action of its JSON form."""
    match form:
        case ["postpone"]:
            return Postpone()
        case ["next", event_type, content]:
            return NextEvent(TYPES[event_type], content)
        case ["set", timeout, after_ms, content]:
            return SetTimeout(TYPES[timeout], after_ms / 1000, content)
        case ["update", timeout, content]:
            return UpdateTimeout(TYPES[timeout], content)
        case ["cancel", timeout]:
            return CancelTimeout(TYPES[timeout])
    raise AssertionError(form)


def result(reaction: dict[str, Any]) -> Any:
    """Make a callback's result of a reaction."""
    actions = [action(form) for form in reaction.get("do", ())]
    if reaction.get("repeat"):
        return RepeatState(*actions)
    if "to" in reaction:
        return NextState(reaction["to"], *actions)
    return KeepState(*actions)


class Reader:
    """Answers for the callbacks of one run of a program, and keeps the trace."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.trace: Trace = []

    def first(self) -> list[Any]:
        """Give the actions that init returns."""
        return [action(form) for form in self.program["first"]]

    def answer(self, state: str, event_type: Any, content: Any) -> Any:
        """Note a callback and give its result."""
        fuelled = len(self.trace) < FUEL
        if isinstance(event_type, Enter):
            self.trace.append([state, "enter", event_type.old_state])
            reaction = self.program["entering"].get(state)
        else:
            self.trace.append([state, type_name(event_type), content])
            reaction = self.program["on"].get(state, {}).get(content)
        return result(reaction) if fuelled and reaction is not None else None
