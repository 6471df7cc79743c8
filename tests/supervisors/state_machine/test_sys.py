"""gen_statem_SUITE, group sys: looking into a machine, and what it shows of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from supervisors import Crash, Via, system
from supervisors.errors import CallbackError, CallExit, CallTimeout, WouldDeadlock
from supervisors.reports import format_report
from supervisors.state_machine.actions import (
    KeepState,
    NextEvent,
    NextState,
    Postpone,
    PushCallbacks,
    SetTimeout,
)
from supervisors.state_machine.callbacks import HANDLE_EVENT_FUNCTION, STATE_FUNCTIONS
from supervisors.state_machine.events import CAST, INTERNAL, TIMEOUT, Event
from tests.supervisors.state_machine.names import Names
from tests.supervisors.state_machine.scripted import scripted
from tests.supervisors.state_machine.telephone import EventTelephone, Telephone

if TYPE_CHECKING:
    from tests.supervisors.state_machine.stage import Stage

    Class = type[Telephone]


def data_of(stage: Stage, machine: Any) -> Any:
    """Give a telephone's state and what it has for data."""
    state, data = stage.get_state(machine)
    return Telephone.name_of(state), data["data"]


def test_sys1_a_suspended_machine_answers_when_it_is_resumed(
    stage: Stage, telephone: Class
) -> None:
    ref = stage.start(telephone)
    assert stage.world.wait(system.get_status(ref))["state"] == "idle"
    stage.world.wait(system.suspend(ref))
    with pytest.raises(CallTimeout):
        stage.world.call(ref, "alive?", 3)
    waiting = ref.call("alive?", None)
    stage.world.wait(system.resume(ref))
    assert stage.world.wait(waiting) == "yes"


class Upgraded(EventTelephone):
    """A telephone of a later version: its data says which one it was before."""

    def code_change(self, old_class: Any, state: Any, extra: Any) -> Any:
        self.data = (old_class, self.data, extra)
        if extra == "crash":
            raise OSError(extra)
        return state


def test_code_change_puts_another_class_with_another_mode_in_its_place(stage: Stage) -> None:
    ref = stage.start(Telephone)
    assert data_of(stage, ref) == ("idle", "data")
    stage.world.wait(system.suspend(ref))
    stage.world.wait(system.change_code(ref, Upgraded, "extra"))
    stage.world.wait(system.resume(ref))
    assert data_of(stage, ref) == ("idle", (Telephone, "data", "extra"))
    assert stage.call(ref, "mode") == HANDLE_EVENT_FUNCTION
    assert stage.call(ref, "connect") == "accept"
    assert stage.get_state(ref)[0] == ("ringing",)


def test_code_change_that_fails_leaves_class_state_and_data_alone(stage: Stage) -> None:
    ref = stage.start(Telephone)
    with pytest.raises(OSError, match="crash"):
        stage.world.wait(system.change_code(ref, Upgraded, "crash"))
    assert type(ref._process) is Telephone
    assert data_of(stage, ref) == ("idle", "data")
    assert stage.call(ref, "mode") == STATE_FUNCTIONS


class Discreet(Telephone):
    """Shows a word for each item of its status."""

    def format_status(self, status: dict[str, Any]) -> dict[str, Any]:
        if self.data == "unspeakable":
            raise OSError(self.data)
        return {key: f"formatted {key}" for key in status}


class DiscreetEventTelephone(Discreet, EventTelephone):
    """The same in the other mode."""


@pytest.fixture
def discreet(mode: str) -> type[Discreet]:
    return Discreet if mode == STATE_FUNCTIONS else DiscreetEventTelephone


SHOWN = {
    key: f"formatted {key}"
    for key in ("state", "data", "event", "queue", "postponed", "timeouts", "reason")
}


def test_call_format_status_whatever_the_machine_is_named(
    stage: Stage, discreet: type[Discreet]
) -> None:
    names = [None, "machine", ("machine", 1), Via(Names(), "machine"), Via(Names(), ("machine", 1))]
    for name in names:
        ref = stage.start(discreet, name=name)
        assert stage.world.wait(system.get_status(ref if name is None else name)) == SHOWN


def crash_report(stage: Stage) -> Any:
    stage.world.settle()
    (report,) = [report for report in stage.world.reports if report.kind == "crash"]
    return report


def test_error_format_status_is_what_the_crash_report_shows(
    stage: Stage, discreet: type[Discreet]
) -> None:
    ref = stage.start(discreet, data="secret word")
    reason = stage.call_reason(ref, ("bad return", "secret answer"))
    report = crash_report(stage)
    assert report.reason == reason
    assert report.detail["status"] == SHOWN
    assert report.detail["message"] == "formatted event"
    assert "secret word" not in format_report(report)


def test_terminate_crash_format_is_the_same_when_terminate_crashes(
    stage: Stage, discreet: type[Discreet]
) -> None:
    ref = stage.start(discreet, data="crash in terminate")
    assert stage.call(ref, "stop") == "stopped"
    report = crash_report(stage)
    assert isinstance(report.reason.error, OSError)
    assert report.detail["status"] == SHOWN


