"""A runner of commands for who has no keeper: the command line, and tests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from fifo.model.errors import DeadlineExceeded

if TYPE_CHECKING:
    from collections.abc import Sequence


class Finished(NamedTuple):
    """What a command left behind; see `commands.Completed`."""

    status: int
    stdout: bytes
    stderr: bytes


async def run(argv: Sequence[str], *, stdin: bytes = b"", deadline_s: float) -> Finished:
    """Run a command on the asyncio loop, and kill it at the deadline or when cancelled.

    Raises DeadlineExceeded. Never called by the node, which spawns nothing itself.
    """
    process = await asyncio.create_subprocess_exec(
        *argv,
        # uvloop refuses to write even nothing to a program that has ended already.
        stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(deadline_s):
            stdout, stderr = await process.communicate(stdin or None)
    except TimeoutError:
        raise DeadlineExceeded(
            f"did not end within {deadline_s:g} s", argv[0], "look at what the machine is busy with"
        ) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Finished(await process.wait(), stdout, stderr)
