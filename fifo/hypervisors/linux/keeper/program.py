"""A program and its surroundings, and how the keeper executes it."""

from __future__ import annotations

import errno
import os
import subprocess
from typing import TYPE_CHECKING, Final, NamedTuple

from fifo.hypervisors.linux.keeper.fields import Refusal

if TYPE_CHECKING:
    from fifo.hypervisors.linux.keeper.fields import Fields

EXHAUSTED: Final = frozenset(
    {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT}
)
"""What passes when something else gives room."""


class Program(NamedTuple):
    """What to execute, and in which surroundings."""

    arguments: list[str]
    environment: dict[str, str] | None
    directory: str
    umask: int

    @classmethod
    def of(cls, fields: Fields) -> Program:
        """Read it from a request; a network namespace becomes `nsenter` in front of the command.

        nsenter(1) executes the command in its own place: it costs no process.
        """
        arguments = fields.arguments("argv")
        if netns := fields.path("netns", ""):
            arguments = ["nsenter", f"--net={netns}", "--", *arguments]
        return cls(
            arguments,
            fields.environment("env"),
            fields.path("cwd", "/"),
            fields.integer("umask", 0, 0o777, 0o022),
        )

    def start(
        self, mark: dict[str, str], stdin: int, stdout: int, stderr: int, *, controls: bool = False
    ) -> int:
        """Execute it in a session of its own and give its pid; raises Refusal.

        The keeper's own environment is not handed on, except where to look for programs. Python's
        subprocess takes vfork for this: the keeper stands still until the program is executed.
        With `controls` its standard input is made its controlling terminal.
        """
        environment = {"PATH": os.environ.get("PATH", os.defpath)}
        if self.environment is not None:
            environment = self.environment
        # setsid(1) forks unless its process leads no group, so subprocess must not make it lead.
        arguments = ["setsid", "--ctty", "--", *self.arguments] if controls else self.arguments
        try:
            process = subprocess.Popen(  # noqa: S603 -- running what the node names is its purpose
                arguments,
                env=environment | mark,
                cwd=self.directory,
                umask=self.umask,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                # All of the keeper's descriptors are closed on exec; sweeping costs time.
                close_fds=False,
                start_new_session=not controls,
            )
        except OSError as error:
            raise refused(error, self.arguments[0]) from None
        # The keeper reaps all its children itself.
        process.returncode = 0
        return process.pid


def refused(error: OSError, subject: str) -> Refusal:
    """Make the refusal of something the system would not do."""
    words = error.strerror or str(error)
    if error.filename not in {None, subject}:
        words = f"{words} ({error.filename})"
    if error.errno in EXHAUSTED:
        return Refusal("exhausted", f"{subject}: {words}; try again when there is room")
    return Refusal("not_started", f"{subject}: {words}; see whether it is there and may be used")
