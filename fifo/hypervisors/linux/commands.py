"""How the driver runs outside commands: the runner it is handed, and what a failure says."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from fifo.hypervisors.linux import limits
from fifo.model.errors import DriverFailed, NoRoom

if TYPE_CHECKING:
    from collections.abc import Sequence

ARGUMENTS_SHOWN = 4
"""Enough of a command line to know which call it was."""


class CommandOutput(NamedTuple):
    """What a command left behind; a negative status is the number of the signal that ended it."""

    status: int
    stdout: bytes
    stderr: bytes

    @property
    def words(self) -> str:
        """The end of its complaint, else of what it printed."""
        text = (self.stderr.strip() or self.stdout.strip()).decode(errors="replace")
        return text[-limits.WORDS_CHARACTERS :] or "it said nothing"


class Run(Protocol):
    """Runs a command to its end, in another network namespace if its path is given.

    In production the keeper does, so that the node itself spawns nothing. Raises DeadlineExceeded,
    with the command killed, if it is late; NotReady if the program is not there.
    """

    async def __call__(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        deadline_s: float,
        netns: str | None = None,
    ) -> CommandOutput:
        """Run it."""


async def succeed(
    run: Run,
    argv: Sequence[str],
    *,
    subject: str = "",
    stdin: bytes = b"",
    deadline_s: float = limits.COMMAND_S,
    netns: str | None = None,
) -> bytes:
    """Run a command that has to succeed and give what it printed; raises DriverFailed or NoRoom."""
    done = await run(argv, stdin=stdin, deadline_s=deadline_s, netns=netns)
    if done.status != 0:
        raise failure(argv, done, subject)
    return done.stdout


ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What passes when somebody makes room."""


def disk_error(error: OSError, subject: str) -> DriverFailed | NoRoom:
    """Make the error for what the host's disk refused, in words; a full one is told apart."""
    of = f" of {os.fsdecode(error.filename)}" if isinstance(error.filename, (str, bytes)) else ""
    if error.errno in ROOM:
        return NoRoom(f"no room on the disk{of}", subject, "make room on the host's disk")
    what = f"the disk{of} refuses it: {error.strerror or error}"
    return DriverFailed(what, subject, "see the host's disk, and try again")


def failure(argv: Sequence[str], done: CommandOutput, subject: str = "") -> DriverFailed | NoRoom:
    """Make the error for a command that failed; a full disk is told apart."""
    call = " ".join(argv[:ARGUMENTS_SHOWN])
    # Programs written in Go, as the runtimes are, begin the system's own words with a small letter.
    if any(os.strerror(number).lower() in done.words.lower() for number in ROOM):
        return NoRoom(f"{call}: {done.words}", subject, "make room on the host's disk")
    return DriverFailed(
        f"{call} ended with {done.status}: {done.words}",
        subject,
        "see the host's own words, correct what they name and try again",
    )
