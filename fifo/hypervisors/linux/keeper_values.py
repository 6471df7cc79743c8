"""What the keeper answers, as values, and its refusals, as errors."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fifo.model import errors

if TYPE_CHECKING:
    from fifo.model.errors import FifoError

ERRORS: Final[dict[str, type[FifoError]]] = {
    "already_running": errors.WrongState,
    "busy": errors.WrongState,
    "console_full": errors.Unavailable,
    "exhausted": errors.NoRoom,
    "input_full": errors.Unavailable,
    "journal_full": errors.NoRoom,
    "no_channel": errors.NotFound,
    "no_console": errors.NotFound,
    "no_guest": errors.Unavailable,
    "no_process": errors.NotFound,
    "no_terminal": errors.Unsupported,
    "not_adopted": errors.Conflict,
    "not_running": errors.WrongState,
    "not_writer": errors.Busy,
    "unknown_seq": errors.HistoryGone,
    "unknown_version": errors.NotReady,
    "writer_taken": errors.Busy,
}
"""The class of each code of the keeper; of any other, DriverFailed: the driver asked wrongly."""


def error_of(subject: str, refusal: dict[str, Any]) -> FifoError:
    """Make the error of a refusal; its reason is KEEPER_ and the code."""
    code = str(refusal["code"])
    what, _, remedy = str(refusal["message"]).rpartition("; ")
    kind = ERRORS.get(code, errors.DriverFailed)
    return kind(what or remedy, subject, remedy if what else "", reason=f"KEEPER_{code.upper()}")


class Exit(NamedTuple):
    """How an instance's process ended.

    `how` is `exited` (with `status`), `signaled` (with `signal`), `unknown` (its keeper had died
    before; it counts as a failure) or `rebooted` (the host did). `time` is in seconds since 1970;
    `seq` numbers it within a journal.
    """

    seq: int
    instance: str
    start_id: str
    boot_id: str
    pid: int | None
    start_time: int | None
    how: str
    status: int | None
    signal: int | None
    time: float

    @classmethod
    def read(cls, record: dict[str, Any]) -> Exit:
        """Read a record."""
        return cls._make(map(record.get, cls._fields))

    @property
    def clean(self) -> bool:
        """Whether it ended by itself with status 0."""
        return self.how == "exited" and self.status == 0


class Watched(NamedTuple):
    """A watched instance; (boot_id, pid, start_time) names its process for ever.

    `running` False with `exit` None: it has ended, and the disk has not taken the record yet.
    """

    instance: str
    start_id: str
    boot_id: str
    pid: int | None
    start_time: int | None
    running: bool
    exit: Exit | None

    @classmethod
    def read(cls, view: dict[str, Any]) -> Watched:
        """Read a view."""
        found = cls._make(map(view.get, cls._fields))
        return found if found.exit is None else found._replace(exit=Exit.read(view["exit"]))


class Finished(NamedTuple):
    """How a command ended: `status`, or the `signal` that killed it, the deadline's included.

    `stdout_bytes` is how much came; `stdout` is the beginning of it, as much as was asked for.
    """

    status: int | None
    signal: int | None
    timed_out: bool
    elapsed_ms: float
    stdout: bytes
    stderr: bytes
    stdout_bytes: int
    stderr_bytes: int

    @classmethod
    def read(cls, result: dict[str, Any]) -> Finished:
        """Read an answer; a command with a log has no streams in it."""
        return cls(
            result["status"],
            result["signal"],
            result["timed_out"],
            result["elapsed_ms"],
            base64.b64decode(result.get("stdout", "")),
            base64.b64decode(result.get("stderr", "")),
            result.get("stdout_bytes", 0),
            result.get("stderr_bytes", 0),
        )
