"""Starting the keeper, detached from who starts it."""

from __future__ import annotations

import asyncio
import os
import subprocess
from typing import TYPE_CHECKING, Final

from fifo.hypervisors.linux.keeper.boot import command
from fifo.model.errors import NotReady

if TYPE_CHECKING:
    from pathlib import Path

LOG: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND
NOT_STARTED: Final = "KEEPER_NOT_STARTED"
"""The reason of the error where there is no keeper afterwards, however far its start came."""


async def start_keeper(directory: Path, *, timeout_s: float = 10.0) -> bool:
    """Start the keeper of a directory, unless one serves it; return when it can be connected to.

    Gives whether this call started it. It leads a session of its own and is no child of this
    process. Called before the node grows, and again when the keeper has died. Raises NotReady if
    it cannot serve: its log says more.
    """
    process, ready = _launch(directory)
    try:
        said = await _first_line(ready, timeout_s)
    except BaseException:
        # Nobody waits for it any more, who would take note of its end.
        process.kill()
        process.wait()
        raise
    finally:
        os.close(ready)
    # It went on in a child of its own, so this one ends at once.
    process.wait()
    if not said.startswith(("ready ", "taken ")):
        raise NotReady(
            f"the keeper does not serve: {said.removeprefix('failed ').strip() or 'it ended'}",
            str(directory),
            "see keeper.log in that directory",
            reason=NOT_STARTED,
        )
    return said.startswith("ready ")


def _launch(directory: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Execute it: vfork and exec, about a millisecond. Give the pipe on which it speaks, too."""
    ready, starting = os.pipe()
    opened = [starting]
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        opened.append(os.open(directory / "keeper.log", LOG, 0o600))
        process = subprocess.Popen(  # noqa: S603 -- our own program
            command("keep", str(directory.absolute()), str(starting)),
            stdin=subprocess.DEVNULL,
            stdout=opened[1],
            stderr=opened[1],
            cwd="/",
            env={"PATH": os.environ.get("PATH", os.defpath)},
            pass_fds=(starting,),
            start_new_session=True,
        )
    except OSError as error:
        os.close(ready)
        raise NotReady(
            f"no keeper was started: {error}",
            str(directory),
            "see the error",
            reason=NOT_STARTED,
        ) from None
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return process, ready


async def _first_line(descriptor: int, timeout_s: float) -> str:
    """Read a pipe up to its first line, or to its end."""
    loop = asyncio.get_running_loop()
    said = b""
    readable = asyncio.Event()
    os.set_blocking(descriptor, False)
    loop.add_reader(descriptor, readable.set)
    try:
        async with asyncio.timeout(timeout_s):
            while not said.endswith(b"\n"):
                await readable.wait()
                readable.clear()
                data = os.read(descriptor, 4096)
                said += data
                if not data:
                    break
    except TimeoutError:
        return f"failed no answer within {timeout_s:g} s"
    finally:
        loop.remove_reader(descriptor)
    return said.decode(errors="replace")
