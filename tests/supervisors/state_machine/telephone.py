"""The machine of gen_statem_SUITE: it connects and disconnects, and does all else the cases ask."""

from __future__ import annotations

from typing import Any

from supervisors import IGNORE, Hibernate, Stop
from supervisors.errors import Throw
from supervisors.reasons import NORMAL
from supervisors.state_machine.actions import (
    KeepState,
    NextEvent,
    NextState,
    Postpone,
    ReplyTo,
    SetTimeout,
    SetTimeoutAt,
    StopAndReply,
)
from supervisors.state_machine.callbacks import HANDLE_EVENT_FUNCTION
from supervisors.state_machine.events import CAST, INFO, INTERNAL, TIMEOUT, Call
from supervisors.state_machine.machine import StateMachine


class Telephone(StateMachine):
    """States idle, ringing and connected; napping and napped for hibernation; counting."""

    def init(self, how: Any = "idle", data: Any = "data", notes: list[Any] | None = None) -> Any:
        self.data = data
        self.notes = notes if notes is not None else []
        match how:
            case "ignore":
                return IGNORE
            case ("stop", reason):
                return Stop(reason)
            case ("throw", result):
                raise Throw(result)
            case ("sleep", duration_s):
                return self.slow_start(duration_s)
            case "napping":
                return ("napping",)
            case "nap now":
                return ("napping", Hibernate())
            case _:
                return ("idle",)

    async def slow_start(self, duration_s: float) -> Any:
        await self.sleep(duration_s)
        return ("idle",)

    def on_hibernate(self) -> None:
        self.notes.append("hibernates")

    def terminate(self, reason: Any) -> None:
        if self.data == "crash in terminate":
            raise OSError("terminate crashed")
        self.notes.append(("terminate", reason, self.state))

    # -- states ------------------------------------------------------------------------------

    def idle(self, event_type: Any, content: Any) -> Any:
        match event_type, content:
            case Call(caller), "connect":
                caller.reply("accept")
                return NextState("ringing")
            case Call(), ("bad return", value):
                return value
            case Call(), ("bad actions", *actions):
                return KeepState(*actions)
            case Call(caller), ("delayed answer", after_s):
                return self.delayed(caller, after_s)
            case Call(caller), ("timeouts", after_s):
                self.data = (caller, after_s)
                return NextState("waiting", SetTimeoutAt(TIMEOUT, self.now_s() + after_s, "idle"))
        return self._idle(event_type, content)

    def _idle(self, event_type: Any, content: Any) -> Any:
        match event_type, content:
            case _, "connect" if event_type is CAST:
                self.notes.append("accept")
                return NextState("ringing")
            case _, "count" if event_type is CAST:
                self.data = ["a", "b", "c"]
                events = [NextEvent(INTERNAL, letter) for letter in "abc"]
                return NextState("counting", *events)
            case _, ("timeout", after_s) if event_type is CAST:
                return KeepState(SetTimeoutAt(TIMEOUT, self.now_s() + after_s, "idle"))
            case _, "postpone" if event_type is CAST:
                return KeepState(Postpone())
        return self.common(event_type, content, unknown_call=KeepState)

    async def delayed(self, caller: Any, after_s: float) -> Any:
        await self.sleep(after_s)
        caller.reply("delayed")
        raise Throw(KeepState())

    def waiting(self, event_type: Any, content: Any) -> Any:
        """Have timed out once; see that a time-zero timeout comes, and a postponed event again."""
        caller, after_s = self.data
        if event_type is TIMEOUT and content == "idle":
            self.send_after(after_s, "ring")
            return KeepState(SetTimeout(TIMEOUT, 0, 0))
        if event_type is TIMEOUT:
            return NextState("waited", SetTimeout(TIMEOUT, 0.001, "cancelled"), Postpone())
        assert caller
        return None

    def waited(self, event_type: Any, content: Any) -> Any:
        if event_type is TIMEOUT and content == 0:
            return None
        if event_type is TIMEOUT:
            return Stop(content)
        if event_type is INFO and content == "ring":
            return NextState("idle", ReplyTo(self.data[0], "ok"))
        return KeepState()

    def ringing(self, event_type: Any, content: Any) -> Any:
        match event_type, content:
            case Call(caller), "confirm":
                return NextState("connected", ReplyTo(caller, "yes"))
            case _, ("ping", _) if event_type is CAST:
                return KeepState(Postpone())
            case _, "confirm" if event_type is CAST:
                return NextState("connected")
        return self.common(event_type, content, unknown_call=lambda *do: NextState("idle", *do))

    def connected(self, event_type: Any, content: Any) -> Any:
        match event_type, content:
            case Call(caller), ("message", number):
                return KeepState(ReplyTo(caller, ("ack", number)))
            case _, ("message", number) if event_type is CAST:
                self.notes.append(("ack", number))
            case Call(caller), "disconnect":
                return NextState("idle", ReplyTo(caller, "yes"))
            case _, "disconnect" if event_type is CAST:
                return NextState("idle")
            case _, ("ping", number) if event_type is CAST:
                self.notes.append(("pong", number))
            case _:
                return self.common(event_type, content, unknown_call=KeepState)
        return None

    def counting(self, event_type: Any, content: Any) -> Any:
        if event_type is INTERNAL:
            assert self.data.pop(0) == content
            return None
        return self.common(event_type, content, unknown_call=KeepState)

    def napping(self, event_type: Any, content: Any) -> Any:
        match event_type, content:
            case Call(caller), "alive?":
                return KeepState(ReplyTo(caller, "alive!"))
            case Call(caller), "hibernate":
                return NextState("napped", ReplyTo(caller, "hibernating"), Hibernate())
            case _, "hibernate" if event_type is CAST:
                return NextState("napped", Hibernate())
            case _, "hibernate later" if event_type is INFO:
                self.send_after(1, "hibernate now")
                return None
            case _, "hibernate now" if event_type is INFO:
                return KeepState(Hibernate())
        return self.common(event_type, content, unknown_call=KeepState)

    def napped(self, event_type: Any, content: Any) -> Any:
        match event_type, content:
            case Call(caller), "wake up":
                return NextState("napping", ReplyTo(caller, "good morning"))
            case Call(caller), "snooze":
                return KeepState(ReplyTo(caller, "five minutes more"), Hibernate())
            case _, "wake up" if event_type is CAST:
                return NextState("napping")
            case _, "snooze" if event_type is CAST:
                return KeepState(Hibernate())
        return self.common(event_type, content, unknown_call=KeepState)

    # -- in every state ----------------------------------------------------------------------

    def common(self, event_type: Any, content: Any, *, unknown_call: Any) -> Any:
        if isinstance(event_type, Call):
            return self._call(event_type.caller, content, unknown_call)
        match content:
            case ("stop", reason):
                return Stop(reason)
            case "alive?":
                self.notes.append("yes")
            case ("timer", after_s):
                return KeepState(SetTimeout(TIMEOUT, after_s, "timer"))
            case "timer":
                self.notes.append("timer")
            case _ if self.state == "idle":
                raise Throw(Stop(("unexpected", event_type, content)))
        return None

    def _call(self, caller: Any, content: Any, unknown_call: Any) -> Any:
        answers = {
            "mode": self.callback_mode,
            "get": (self.name_of(self.state), self.data),
            "alive?": "yes",
        }
        match content:
            case "stop":
                return StopAndReply(NORMAL, ReplyTo(caller, "stopped"))
            case ("stop", reason):
                return StopAndReply(reason, ReplyTo(caller, "stopped"))
            case ("timer", after_s):
                return KeepState(ReplyTo(caller, "ok"), SetTimeout(TIMEOUT, after_s, "timer"))
            case str() if content in answers:
                return KeepState(ReplyTo(caller, answers[content]))
        raise Throw(unknown_call(ReplyTo(caller, "eh?")))

    @staticmethod
    def name_of(state: Any) -> str:
        return str(state)


class EventTelephone(Telephone):
    """The same in mode HANDLE_EVENT_FUNCTION; all states but the first are tuples."""

    callback_mode = HANDLE_EVENT_FUNCTION

    def handle_event(self, event_type: Any, content: Any, state: Any) -> Any:
        callback = getattr(self, self.name_of(state))
        try:
            result = callback(event_type, content)
        except Throw as thrown:
            raise Throw(wrapped(thrown.result)) from None
        return wrapped(result)

    @staticmethod
    def name_of(state: Any) -> str:
        return str(state[0]) if isinstance(state, tuple) else str(state)


def wrapped(result: Any) -> Any:
    """Put the state of a result into a tuple."""
    if isinstance(result, NextState):
        return NextState((result.state,), *result.actions)
    return result
