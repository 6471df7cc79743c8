"""The keeper as the driver's runner of commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fifo.hypervisors.linux.commands import CommandOutput
from fifo.hypervisors.linux.keeper.limits import OUTPUT_BYTES_MAX
from fifo.hypervisors.linux.keeper_client import Program
from fifo.model.errors import DeadlineExceeded, DriverFailed, NotReady

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fifo.hypervisors.linux.commands import Run
    from fifo.hypervisors.linux.keeper_client import KeeperClient

NOT_STARTED = "KEEPER_NOT_STARTED"
"""The keeper's refusal of a program that is not there or may not be executed."""


def runner(keeper: KeeperClient) -> Run:
    """Give the runner that has the keeper execute commands: the node itself spawns nothing."""

    async def run(
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        deadline_s: float,
        netns: str | None = None,
    ) -> CommandOutput:
        try:
            done = await keeper.run(
                Program(argv, netns=netns or ""),
                deadline_s=deadline_s,
                stdin=stdin or None,
                output_bytes=OUTPUT_BYTES_MAX,
            )
        except DriverFailed as error:
            if error.reason_text == NOT_STARTED:
                told = "it is not installed, or may not be executed"
                raise NotReady(told, argv[0], f"install {argv[0]} on the host") from error
            raise
        if done.timed_out:
            raise DeadlineExceeded(
                f"not done within {deadline_s:g} s, and killed", " ".join(argv[:3]),
                "see what the host is busy with, and try again",
            )  # fmt: skip
        status = done.status if done.status is not None else -(done.signal or 0)
        return CommandOutput(status, done.stdout, done.stderr)

    return run
