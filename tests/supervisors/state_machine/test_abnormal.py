"""gen_statem_SUITE, groups abnormal and undef_callbacks: what goes wrong, and how it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from supervisors import Crash, system
from supervisors.errors import CallbackError, CallExit, CallTimeout
from supervisors.state_machine.actions import (
    ChangeCallbacks,
    KeepState,
    NextEvent,
    NextState,
    PopCallbacks,
    Postpone,
    PushCallbacks,
    ReplyTo,
    SetTimeout,
    SetTimeoutAt,
    StopAndReply,
)
from supervisors.state_machine.callbacks import HANDLE_EVENT_FUNCTION, STATE_FUNCTIONS
from supervisors.state_machine.events import CAST, STATE_TIMEOUT, TIMEOUT, Call, Enter
from supervisors.state_machine.machine import StateMachine
from tests.supervisors.state_machine.scripted import Scripted, scripted

if TYPE_CHECKING:
    from tests.supervisors.state_machine.stage import Stage
    from tests.supervisors.state_machine.telephone import Telephone

    Class = type[Telephone]


def fault(reason: Any) -> Any:
    """Give what a CallbackError says, of the reason a machine ended with."""
    assert isinstance(reason, Crash)
    assert isinstance(reason.error, CallbackError)
    return reason.error.reason


# -- abnormal1: one case for each kind of call timeout. OTP's clean and dirty ones differ in what a
# late answer does to the caller's mailbox; here it is dropped in any case.


@pytest.mark.parametrize("case", ["abnormal1", "abnormal1clean", "abnormal1dirty"])
def test_abnormal1_a_call_that_times_out_leaves_nothing_behind(
    stage: Stage, telephone: Class, case: str
) -> None:
    ref = stage.start(telephone, name=case)
    assert stage.world.call(ref, ("delayed answer", 0.1), 2) == "delayed"
    with pytest.raises(CallTimeout):
        stage.world.call(ref, ("delayed answer", 2), 0.1)
    stage.world.advance(5)
    assert stage.call(ref, "alive?") == "yes"
    assert not stage.world.node.dead_letters.recent
    stage.world.wait(system.terminate(case))


def test_abnormal2_a_result_that_is_none_ends_the_machine(stage: Stage, telephone: Class) -> None:
    ref = stage.start_link(telephone)
    expected = ("bad_return_from_state_function", "badreturn")
    assert fault(stage.call_reason(ref, ("bad return", "badreturn"))) == expected
    ((_, reason),) = stage.taken()
    assert fault(reason) == expected


def test_abnormal3_an_action_that_is_none_ends_the_machine(stage: Stage, telephone: Class) -> None:
    ref = stage.start_link(telephone)
    expected = ("bad_action_from_state_function", "badaction")
    assert fault(stage.call_reason(ref, ("bad actions", "badaction"))) == expected
    ((_, reason),) = stage.taken()
    assert fault(reason) == expected


BAD_TIMEOUTS = [
    SetTimeout("badtimeout", 4711, "ouch"),  # type: ignore[arg-type]
    SetTimeout(CAST, 1),
    SetTimeout(TIMEOUT, -1),
    SetTimeout(TIMEOUT, float("nan")),
    SetTimeout(TIMEOUT, "soon"),  # type: ignore[arg-type]
    SetTimeoutAt(STATE_TIMEOUT, None),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("timeout", BAD_TIMEOUTS, ids=repr)
def test_abnormal4_a_timeout_that_is_none_ends_the_machine(
    stage: Stage, telephone: Class, timeout: Any
) -> None:
    ref = stage.start_link(telephone)
    expected = ("bad_action_from_state_function", timeout)
    assert fault(stage.call_reason(ref, ("bad actions", timeout))) == expected
    ((_, reason),) = stage.taken()
    assert fault(reason) == expected


# -- undef_callbacks -------------------------------------------------------------------------


class Bare(StateMachine):
    """Has no callback that could be left out."""

    callback_mode = HANDLE_EVENT_FUNCTION

    def init(self) -> Any:
        return ("only",)


def test_undef_code_change_is_refused_and_the_machine_lives_on(stage: Stage) -> None:
    ref = stage.start(Bare)
    changing = system.change_code(ref, type("Newer", (Bare,), {}))
    with pytest.raises(CallbackError) as caught:
        stage.world.wait(changing)
    assert caught.value.reason == ("undef", "Newer.code_change")
    assert type(ref._process) is Bare
    assert stage.get_state(ref) == ("only", {})


def test_undef_terminate1_a_machine_without_terminate_ends_normally(stage: Stage) -> None:
    ref = stage.start(Bare)
    stage.world.wait(system.terminate(ref))
    assert stage.ended(ref) == "normal"


def test_undef_terminate2_and_with_any_other_reason(stage: Stage) -> None:
    ref = stage.start(Bare, name="bare")
    stage.world.wait(system.terminate("bare", ("error", "test")))
    assert stage.ended(ref) == ("error", "test")


def test_undef_in_terminate_what_terminate_raises_is_the_reason(
    stage: Stage, telephone: Class
) -> None:
    ref = stage.start(telephone, data="crash in terminate")
    stopping = system.terminate(ref)
    with pytest.raises(Exception, match="terminate crashed"):
        stage.world.wait(stopping)
    assert isinstance(stage.ended(ref).error, OSError)


class Answering:
    """A callback object for state two that can be pushed, changed to, and popped."""

    callback_mode = HANDLE_EVENT_FUNCTION
    state_enter = True

    def __init__(self) -> None:
        self.entered = 0

    def handle_event(self, event_type: Any, content: Any, state: Any) -> Any:
        match event_type, content:
            case Enter(), None:
                assert state == "two"
                self.entered += 1
            case Call(caller), "entered":
                return KeepState(ReplyTo(caller, self.entered))
            case Call(caller), PushCallbacks():
                return NextState("one", content, ReplyTo(caller, "ok"))
            case Call(caller), PopCallbacks():
                return KeepState(content, ReplyTo(caller, "ok"))
        return None


def one(machine: Any, event_type: Any, content: Any) -> Any:
    match event_type, content:
        case Call(caller), "verify":
            return KeepState(ReplyTo(caller, "ok"))
        case Call(caller), _:
            return NextState("two", content, ReplyTo(caller, "ok"))
    raise AssertionError(event_type)


def test_pop_too_many_fails_and_the_enter_call_goes_to_the_object_changed_to(
    stage: Stage, mode: str
) -> None:
    ref = stage.start_link(scripted(mode, one, enter=False), "one")
    assert stage.call(ref, ChangeCallbacks(Answering())) == "ok"
    assert stage.call(ref, "entered") == 1
    assert stage.call(ref, PushCallbacks(ref._process)) == "ok"
    assert stage.call(ref, "verify") == "ok"
    assert stage.call(ref, PopCallbacks()) == "ok"
    assert stage.call(ref, "entered") == 2
    expected = ("bad_action_from_state_function", PopCallbacks())
    assert fault(stage.call_reason(ref, PopCallbacks())) == expected
    ((_, reason),) = stage.taken()
    assert fault(reason) == expected


# -- beyond the suite: misuse is told at once ---------------------------------------------------


def faulty(stage: Stage, machine_class: type[StateMachine], *start: Any) -> Any:
    """Give the fault that ends a machine when it gets a cast."""
    ref = stage.start(machine_class, *start)
    ref.cast("go")
    return fault(stage.ended(ref))


def test_a_state_without_a_method_is_named_with_its_class(stage: Stage) -> None:
    machine_class = scripted(STATE_FUNCTIONS)
    assert faulty(stage, machine_class, "nowhere") == ("undef", "ScriptedMachine.nowhere")


def test_a_machine_without_handle_event_is_named(stage: Stage) -> None:
    assert faulty(stage, Bare) == ("undef", "Bare.handle_event")


def test_a_machine_without_init_does_not_start(stage: Stage) -> None:
    error = stage.start_error(stage.start, type("Empty", (StateMachine,), {}))
    assert fault(error.reason) == ("undef", "Empty.init")


@pytest.mark.parametrize("state", ["start", "exit", "link", "terminate", "callback_mode"])
def test_a_state_may_not_be_named_like_a_method_of_every_machine(stage: Stage, state: str) -> None:
    expected = ("state_is_named_like_a_method_of_every_machine", state)
    assert faulty(stage, scripted(STATE_FUNCTIONS), state) == expected


def test_a_class_may_not_use_the_names_a_machine_keeps_for_itself() -> None:
    with pytest.raises(TypeError, match="the name 'state'"):
        type("Bad", (Bare,), {"state": lambda self, event_type, content: None})
    with pytest.raises(TypeError, match="the name '_agenda'"):

        class Worse(Bare):
            def init(self) -> Any:
                self._agenda = None
                return ("only",)


def test_events_put_aside_without_end_end_the_machine(stage: Stage, mode: str) -> None:
    def only(machine: Any, event_type: Any, content: Any) -> Any:
        return KeepState(Postpone())

    ref = stage.start(type("Small", (scripted(mode, only),), {"mailbox_limit": 3}), "only")
    for _ in range(3):
        stage.cast(ref, "later")
    assert ref.is_alive()
    waiting = ref.call("one too many", None)
    expected = ("too_many_events_postponed_or_inserted", 4)
    assert fault(stage.ended(ref)) == expected
    with pytest.raises(CallExit):
        stage.world.wait(waiting)


def test_a_state_that_is_no_name_needs_the_other_mode(stage: Stage) -> None:
    assert faulty(stage, scripted(STATE_FUNCTIONS), 7) == ("state_is_not_a_name", 7)


def test_an_unknown_callback_mode_is_named(stage: Stage) -> None:
    machine_class = type("Odd", (Scripted,), {"callback_mode": "odd"})
    assert faulty(stage, machine_class, "one") == ("bad_return_from_callback_mode", "odd")


@pytest.mark.parametrize("action", [ChangeCallbacks("text"), PushCallbacks("text")], ids=repr)
def test_a_callback_object_without_a_mode_is_refused(stage: Stage, mode: str, action: Any) -> None:
    ref = stage.start(scripted(mode, one), "one")
    assert fault(stage.call_reason(ref, action)) == ("undef", "str.callback_mode")


def enter_result(result: Any, mode: str) -> type[Scripted]:
    """Make a machine whose second state's enter call returns something."""

    def first(machine: Any, event_type: Any, content: Any) -> Any:
        return NextState("second") if content == "go" else None

    def second(machine: Any, event_type: Any, content: Any) -> Any:
        return result

    return scripted(mode, first, second, enter=True)


