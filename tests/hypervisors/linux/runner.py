"""The driver's runner without a keeper: commands as children of the test."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fifo.hypervisors.linux.commands import CommandOutput
from fifo.model.errors import DeadlineExceeded, NotReady

if TYPE_CHECKING:
    from collections.abc import Sequence


async def run(
    argv: Sequence[str], *, stdin: bytes = b"", deadline_s: float, netns: str | None = None
) -> CommandOutput:
    """Run a command to its end: `fifo.hypervisors.linux.commands.Run`."""
    where = ["nsenter", f"--net={netns}", "--"] if netns else []
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            *where, *argv, stdin=pipe, stdout=pipe, stderr=pipe
        )
    except FileNotFoundError:
        raise NotReady("is not there", argv[0], f"install {argv[0]}") from None
    try:
        async with asyncio.timeout(deadline_s):
            stdout, stderr = await process.communicate(stdin)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise DeadlineExceeded("is late", argv[0], "see why") from None
    assert process.returncode is not None
    return CommandOutput(process.returncode, stdout, stderr)
