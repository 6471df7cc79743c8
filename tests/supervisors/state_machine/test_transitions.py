"""The pure core, rule by rule: no process, no clock, no timer."""

from __future__ import annotations

import math
from typing import Any

import pytest

from supervisors import Hibernate
from supervisors.errors import CallbackError
from supervisors.state_machine.actions import (
    CancelTimeout,
    KeepState,
    NextEvent,
    NextState,
    Postpone,
    RepeatState,
    ReplyTo,
    SetTimeout,
    SetTimeoutAt,
    StayAwake,
    UpdateTimeout,
)
from supervisors.state_machine.events import (
    CAST,
    INTERNAL,
    STATE_TIMEOUT,
    TIMEOUT,
    Call,
    Enter,
    Event,
    GenericTimeout,
)
from supervisors.state_machine.transitions import Agenda, Step

A, B = GenericTimeout("a"), GenericTimeout("b")


def step_of(result: Any, event: Any = "event") -> Step:
    """Let a callback's result decide the step of a cast in state one."""
    step = Step("one", Event(CAST, event))
    for action in step.accept(result):
        step.add(action)
    return step


def orders(agenda: Agenda, *actions: Any, to: Any = "one") -> list[Any]:
    """Give the timer orders of a step from state one."""
    return agenda.complete(step_of(NextState(to, *actions)))


def events(agenda: Agenda) -> list[Any]:
    """Take every event that needs no receiving; gives the contents."""
    taken = []
    while (event := agenda.take()) is not None:
        taken.append(event.content)
    return taken


def test_a_new_agenda_holds_nothing() -> None:
    agenda = Agenda()
    assert not agenda
    assert not agenda.ready
    assert agenda.take() is None


def test_none_and_keep_state_keep_the_state_without_entering_it() -> None:
    for result in (None, KeepState(), NextState("one")):
        step = Step("one", Event(CAST, None))
        assert step.accept(result) == ()
        assert (step.state, step.enters) == ("one", False)


def test_another_state_and_the_same_one_repeated_are_entered() -> None:
    for result, state in ((NextState("two"), "two"), (RepeatState(), "one")):
        step = Step("one", Event(CAST, None))
        step.accept(result)
        assert (step.state, step.enters, step.entering) == (state, True, False)
        step.enter()
        assert (step.enters, step.entering) == (False, True)


def test_the_last_action_of_a_kind_holds() -> None:
    step = step_of(KeepState(Postpone(), Postpone(wanted=False), Hibernate(), StayAwake()))
    assert (step.postpones, step.hibernates) == (False, False)
    step = step_of(KeepState(Postpone(wanted=False), Postpone(), StayAwake(), Hibernate()))
    assert (step.postpones, step.hibernates) == (True, True)
    agenda = Agenda()
    given = orders(agenda, SetTimeout(A, 1, 1), SetTimeout(A, 0, 2), SetTimeout(A, 3, 3))
    assert given == [(A, SetTimeout(A, 3, 3))]
    assert agenda.timeouts == {A: 3}
    agenda = Agenda()
    orders(agenda, SetTimeout(A, 0, 1), SetTimeout(B, 0, 2), SetTimeout(A, 0, 3))
    assert events(agenda) == [2, 3]


@pytest.mark.parametrize("action", [Postpone(), NextEvent(CAST)], ids=repr)
def test_an_enter_call_may_not_redirect_events(action: Any) -> None:
    step = Step("one", Event(CAST, None))
    step.accept(RepeatState())
    step.enter()
    step.add(Postpone(wanted=False))
    with pytest.raises(CallbackError):
        step.add(action)


