"""gen_statem_SUITE: state_enter, event_order, the timeouts and event_types, step for step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from supervisors import system
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
    StopAndReply,
    UpdateTimeout,
)
from supervisors.state_machine.events import (
    CAST,
    INFO,
    INTERNAL,
    STATE_TIMEOUT,
    TIMEOUT,
    Call,
    Enter,
    GenericTimeout,
)
from tests.supervisors.state_machine.scripted import scripted

if TYPE_CHECKING:
    from tests.supervisors.state_machine.stage import Stage

A, B, C, D = (GenericTimeout(name) for name in "abcd")


def resting(m: Any, event_type: Any, content: Any) -> Any:
    number, m.data = m.data, m.data + 1
    match event_type, content:
        case Enter(old), _:
            m.notes.append((number, "enter", "resting", old))
        case _, _ if event_type is INTERNAL:
            m.notes.append((number, "internal", "resting", content))
        case Call(caller), "repeat":
            return RepeatState(ReplyTo(caller, (number, "repeat", "resting")))
        case Call(caller), "echo":
            reply = ReplyTo(caller, (number, "echo", "resting"))
            return NextState("waiting", reply, SetTimeout(TIMEOUT, 0, number))
        case Call(caller), ("stop", reason):
            return StopAndReply(reason, ReplyTo(caller, (number, "stop")))
    return None


def waiting(m: Any, event_type: Any, content: Any) -> Any:
    number, m.data = m.data, m.data + 1
    zeroes = [SetTimeout(TIMEOUT, 0, number), SetTimeout(STATE_TIMEOUT, 0, number)]
    match event_type, content:
        case Enter(old), _:
            m.notes.append((number, "enter", "waiting", old))
            return RepeatState(*zeroes) if number < 5 else KeepState(*zeroes)
        case Call(caller), "repeat":
            m.data = number
            reply = ReplyTo(caller, (number, "repeat", "waiting"))
            return RepeatState(reply, SetTimeout(TIMEOUT, 0, number))
        case Call(caller), "echo":
            reply = ReplyTo(caller, (number, "echo", "waiting"))
            return NextState("resting", NextEvent(INTERNAL, "waiting"), reply)
    m.notes.append((number, event_type, content))
    return None


def test_state_enter_is_called_at_the_start_on_a_change_and_on_repeat(
    stage: Stage, mode: str
) -> None:
    ref = stage.start_link(
        scripted(mode, resting, waiting, enter=True), "resting", notes=stage.notes, data=1
    )
    assert stage.taken() == [(1, "enter", "resting", "resting")]
    assert stage.call(ref, "echo") == (2, "echo", "resting")
    assert stage.taken() == [
        (3, "enter", "waiting", "resting"),
        (4, "enter", "waiting", "resting"),
        (5, "enter", "waiting", "resting"),
        (6, TIMEOUT, 5),
        (7, STATE_TIMEOUT, 5),
    ]
    assert stage.get_state(ref)[1]["data"] == 8
    assert stage.call(ref, "repeat") == (8, "repeat", "waiting")
    assert stage.taken() == [
        (8, "enter", "waiting", "waiting"),
        (9, TIMEOUT, 8),
        (10, STATE_TIMEOUT, 8),
    ]
    assert stage.call(ref, "echo") == (11, "echo", "waiting")
    assert stage.taken() == [
        (12, "enter", "resting", "waiting"),
        (13, "internal", "resting", "waiting"),
    ]
    assert stage.call(ref, "repeat") == (14, "repeat", "resting")
    assert stage.taken() == [(15, "enter", "resting", "resting")]
    assert stage.call(ref, ("stop", "bye")) == (16, "stop")
    assert stage.taken() == [("exit", "bye")]
    assert stage.call_reason(ref, "hello") == "noproc"


def test_event_order_is_inserted_then_postponed_then_new(stage: Stage, mode: str) -> None:
    def collecting(m: Any, event_type: Any, content: Any) -> Any:
        if event_type is CAST:
            return KeepState(Postpone())
        third, fourth, fifth = content
        m.data = []
        # The timeout must not happen: the inserted and the postponed events cancel it.
        return NextState(
            "buffering",
            NextEvent(INTERNAL, third),
            NextEvent(INTERNAL, fourth),
            SetTimeout(TIMEOUT, 0, fifth),
            ReplyTo(event_type.caller, "ok"),
        )

    def buffering(m: Any, event_type: Any, content: Any) -> Any:
        if isinstance(event_type, Call):
            replies = [ReplyTo(event_type.caller, "ok"), *m.data]
            return NextState("stopping", *replies, NextEvent(INTERNAL, content))
        m.data.append(content)
        return None

    def stopping(m: Any, event_type: Any, content: Any) -> Any:
        return StopAndReply(content)

    ref = stage.start_link(scripted(mode, collecting, buffering, stopping), "collecting")
    replies = [ReplyTo(stage.caller(), number) for number in range(1, 6)]
    stage.cast(ref, *replies[:2])
    assert stage.call(ref, replies[2:]) == "ok"
    assert stage.call(ref, "reason") == "ok"
    assert stage.taken() == [3, 4, 1, 2, ("exit", "reason")]
    assert stage.call_reason(ref, "hello") == "noproc"


def test_state_timeout_and_the_ways_in_which_zero_timeouts_meet(stage: Stage, mode: str) -> None:
    def one(m: Any, event_type: Any, content: Any) -> Any:
        assert isinstance(event_type, Call)
        m.ref.tell("message to self")
        m.data = (event_type.caller, content)
        timeouts = [SetTimeout(TIMEOUT, content, 1), SetTimeout(STATE_TIMEOUT, content, 1)]
        # The inserted event comes before the message.
        return NextState("two", *timeouts, NextEvent(INTERNAL, 1))

    def two(m: Any, event_type: Any, content: Any) -> Any:
        # The change of state cancels both timeouts.
        assert (event_type, content) == (INTERNAL, 1)
        zeroes = [SetTimeout(TIMEOUT, 0, 2), SetTimeout(STATE_TIMEOUT, 0, 2)]
        return NextState("three", *zeroes, NextEvent(INTERNAL, 2))

    def three(m: Any, event_type: Any, content: Any) -> Any:
        m.notes.append((event_type, content))
        match event_type, content:
            case _, 2 if event_type is INTERNAL:
                # The state timeout comes after the inserted event, and cancels this one.
                return KeepState(SetTimeout(TIMEOUT, 0, 3))
            case _, 2:
                # Zero timeouts come in the order in which they were asked for.
                return KeepState(SetTimeout(TIMEOUT, 0, 4), SetTimeout(STATE_TIMEOUT, 0, 5))
            case _, 4:
                # One that waits can be set anew: it goes to the end, and cancels the other.
                return KeepState(SetTimeout(STATE_TIMEOUT, 0, 6), SetTimeout(TIMEOUT, 0, 7))
        caller, after_s = m.data
        return NextState("four", ReplyTo(caller, "ok"), SetTimeout(STATE_TIMEOUT, after_s, 8))

    def four(m: Any, event_type: Any, content: Any) -> Any:
        if isinstance(event_type, Call):
            m.data = event_type.caller
            return None
        if event_type is STATE_TIMEOUT:
            return StopAndReply("normal", ReplyTo(m.data, (content, m.now_s())))
        m.notes.append((event_type, content))
        return None

    ref = stage.start_link(scripted(mode, one, two, three, four), "one", notes=stage.notes)
    assert stage.call(ref, 0.5) == "ok"
    assert stage.call(ref, "check") == (8, 0.5)
    assert stage.taken() == [
        (INTERNAL, 2),
        (STATE_TIMEOUT, 2),
        (TIMEOUT, 4),
        (STATE_TIMEOUT, 6),
        (INFO, "message to self"),
        ("exit", "normal"),
    ]


def test_timeout_cancel_and_update(stage: Stage, mode: str) -> None:
    def one(m: Any, event_type: Any, content: Any) -> Any:
        m.ref.tell("message to self")
        m.data = event_type.caller
        return NextState("two", SetTimeout(STATE_TIMEOUT, 0.017, 1), NextEvent(INTERNAL, 1))

    def two(m: Any, event_type: Any, content: Any) -> Any:
        m.notes.append((event_type, content, m.now_s()))
        if event_type is INTERNAL:
            return KeepState(CancelTimeout(STATE_TIMEOUT), SetTimeout(A, 0.017, 1))
        if event_type is INFO:
            return KeepState(UpdateTimeout(A, "a"))
        return NextState("three", SetTimeout(STATE_TIMEOUT, 0.017, 2), NextEvent(INTERNAL, 2))

    async def three(m: Any, event_type: Any, content: Any) -> Any:
        if event_type is INTERNAL:
            await m.sleep(0.05)
            # By now the state timeout has rung, and waits in the mailbox.
            return KeepState(UpdateTimeout(STATE_TIMEOUT, "b"), SetTimeout(TIMEOUT, 0.017, 2))
        m.notes.append((event_type, content, m.now_s()))
        return NextState("four", ReplyTo(m.data, "ok"), SetTimeout(TIMEOUT, 17, 17))

    def four(m: Any, event_type: Any, content: Any) -> Any:
        return StopAndReply("normal", ReplyTo(event_type.caller, "ok"))

    ref = stage.start_link(scripted(mode, one, two, three, four), "one", notes=stage.notes)
    assert stage.call(ref, "test") == "ok"
    status = stage.world.wait(system.get_status(ref))
    assert status["timeouts"] == {TIMEOUT: 17}
    assert stage.call(ref, "stop") == "ok"
    assert stage.taken() == [
        (INTERNAL, 1, 0),
        (INFO, "message to self", 0),
        (A, "a", 0.017),
        (STATE_TIMEOUT, "b", 0.067),
        ("exit", "normal"),
    ]


def test_event_types_can_all_be_inserted(stage: Stage, mode: str) -> None:
    def only(m: Any, event_type: Any, content: Any) -> Any:
        m.notes.append((event_type, content))
        if content == "all":
            call = Call(m.caller)
            types: list[Any] = [
                INTERNAL,
                STATE_TIMEOUT,
                TIMEOUT,
                INFO,
                CAST,
                GenericTimeout(6),
                call,
            ]
            return KeepState(*(NextEvent(each, place) for place, each in enumerate(types)))
        if isinstance(event_type, Call):
            return StopAndReply("shutdown", ReplyTo(event_type.caller, "stopped"))
        return None

    machine_class = scripted(mode, only)
    caller = stage.caller()
    machine_class.caller = caller  # type: ignore[attr-defined]
    stage.start_link(machine_class, "only", NextEvent(INTERNAL, "all"), notes=stage.notes)
    assert stage.taken() == [
        (INTERNAL, "all"),
        (INTERNAL, 0),
        (STATE_TIMEOUT, 1),
        (TIMEOUT, 2),
        (INFO, 3),
        (CAST, 4),
        (GenericTimeout(6), 5),
        (Call(caller), 6),
        "stopped",
        ("exit", "shutdown"),
    ]


def test_generic_timers_run_by_name_and_through_changes_of_state(stage: Stage, mode: str) -> None:
    def one(m: Any, event_type: Any, content: Any) -> Any:
        timeouts = [SetTimeout(A, 1.5, 1), SetTimeout(STATE_TIMEOUT, 1.5, 1), SetTimeout(B, 1, 1)]
        return NextState("two", *timeouts, NextEvent(event_type, content))

    def two(m: Any, event_type: Any, content: Any) -> Any:
        return NextState(
            "three",
            SetTimeoutAt(C, m.now_s() + 0.5, 2),
            SetTimeout(D, 0, 2),
            SetTimeout(TIMEOUT, 0, 2),
            SetTimeout(B, math.inf, 2),
            SetTimeout(A, 1, event_type.caller),
        )

    def three(m: Any, event_type: Any, content: Any) -> Any:
        m.notes.append((event_type, m.now_s()))
        if event_type == A:
            return StopAndReply("shutdown", ReplyTo(content, "stopped"))
        return NextState("three")

    ref = stage.start_link(scripted(mode, one, two, three), "one", notes=stage.notes)
    assert stage.call(ref, "stop") == "stopped"
    assert stage.taken() == [(D, 0), (C, 0.5), (A, 1), ("exit", "shutdown")]
    assert stage.call_reason(ref, "hello") == "noproc"


# -- beyond the suite --------------------------------------------------------------------------


def test_a_zero_timeout_precedes_what_is_not_yet_received(stage: Stage, mode: str) -> None:
    def only(m: Any, event_type: Any, content: Any) -> Any:
        m.notes.append(content)
        if content == "set":
            return KeepState(SetTimeout(A, 0, "a"), SetTimeout(B, 0, "b"))
        return None

    ref = stage.start(scripted(mode, only), "only", notes=stage.notes)

    def cast_both() -> None:
        ref.cast("set")
        ref.cast("next")

    stage.world.on_shard(cast_both)
    assert stage.taken() == ["set", "a", "b", "next"]


def test_a_timeout_set_anew_while_its_zero_one_waits_runs_its_full_time(
    stage: Stage, mode: str
) -> None:
    # OTP 25.2.3 loses this timer; its documentation has it as here.
    def only(m: Any, event_type: Any, content: Any) -> Any:
        m.notes.append((content, m.now_s()))
        if content == "set":
            return KeepState(SetTimeout(A, 0, "early"), NextEvent(INTERNAL, "set anew"))
        if content == "set anew":
            return KeepState(SetTimeout(A, 1, "late"))
        return None

    ref = stage.start(scripted(mode, only), "only", notes=stage.notes)
    ref.cast("set")
    stage.world.advance(2)
    assert stage.taken() == [("set", 0), ("set anew", 0), ("late", 1)]


def test_a_timeout_that_rang_before_it_was_cancelled_is_not_delivered(
    stage: Stage, mode: str
) -> None:
    async def only(m: Any, event_type: Any, content: Any) -> Any:
        m.notes.append(content)
        if content == "set":
            return KeepState(SetTimeout(A, 1, "a"), SetTimeout(B, 1, "b"))
        if content == "cancel":
            await m.sleep(5)
            return KeepState(CancelTimeout(A))
        return None

    ref = stage.start(scripted(mode, only), "only", notes=stage.notes)
    stage.cast(ref, "set", "cancel")
    stage.world.advance(10)
    assert stage.taken() == ["set", "cancel", "b"]


def test_timers_of_a_dead_machine_neither_fire_nor_linger(stage: Stage, mode: str) -> None:
    def only(m: Any, event_type: Any, content: Any) -> Any:
        return KeepState(SetTimeout(A, 3600), SetTimeout(STATE_TIMEOUT, 7200))

    ref = stage.start(scripted(mode, only), "only")
    stage.cast(ref, "set")
    ref.kill()
    stage.world.settle()
    assert stage.world.on_shard(stage.world.node.shard.timers.next_live_s) is None
    stage.world.advance(10_000)
    assert not stage.world.node.dead_letters.recent
