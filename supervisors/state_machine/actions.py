"""What the callbacks of a state machine return: results, and the actions in them (OTP: gen_statem).

A callback returns None (stay in this state) or one of the results `NextState`, `KeepState`,
`RepeatState`, `Stop` and `StopAndReply`. The first three take any number of actions, which act in
their order; where only one can hold (postpone, hibernate, each timeout) the last one does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from supervisors.results import Hibernate

if TYPE_CHECKING:
    from supervisors.state_machine.events import Call, EventType, GenericTimeout, TimeoutType

# -- actions ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReplyTo:
    """Answer a call now (`{reply, From, Reply}`)."""

    caller: Any
    value: Any


@dataclass(frozen=True, slots=True)
class Postpone:
    """Put this event aside and handle it again after the state has changed (`postpone`)."""

    wanted: bool = True


@dataclass(frozen=True, slots=True)
class NextEvent:
    """Handle this event before everything that waits; several keep their order (`next_event`)."""

    event_type: EventType | Call | GenericTimeout
    content: Any = None


@dataclass(frozen=True, slots=True)
class StayAwake:
    """Take back a `Hibernate` that an earlier action asked for (`{hibernate, false}`)."""


@dataclass(frozen=True, slots=True)
class SetTimeout:
    """Send an event after `after_s` seconds; one that runs already starts anew.

    0 starts no timer: the event follows those queued and precedes those not yet received.
    `math.inf` is as good as `CancelTimeout`.
    """

    timeout: TimeoutType
    after_s: float
    content: Any = None


@dataclass(frozen=True, slots=True)
class SetTimeoutAt:
    """As SetTimeout, at a time on the shard's clock (`self.now_s()`); `{abs, true}` in OTP.

    A time that has passed fires as soon as timers are looked at, after what is in the mailbox.
    """

    timeout: TimeoutType
    at_s: float
    content: Any = None


@dataclass(frozen=True, slots=True)
class UpdateTimeout:
    """Change the content of a running timeout, not its time; one not running fires as with 0."""

    timeout: TimeoutType
    content: Any = None


@dataclass(frozen=True, slots=True)
class CancelTimeout:
    """Cancel a timeout, also one whose event is already on its way."""

    timeout: TimeoutType


@dataclass(frozen=True, slots=True)
class ChangeCallbacks:
    """Let another object's callbacks serve the events, this one's enter call included.

    OTP: `change_callback_module`. The object has `callback_mode`, may have `state_enter`, and gets
    what data it needs from whoever makes it.
    """

    callbacks: Any


@dataclass(frozen=True, slots=True)
class PushCallbacks:
    """As ChangeCallbacks, keeping the present object for `PopCallbacks` to come back to."""

    callbacks: Any


@dataclass(frozen=True, slots=True)
class PopCallbacks:
    """Go back to the callbacks before the last `PushCallbacks`; fails where there are none."""


TimeoutAction = SetTimeout | SetTimeoutAt | UpdateTimeout | CancelTimeout
CallbacksAction = ChangeCallbacks | PushCallbacks | PopCallbacks
Action = ReplyTo | Postpone | NextEvent | Hibernate | StayAwake | TimeoutAction | CallbacksAction

# -- results ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, init=False)
class NextState:
    """Go to a state; the one the machine is in already is as good as KeepState."""

    state: Any
    actions: tuple[Action, ...]

    def __init__(self, state: Any, *actions: Action) -> None:
        object.__setattr__(self, "state", state)
        object.__setattr__(self, "actions", actions)


@dataclass(frozen=True, slots=True, init=False)
class KeepState:
    """Stay in the state."""

    actions: tuple[Action, ...]

    def __init__(self, *actions: Action) -> None:
        object.__setattr__(self, "actions", actions)


@dataclass(frozen=True, slots=True, init=False)
class RepeatState:
    """Stay in the state and make its enter call again; postponed events stay aside."""

    actions: tuple[Action, ...]

    def __init__(self, *actions: Action) -> None:
        object.__setattr__(self, "actions", actions)


@dataclass(frozen=True, slots=True, init=False)
class StopAndReply:
    """Send the replies, in order, then end the machine."""

    reason: Any
    replies: tuple[ReplyTo, ...]

    def __init__(self, reason: Any, *replies: ReplyTo) -> None:
        object.__setattr__(self, "reason", reason)
        object.__setattr__(self, "replies", replies)


@dataclass(frozen=True, slots=True, init=False)
class StartIn:
    """Returned by init: begin in this state, actions first; a tuple (state, *actions) says it too.

    As in OTP the starter has its answer before the actions act and the state is entered.
    """

    state: Any
    actions: tuple[Action, ...]

    def __init__(self, state: Any, *actions: Action) -> None:
        object.__setattr__(self, "state", state)
        object.__setattr__(self, "actions", actions)
