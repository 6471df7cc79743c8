"""Events of a state machine: what a state callback is told, as values (OTP: gen_statem).

A callback gets an event type and the content. Compare the plain types by `is`, or in a `match` by
their dotted names (`case EventType.CAST:`); the others carry a value and match as `Call(caller)`,
`GenericTimeout(name)` and `Enter(old_state)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, NamedTuple


class EventType(Enum):
    """The event types that carry nothing besides their content."""

    CAST = "cast"
    INFO = "info"
    TIMEOUT = "timeout"
    STATE_TIMEOUT = "state_timeout"
    INTERNAL = "internal"

    # Members are compared by identity, and Enum's own hash costs a call in Python.
    __hash__ = object.__hash__


CAST: Final = EventType.CAST
"""A request without an answer; the content is what was cast."""
INFO: Final = EventType.INFO
"""Any other message: a tell, `Exit`, `Down`, a `send_after`."""
TIMEOUT: Final = EventType.TIMEOUT
"""The event timeout ran out: nothing else happened in the meantime."""
STATE_TIMEOUT: Final = EventType.STATE_TIMEOUT
"""The state timeout ran out: the state has not changed since it was set."""
INTERNAL: Final = EventType.INTERNAL
"""An event the machine sent itself with `NextEvent`; nobody outside can."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request whose caller waits: answer with `ReplyTo(caller, value)` or `caller.reply(value)`.

    An answer may also come later, in another state, or from another process.
    """

    caller: Any


@dataclass(frozen=True, slots=True)
class Ask(Call):
    """A call by Pykka's `ask`: what its callback raises goes to the asker, the machine lives."""


@dataclass(frozen=True, slots=True)
class GenericTimeout:
    """The timeout of this name ran out; any number may run, state changes leave them alone."""

    name: Any


@dataclass(frozen=True, slots=True)
class Enter:
    """A state is entered (the state enter call of a machine with `state_enter`).

    `old_state` is the state left; at the start and for `RepeatState` it is the state itself. The
    content of an enter call is None.
    """

    old_state: Any


TimeoutType = EventType | GenericTimeout
"""What a timeout is known by: TIMEOUT, STATE_TIMEOUT or GenericTimeout(name)."""


class Event(NamedTuple):
    """One event: its type and its content."""

    event_type: EventType | Call | GenericTimeout | Enter
    content: Any


def is_timeout(value: object) -> bool:
    """Tell whether a value names a timeout."""
    return value is TIMEOUT or value is STATE_TIMEOUT or value.__class__ is GenericTimeout


def is_event_type(value: object) -> bool:
    """Tell whether an event of this type may be inserted: any but an enter call."""
    return value.__class__ in _INSERTABLE


_INSERTABLE = frozenset({EventType, Call, Ask, GenericTimeout})