def test_format_all_status_shows_queue_postponed_and_timeouts(stage: Stage, mode: str) -> None:
    def only(m: Any, event_type: Any, content: Any) -> Any:
        match content:
            case "postpone":
                return KeepState(Postpone())
            case "set":
                return KeepState(SetTimeout(TIMEOUT, 100, "ring"))
            case "crash":
                return KeepState(NextEvent(INTERNAL, "bad"), NextEvent(INTERNAL, "next"))
        return "a bad return"

    ref = stage.start(scripted(mode, only), "only", notes=["a note"])
    stage.cast(ref, "postpone", "set")
    expected: dict[str, Any] = {
        "state": "only",
        "data": {"notes": ["a note"], "data": None},
        "event": None,
        "queue": [],
        "postponed": [Event(CAST, "postpone")],
        "timeouts": {TIMEOUT: "ring"},
        "reason": None,
    }
    assert stage.world.wait(system.get_status(ref)) == expected
    ref.cast("crash")
    reason = stage.ended(ref)
    report = crash_report(stage)
    # The event that asked for the two others has ended the event timeout.
    expected |= {"event": Event(INTERNAL, "bad"), "queue": [Event(INTERNAL, "next")]}
    assert report.detail["status"] == expected | {"timeouts": {}, "reason": reason}
    assert report.detail["message"] == Event(INTERNAL, "bad")


def test_a_format_status_that_crashes_shows_nothing_but_that(
    stage: Stage, discreet: type[Discreet]
) -> None:
    ref = stage.start(discreet, data="unspeakable")
    shown = {"format_status": "raised OSError"}
    assert stage.world.wait(system.get_status(ref)) == shown
    stage.call_reason(ref, ("bad return", "badreturn"))
    assert crash_report(stage).detail["status"] == shown


def test_get_state_by_ref_by_name_and_while_suspended(stage: Stage, telephone: Class) -> None:
    anonymous = stage.start(telephone, data="value")
    assert data_of(stage, anonymous) == ("idle", "value")
    stage.start(telephone, data="value", name="machine")
    assert data_of(stage, "machine") == ("idle", "value")
    stage.world.wait(system.suspend("machine"))
    assert data_of(stage, "machine") == ("idle", "value")
    stage.world.wait(system.resume("machine"))
    assert stage.call(stage.world.node.address("machine"), "alive?") == "yes"


def test_replace_state_and_not_when_the_function_fails(stage: Stage, telephone: Class) -> None:
    ref = stage.start(telephone, data="value")

    def replace(function: Any) -> Any:
        return stage.world.wait(system.replace_state(ref, function))

    replaced = replace(lambda state, data: (state, data | {"data": "replaced"}))
    assert replaced == stage.get_state(ref)
    assert data_of(stage, ref) == ("idle", "replaced")
    replace(lambda state, data: ("ringing", data | {"data": "again"}))
    assert data_of(stage, ref) == ("ringing", "again")

    def fail(state: Any, data: Any) -> Any:
        data["data"] = "changed"
        raise OSError("fail")

    with pytest.raises(OSError, match="fail"):
        replace(fail)
    assert data_of(stage, ref) == ("ringing", "again")
    stage.world.wait(system.suspend(ref))
    replace(lambda state, data: ("connected", data | {"data": "and again"}))
    stage.world.wait(system.resume(ref))
    assert data_of(stage, ref) == ("connected", "and again")
    assert stage.call(ref, ("message", 1)) == ("ack", 1)


# -- beyond the suite --------------------------------------------------------------------------


def test_a_replaced_state_is_not_entered_and_retries_nothing(stage: Stage, mode: str) -> None:
    def one(m: Any, event_type: Any, content: Any) -> Any:
        m.notes.append(("one", content))
        return KeepState(Postpone()) if content == "postpone" else NextState("one")

    def two(m: Any, event_type: Any, content: Any) -> Any:
        m.notes.append(("two", content))
        return NextState("one") if content == "back" else None

    ref = stage.start(scripted(mode, one, two, enter=True), "one", notes=stage.notes)
    stage.cast(ref, "postpone")
    stage.world.wait(system.replace_state(ref, lambda state, data: ("two", data)))
    assert stage.taken() == [("one", None), ("one", "postpone")]
    stage.cast(ref, "back")
    assert stage.taken() == [("two", "back"), ("one", None), ("one", "postpone")]


def test_a_machine_that_is_dead_or_none_is_told_apart(stage: Stage, telephone: Class) -> None:
    ref = stage.start(telephone)
    ref.kill()
    stage.world.settle()
    with pytest.raises(CallExit) as caught:
        stage.get_state(ref)
    assert caught.value.reason == "noproc"
    with pytest.raises(TypeError, match="is no StateMachine"):
        stage.get_state(stage.parent)


def test_a_machine_that_looks_at_itself_is_told_that_it_would_wait_for_ever(
    stage: Stage, mode: str
) -> None:
    def only(m: Any, event_type: Any, content: Any) -> Any:
        with pytest.raises(WouldDeadlock):
            system.get_state(m.ref)
        m.notes.append("refused")

    ref = stage.start(scripted(mode, only), "only", notes=stage.notes)
    stage.cast(ref, "look")
    assert stage.taken() == ["refused"]


class Guest:
    """A callback object that formats the status and is there at the end."""

    callback_mode = HANDLE_EVENT_FUNCTION

    def __init__(self, notes: list[Any]) -> None:
        self.notes = notes

    def handle_event(self, event_type: Any, content: Any, state: Any) -> Any:
        raise CallbackError("guest", content)

    def format_status(self, status: dict[str, Any]) -> dict[str, Any]:
        return {"guest": status["state"]}

    def terminate(self, reason: Any) -> None:
        self.notes.append(("guest", type(reason)))


def test_a_pushed_object_formats_the_status_and_terminates(stage: Stage, mode: str) -> None:
    def only(m: Any, event_type: Any, content: Any) -> Any:
        return KeepState(PushCallbacks(content))

    ref = stage.start(scripted(mode, only), "only")
    stage.cast(ref, Guest(stage.notes))
    assert stage.world.wait(system.get_status(ref)) == {"guest": "only"}
    stage.cast(ref, "crash")
    assert stage.taken() == [("guest", Crash)]
    assert crash_report(stage).detail["status"] == {"guest": "only"}
