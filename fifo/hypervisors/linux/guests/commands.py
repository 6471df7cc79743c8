"""How the builders run outside commands: the runner they are handed, and what a failure says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from fifo.model.errors import DriverFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

DEADLINE_S: Final = 60.0
"""For a command that only works on local files; each of ours takes well under 5 s."""
COMPLAINT_CHARACTERS: Final = 500
"""The end of what a command wrote to stderr goes into the error: the reason stands last."""
ARGUMENTS_SHOWN: Final = 3
"""Enough of a command line to know which call it was."""


class Completed(Protocol):
    """What a command left behind: a negative status is the number of the signal that ended it."""

    @property
    def status(self) -> int:
        """The status."""

    @property
    def stdout(self) -> bytes:
        """What it printed."""

    @property
    def stderr(self) -> bytes:
        """What it complained about."""


class Run(Protocol):
    """Runs a command to its end; raises DeadlineExceeded, with the command killed, if it is late.

    The node passes the driver's runner, behind which the keeper spawns; the command line and the
    tests pass `spawning.run`. Where a command has to work in a directory, `env --chdir` goes there.
    """

    async def __call__(
        self, argv: Sequence[str], *, stdin: bytes = b"", deadline_s: float
    ) -> Completed:
        """Run it."""


async def output(run: Run, argv: Sequence[str], *, deadline_s: float = DEADLINE_S) -> str:
    """Run a command that has to succeed and return what it printed; raises DriverFailed."""
    done = await run(argv, deadline_s=deadline_s)
    if done.status != 0:
        complaint = done.stderr.decode(errors="replace").strip()[-COMPLAINT_CHARACTERS:]
        raise DriverFailed(
            f"ended with status {done.status}: {complaint or 'it said nothing'}",
            " ".join(argv[:ARGUMENTS_SHOWN]),
            "run it by hand to see what it lacks",
        )
    return done.stdout.decode()