FORBIDDEN = [Postpone(), NextEvent(CAST), ChangeCallbacks(Answering()), PopCallbacks()]


@pytest.mark.parametrize("action", FORBIDDEN, ids=lambda action: type(action).__name__)
def test_an_enter_call_may_not_redirect_events(stage: Stage, mode: str, action: Any) -> None:
    expected = ("bad_state_enter_action_from_state_function", action)
    assert faulty(stage, enter_result(KeepState(action), mode), "first") == expected


def test_an_enter_call_may_not_change_the_state(stage: Stage, mode: str) -> None:
    result = NextState("first")
    expected = ("bad_state_enter_return_from_state_function", result)
    assert faulty(stage, enter_result(result, mode), "first") == expected


@pytest.mark.parametrize("reply", [ReplyTo("nobody", 1), Postpone()], ids=repr)
def test_a_reply_to_nobody_ends_the_machine(stage: Stage, mode: str, reply: Any) -> None:
    def only(machine: Any, event_type: Any, content: Any) -> Any:
        return content

    ref = stage.start(scripted(mode, only), "only")
    expected = ("bad_reply_action_from_state_function", reply)
    assert fault(stage.call_reason(ref, StopAndReply("normal", reply))) == expected


def test_what_a_callback_raises_reaches_the_callers_that_wait(stage: Stage, mode: str) -> None:
    def only(machine: Any, event_type: Any, content: Any) -> Any:
        if content == "crash":
            raise OSError(content)
        return KeepState(Postpone())

    ref = stage.start_link(scripted(mode, only), "only")
    postponed = ref.call("postponed", None)
    reason = stage.call_reason(ref, "crash")
    assert isinstance(reason.error, OSError)
    with pytest.raises(Exception, match="crash"):
        stage.world.wait(postponed)
    assert stage.taken() == [("exit", reason)]
