"""State machines with gen_statem's rules: the process, its events, results and actions."""

from __future__ import annotations

from supervisors.state_machine.actions import (
    CancelTimeout,
    ChangeCallbacks,
    KeepState,
    NextEvent,
    NextState,
    PopCallbacks,
    Postpone,
    PushCallbacks,
    RepeatState,
    ReplyTo,
    SetTimeout,
    SetTimeoutAt,
    StartIn,
    StayAwake,
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
    EventType,
    GenericTimeout,
)
from supervisors.state_machine.machine import StateMachine

__all__ = [
    "CAST",
    "INFO",
    "INTERNAL",
    "STATE_TIMEOUT",
    "TIMEOUT",
    "Call",
    "CancelTimeout",
    "ChangeCallbacks",
    "Enter",
    "EventType",
    "GenericTimeout",
    "KeepState",
    "NextEvent",
    "NextState",
    "PopCallbacks",
    "Postpone",
    "PushCallbacks",
    "RepeatState",
    "ReplyTo",
    "SetTimeout",
    "SetTimeoutAt",
    "StartIn",
    "StateMachine",
    "StayAwake",
    "StopAndReply",
    "UpdateTimeout",
]
