"""Exit reasons: why a process ended, as OTP names them (OTP: supervisor, erlang)."""

from __future__ import annotations

import traceback
from dataclasses import dataclass, field
from typing import Any, Final

from supervisors import limits

NORMAL: Final = "normal"
"""The process did what it was for. Ignored by linked processes that do not trap exits."""
SHUTDOWN: Final = "shutdown"
"""An orderly end asked for by a supervisor."""
KILL: Final = "kill"
"""The signal nobody can trap. A process that dies of it has the reason KILLED."""
KILLED: Final = "killed"
"""The process was killed; links see this, and do not die untrappably in turn."""
NOPROC: Final = "noproc"
"""There was no such process."""
NOCONNECTION: Final = "noconnection"
"""The node that the process lives on was lost."""
STUCK: Final = "stuck"
"""The watchdog abandoned a turn that ran too long."""
TIMEOUT: Final = "timeout"
"""An init did not answer in time."""


@dataclass(frozen=True, slots=True)
class Shutdown:
    """An orderly end that carries a detail: OTP's `{shutdown, Detail}`."""

    detail: Any


@dataclass(frozen=True, slots=True)
class Crash:
    """A handler raised: the error and the innermost stack frames, without holding the frames.

    Two crashes are equal when the same error object caused them.
    """

    error: BaseException
    frames: tuple[tuple[str, int, str], ...] = field(default=(), compare=False)

    @classmethod
    def of(cls, error: BaseException) -> Crash:
        """Make the reason for a raised error and cut the error's hold on its frames.

        Called by the scheduler in the turn that raised. The traceback is reduced to at most
        `limits.CRASH_FRAMES` triples (file, line, function), since a kept traceback would keep
        every local of the dead process alive.
        """
        walked = traceback.walk_tb(error.__traceback__)
        frames = [(frame.f_code.co_filename, line, frame.f_code.co_name) for frame, line in walked]
        error.__traceback__ = None
        return cls(error, tuple(frames[-limits.CRASH_FRAMES :]))

    def __str__(self) -> str:
        return f"{type(self.error).__name__}: {text(self.error)}"


@dataclass(frozen=True, slots=True)
class RemoteCrash:
    """A crash on another node: what `Crash` becomes when it crosses, as data."""

    type_name: str
    text: str

    @classmethod
    def of(cls, crash: Crash) -> RemoteCrash:
        """Make what crosses of a crash; called by the payload codec of the dying node."""
        return cls(type(crash.error).__name__, shown(crash.error))

    def __str__(self) -> str:
        return f"{self.type_name}: {self.text}"


@dataclass(frozen=True, slots=True)
class Opaque:
    """A part of a reason whose class is not registered as a payload, as its name and its text."""

    type_name: str
    text: str

    @classmethod
    def of(cls, value: object) -> Opaque:
        """Make the text that stands for a value; called by the payload codec of its node."""
        return cls(type(value).__name__, shown(value))

    def __str__(self) -> str:
        return self.text


def text(value: object) -> str:
    """Give the text of a reason, for an error that tells of it; never raises."""
    try:
        return str.__str__(str(value))
    except Exception as error:  # noqa: BLE001 - who is told of a reason cannot help its text
        return _unprintable(error)


def shown(value: object) -> str:
    """Give the message of an error, the repr of anything else; never raises, bounded in length."""
    try:
        told = str.__str__(str(value) if isinstance(value, BaseException) else repr(value))
    except Exception as error:  # noqa: BLE001 - a reason crosses whatever its repr does
        told = _unprintable(error)
    return told[: limits.REASON_CHARACTERS]


def _unprintable(error: Exception) -> str:
    return f"unprintable, {type(error).__name__} in its repr"


def means(reason: object, word: str) -> bool:
    """Tell whether a reason is one of the words above; asks nothing of one of another class."""
    if type(reason) is str:
        return reason == word
    return issubclass(type(reason), str) and str.__str__(reason) == word


def same(reason: object, other: object) -> bool:
    """Tell whether two reasons are equal; two that cannot be compared are not."""
    try:
        return bool(reason is other or reason == other)
    except Exception:  # noqa: BLE001 - their own code, in the middle of the runtime's work
        return False


def is_orderly(reason: object) -> bool:
    """Tell whether a reason is normal, shutdown or {shutdown, _}: no report, no transient restart.

    OTP: supervisor's transient rule and proc_lib's rule for crash reports use the same three.
    """
    if type(reason) is str:
        return reason in (NORMAL, SHUTDOWN)
    return type(reason) is Shutdown or means(reason, NORMAL) or means(reason, SHUTDOWN)
