"""A whole machine, a door with a lock, walked through every state with every event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from supervisors import system
from supervisors.state_machine.actions import (
    CancelTimeout,
    KeepState,
    NextState,
    Postpone,
    ReplyTo,
    SetTimeout,
)
from supervisors.state_machine.callbacks import HANDLE_EVENT_FUNCTION, STATE_FUNCTIONS
from supervisors.state_machine.events import CAST, STATE_TIMEOUT, Call, Enter, GenericTimeout
from supervisors.state_machine.machine import StateMachine

if TYPE_CHECKING:
    from tests.supervisors.state_machine.stage import Stage

ALARM = GenericTimeout("alarm")
CODE = 1234
CLOSE_AFTER_S = 10.0
ALARM_AFTER_S = 60.0


class Door(StateMachine):
    """Closes by itself; rings an alarm when it is open for long in all; counts wrong codes.

    Three wrong codes block it for a while, and requests made meanwhile are served afterwards.
    """

    state_enter = True

    def init(self) -> Any:
        self.wrong = 0
        self.rings = 0
        return ("locked",)

    def opened(self, event_type: Any, content: Any) -> Any:
        match event_type, content:
            case Enter(), _:
                return KeepState(
                    SetTimeout(STATE_TIMEOUT, CLOSE_AFTER_S), SetTimeout(ALARM, ALARM_AFTER_S)
                )
            case Call(caller), "open":
                return KeepState(ReplyTo(caller, "is open"), SetTimeout(STATE_TIMEOUT, 10))
            case Call(caller), "close":
                return NextState("closed", ReplyTo(caller, "ok"))
            case _ if event_type is STATE_TIMEOUT:
                return NextState("closed")
        return self.anywhere(event_type, content)

    def closed(self, event_type: Any, content: Any) -> Any:
        match event_type, content:
            case Enter("opened"), _:
                return KeepState(CancelTimeout(ALARM))
            case Call(caller), "open":
                return NextState("opened", ReplyTo(caller, "ok"))
            case Call(caller), "lock":
                return NextState("locked", ReplyTo(caller, "ok"))
        return self.anywhere(event_type, content)

    def locked(self, event_type: Any, content: Any) -> Any:
        match event_type, content:
            case Call(caller), ("code", code) if code == CODE:
                self.wrong = 0
                return NextState("closed", ReplyTo(caller, "ok"))
            case Call(caller), ("code", _):
                self.wrong += 1
                reply = ReplyTo(caller, "wrong")
                return NextState("blocked", reply) if self.wrong == 3 else KeepState(reply)
        return self.anywhere(event_type, content)

    def blocked(self, event_type: Any, content: Any) -> Any:
        match event_type, content:
            case Enter(), _:
                self.wrong = 0
                return KeepState(SetTimeout(STATE_TIMEOUT, 30))
            case Call(), _:
                return KeepState(Postpone())
            case _ if event_type is STATE_TIMEOUT:
                return NextState("locked")
        return self.anywhere(event_type, content)

    def anywhere(self, event_type: Any, content: Any) -> Any:
        match event_type:
            case Call(caller):
                return KeepState(ReplyTo(caller, "no"))
            case GenericTimeout("alarm"):
                self.rings += 1
        return None


class EventDoor(Door):
    """The same in mode HANDLE_EVENT_FUNCTION."""

    callback_mode = HANDLE_EVENT_FUNCTION

    def handle_event(self, event_type: Any, content: Any, state: Any) -> Any:
        return getattr(self, state)(event_type, content)


GOOD, BAD = ("code", CODE), ("code", 0)
WAYS: dict[str, list[Any]] = {
    "locked": [],
    "closed": [GOOD],
    "opened": [GOOD, "open"],
    "blocked": [BAD, BAD, BAD],
}
"""The calls that lead from the start to each state."""

EVENTS = ["open", "close", "lock", GOOD, BAD, "knock", 9, 11, 31, 61]
"""Calls, a cast, and passages of time in seconds."""

WAITS = object()
"""The call is postponed."""
QUIET = object()
"""Nobody is answered."""

MATRIX: dict[tuple[str, Any], tuple[str, Any, set[Any], int]] = {
    # state, event: state after, reply, timeouts that run after, rings of the alarm
    ("locked", "open"): ("locked", "no", set(), 0),
    ("locked", "close"): ("locked", "no", set(), 0),
    ("locked", "lock"): ("locked", "no", set(), 0),
    ("locked", GOOD): ("closed", "ok", set(), 0),
    ("locked", BAD): ("locked", "wrong", set(), 0),
    ("locked", "knock"): ("locked", QUIET, set(), 0),
    ("locked", 9): ("locked", QUIET, set(), 0),
    ("locked", 11): ("locked", QUIET, set(), 0),
    ("locked", 31): ("locked", QUIET, set(), 0),
    ("locked", 61): ("locked", QUIET, set(), 0),
    ("closed", "open"): ("opened", "ok", {STATE_TIMEOUT, ALARM}, 0),
    ("closed", "close"): ("closed", "no", set(), 0),
    ("closed", "lock"): ("locked", "ok", set(), 0),
    ("closed", GOOD): ("closed", "no", set(), 0),
    ("closed", BAD): ("closed", "no", set(), 0),
    ("closed", "knock"): ("closed", QUIET, set(), 0),
    ("closed", 9): ("closed", QUIET, set(), 0),
    ("closed", 11): ("closed", QUIET, set(), 0),
    ("closed", 31): ("closed", QUIET, set(), 0),
    ("closed", 61): ("closed", QUIET, set(), 0),
    ("opened", "open"): ("opened", "is open", {STATE_TIMEOUT, ALARM}, 0),
    ("opened", "close"): ("closed", "ok", set(), 0),
    ("opened", "lock"): ("opened", "no", {STATE_TIMEOUT, ALARM}, 0),
    ("opened", GOOD): ("opened", "no", {STATE_TIMEOUT, ALARM}, 0),
    ("opened", BAD): ("opened", "no", {STATE_TIMEOUT, ALARM}, 0),
    ("opened", "knock"): ("opened", QUIET, {STATE_TIMEOUT, ALARM}, 0),
    ("opened", 9): ("opened", QUIET, {STATE_TIMEOUT, ALARM}, 0),
    ("opened", 11): ("closed", QUIET, set(), 0),
    ("opened", 31): ("closed", QUIET, set(), 0),
    ("opened", 61): ("closed", QUIET, set(), 0),
    ("blocked", "open"): ("blocked", WAITS, {STATE_TIMEOUT}, 0),
    ("blocked", "close"): ("blocked", WAITS, {STATE_TIMEOUT}, 0),
    ("blocked", "lock"): ("blocked", WAITS, {STATE_TIMEOUT}, 0),
    ("blocked", GOOD): ("blocked", WAITS, {STATE_TIMEOUT}, 0),
    ("blocked", BAD): ("blocked", WAITS, {STATE_TIMEOUT}, 0),
    ("blocked", "knock"): ("blocked", QUIET, {STATE_TIMEOUT}, 0),
    ("blocked", 9): ("blocked", QUIET, {STATE_TIMEOUT}, 0),
    ("blocked", 11): ("blocked", QUIET, {STATE_TIMEOUT}, 0),
    ("blocked", 31): ("locked", QUIET, set(), 0),
    ("blocked", 61): ("locked", QUIET, set(), 0),
}


def door_in(stage: Stage, mode: str, state: str) -> Any:
    """Start a door and lead it to a state."""
    ref = stage.start(Door if mode == STATE_FUNCTIONS else EventDoor)
    for call in WAYS[state]:
        stage.call(ref, call)
    assert stage.get_state(ref)[0] == state
    return ref


def test_the_matrix_has_every_state_with_every_event() -> None:
    assert set(MATRIX) == {(state, event) for state in WAYS for event in EVENTS}


@pytest.mark.parametrize("state", WAYS)
def test_every_event_in_a_state_does_what_the_matrix_says(
    stage: Stage, mode: str, state: str
) -> None:
    for event in EVENTS:
        ref = door_in(stage, mode, state)
        after, reply, timeouts, rings = MATRIX[state, event]
        answer = None
        if isinstance(event, int):
            stage.world.advance(event)
        elif reply is QUIET:
            stage.cast(ref, event)
        else:
            answer = ref.call(event, None)
            stage.world.settle()
            assert answer.done() is (reply is not WAITS), event
        if answer is not None and reply is not WAITS:
            assert answer.result() == reply, event
        status = stage.world.wait(system.get_status(ref))
        assert (status["state"], set(status["timeouts"])) == (after, timeouts), event
        assert status["data"]["rings"] == rings
        assert [one.content for one in status["postponed"]] == (
            [event] if reply is WAITS else []
        ), event


def test_a_door_kept_open_rings_and_one_that_was_blocked_catches_up(
    stage: Stage, mode: str
) -> None:
    ref = door_in(stage, mode, "opened")
    for _ in range(7):
        stage.world.advance(9)
        assert stage.call(ref, "open") == "is open"
    assert stage.get_state(ref)[1]["rings"] == 1
    ref = door_in(stage, mode, "blocked")
    waiting = [ref.call(word, None) for word in ("open", GOOD, "open", "lock")]
    stage.world.advance(31)
    assert [answer.result() for answer in waiting] == ["no", "ok", "ok", "no"]
    assert stage.get_state(ref)[0] == "opened"
    stage.cast(ref, CAST)
    assert ref.is_alive()