NO_ACTIONS: list[Any] = [
    None,
    "postpone",
    ReplyTo(None, 1),
    NextEvent(Enter("one")),  # type: ignore[arg-type]
    NextEvent("cast"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("action", NO_ACTIONS, ids=repr)
def test_what_is_no_action_is_refused_by_name(action: Any) -> None:
    with pytest.raises(CallbackError) as caught:
        Step("one", Event(CAST, None)).add(action)
    assert caught.value.reason == ("bad_action_from_state_function", action)


@pytest.mark.parametrize("result", [True, "one", (), KeepState, [KeepState()]])
def test_what_is_no_result_is_refused_by_name(result: Any) -> None:
    with pytest.raises(CallbackError) as caught:
        Step("one", Event(CAST, None)).accept(result)
    assert caught.value.reason == ("bad_return_from_state_function", result)


def test_postponed_events_wait_for_another_state_and_keep_their_order() -> None:
    agenda = Agenda()
    for number in range(4):
        agenda.complete(step_of(KeepState(Postpone()), event=number))
    orders(agenda)
    assert events(agenda) == []
    orders(agenda, to="two")
    assert events(agenda) == [0, 1, 2, 3]


def test_the_event_that_changes_the_state_may_itself_be_postponed() -> None:
    agenda = Agenda()
    agenda.complete(step_of(KeepState(Postpone()), event="before"))
    agenda.complete(step_of(NextState("two", Postpone()), event="itself"))
    assert events(agenda) == ["before", "itself"]


def test_inserted_come_before_retried_and_these_before_queued_and_zero_timeouts() -> None:
    agenda = Agenda()
    orders(agenda, NextEvent(INTERNAL, "queued"), SetTimeout(A, 0, "zero"))
    agenda.complete(step_of(KeepState(Postpone()), event="postponed"))
    inserted = [NextEvent(INTERNAL, word) for word in ("first", "second")]
    orders(agenda, *inserted, SetTimeout(B, 0, "later zero"), to="two")
    assert events(agenda) == ["first", "second", "postponed", "queued", "zero", "later zero"]


def test_any_event_ends_the_event_timeout_and_a_new_state_the_state_timeout() -> None:
    agenda = Agenda()
    orders(agenda, SetTimeout(TIMEOUT, 1), SetTimeout(STATE_TIMEOUT, 1), SetTimeout(A, 1))
    assert orders(agenda) == [(TIMEOUT, None)]
    assert orders(agenda, to="two") == [(STATE_TIMEOUT, None)]
    assert agenda.timeouts == {A: None}


def test_timeouts_set_with_a_change_of_state_belong_to_the_new_one() -> None:
    agenda = Agenda()
    orders(agenda, SetTimeout(STATE_TIMEOUT, 1, "old"))
    given = orders(agenda, SetTimeout(STATE_TIMEOUT, 2, "new"), to="two")
    assert given == [(STATE_TIMEOUT, None), (STATE_TIMEOUT, SetTimeout(STATE_TIMEOUT, 2, "new"))]
    assert agenda.timeouts == {STATE_TIMEOUT: "new"}


def test_a_timeout_set_again_starts_anew() -> None:
    agenda = Agenda()
    orders(agenda, SetTimeout(A, 1))
    assert orders(agenda, SetTimeoutAt(A, 5)) == [(A, None), (A, SetTimeoutAt(A, 5))]
    assert orders(agenda, SetTimeout(A, 0, "zero")) == [(A, None)]
    assert orders(agenda, SetTimeout(B, 0, "other"), SetTimeout(A, 0, "again")) == []
    assert events(agenda) == ["other", "again"]


@pytest.mark.parametrize(
    "cancel", [CancelTimeout(A), SetTimeout(A, math.inf), SetTimeoutAt(A, math.inf)], ids=repr
)
def test_infinity_cancels_as_cancel_does(cancel: Any) -> None:
    agenda = Agenda()
    assert orders(agenda, cancel) == []
    orders(agenda, SetTimeout(A, 1))
    assert orders(agenda, cancel) == [(A, None)]
    orders(agenda, SetTimeout(A, 0))
    assert orders(agenda, cancel) == []
    assert not agenda


def test_an_update_changes_the_content_and_nothing_else() -> None:
    agenda = Agenda()
    orders(agenda, SetTimeout(A, 1, "old"), SetTimeout(B, 0, "old"), SetTimeout(TIMEOUT, 0))
    assert orders(agenda, UpdateTimeout(A, "a"), UpdateTimeout(B, "b")) == []
    assert agenda.timeouts == {A: "a", B: "b"}
    assert events(agenda) == ["b"]
    assert agenda.expire(A) == Event(A, "a")
    assert not agenda


def test_an_update_of_a_timeout_that_does_not_run_is_one_of_time_zero() -> None:
    agenda = Agenda()
    assert orders(agenda, UpdateTimeout(A, "now")) == []
    assert events(agenda) == ["now"]
    # The event timeout is ended by the very event whose callback updates it.
    orders(agenda, SetTimeout(TIMEOUT, 1, "old"))
    assert orders(agenda, UpdateTimeout(TIMEOUT, "new")) == [(TIMEOUT, None)]
    assert events(agenda) == ["new"]


def test_an_absolute_time_is_a_timer_even_when_it_has_passed() -> None:
    agenda = Agenda()
    assert orders(agenda, SetTimeoutAt(A, -1.0)) == [(A, SetTimeoutAt(A, -1.0))]
    assert not agenda.ready


def test_events_are_values_that_match_by_what_they_carry() -> None:
    match Call("caller"), Enter("old"), GenericTimeout("name"):
        case Call(caller), Enter(old), GenericTimeout(name):
            assert (caller, old, name) == ("caller", "old", "name")
    assert GenericTimeout("name") == GenericTimeout("name") != GenericTimeout("other")
