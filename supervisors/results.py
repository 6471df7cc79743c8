"""What a handler may return besides a plain reply: gen_server's action tuples as values."""

from __future__ import annotations

from dataclasses import dataclass
from types import CoroutineType
from typing import Any, Final


class _Nothing:
    """The type of NOTHING, the absence of a reply (None is a reply like any other)."""

    def __repr__(self) -> str:
        return "NOTHING"


NOTHING: Final = _Nothing()


@dataclass(frozen=True, slots=True)
class Continue:
    """Run handle_continue(argument) before any other message (`{continue, Argument}`)."""

    argument: Any = None


@dataclass(frozen=True, slots=True)
class Timeout:
    """Send handle_info(TIMEOUT_MESSAGE) if no message comes for `after_s` seconds.

    Zero sends it at once, unless a message waits already.
    """

    after_s: float


@dataclass(frozen=True, slots=True)
class Hibernate:
    """Let go of what can be made again.

    `Process.on_hibernate` runs now, `on_wake` before the next message.
    """


Then = Continue | Timeout | Hibernate | None


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer the call with `value`, then do something more (`{reply, Value, State, Action}`)."""

    value: Any
    then: Then = None


@dataclass(frozen=True, slots=True)
class NoReply:
    """Leave the call unanswered for now; `caller.reply(value)` answers it later, from anywhere."""

    then: Then = None


@dataclass(frozen=True, slots=True)
class Stop:
    """End this process: terminate(reason) runs, then it is dead (`{stop, Reason, Reply}`)."""

    reason: Any = "normal"
    reply: Any = NOTHING


@dataclass(frozen=True, slots=True)
class Ignore:
    """Returned by init: this process is not wanted now; its starter gets IGNORE, no error."""


IGNORE: Final = Ignore()

TIMEOUT_MESSAGE: Final = "timeout"
"""What handle_info gets when `Timeout` runs out (gen_server's atom timeout)."""

SPECIAL: Final = frozenset({CoroutineType, Reply, NoReply, Stop, Continue, Timeout, Hibernate})
"""Classes of results the scheduler acts on; everything else is a reply, or nothing to do."""
