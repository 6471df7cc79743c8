"""Consoles and commands as the driver's callers see them: channels over the keeper."""

from __future__ import annotations

import asyncio
import signal
from collections import deque
from typing import TYPE_CHECKING

from fifo.hypervisors.linux import limits
from fifo.hypervisors.linux.keeper_line import SLOW
from fifo.model.errors import FifoError, Unavailable, Unsupported

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fifo.hypervisors.linux.keeper_client import Attachment
    from fifo.hypervisors.linux.keeper_client import Exit as KeeperExit
    from fifo.hypervisors.linux.keeper_commands import KeeperCommand

SIGNALLED = 128
"""What a shell adds to the number of the signal that ended a command."""
UNKNOWN = 255
"""The exit code of a command of which nobody can say how it ended, as ssh(1) has it: the keeper
that ran it has gone, or says nothing."""


class TerminalChannel:
    """A terminal that the keeper holds: a zone's console, or a command's.

    `outcome` is how the command ended, None for a console; `end` ends a command when its channel is
    closed, `forget` has the keeper drop it, `give_up` does both for one of which the keeper says
    nothing. Used on the node's loop.
    """

    def __init__(
        self,
        attachment: Attachment,
        outcome: asyncio.Future[KeeperExit] | None = None,
        end: Callable[[], Awaitable[object]] | None = None,
        forget: Callable[[], Awaitable[None]] | None = None,
        give_up: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.exit_code: int | None = None
        self.fell_behind = False
        self._attachment = attachment
        self._outcome = outcome
        self._end = end
        self._forget = forget
        self._give_up = give_up

    async def read(self) -> tuple[int, bytes] | None:
        """Wait for output; None when there will be no more."""
        try:
            return 1, await anext(self._attachment)
        except StopAsyncIteration:
            pass
        except Unavailable:
            if self._attachment.reason == SLOW:
                # A command goes on until it is closed: there is no end of it to wait for.
                self.fell_behind = True
                return None
            if self._outcome is None:
                raise
        await self._settle()
        return None

    async def _settle(self) -> None:
        """Learn how a command ended, and have the keeper forget it.

        What is not told within `limits.LAST_WORD_S` is unknown, and the command is ended: nobody
        can hear it any more, and a keeper that died tells nothing.
        """
        if self._outcome is None:
            return
        if self.exit_code is None:
            # Not awaited itself: who gives up must not cancel it for another who waits.
            await asyncio.wait({self._outcome}, timeout=limits.LAST_WORD_S)
        if self.exit_code is not None:
            return
        is_known = self._outcome.done()
        self.exit_code = exit_code(self._outcome.result()) if is_known else UNKNOWN
        if (clear := self._forget if is_known else self._give_up) is not None:
            await clear()

    async def write(self, data: bytes) -> None:
        """Type; raises Busy if another types, Unavailable if the guest does not read."""
        if data:
            await self._attachment.write(data)

    async def resize(self, columns: int, rows: int) -> None:
        """Tell the terminal its size."""
        await self._attachment.resize(rows, columns)

    async def close(self) -> None:
        """Detach, and end a command."""
        if self._end is not None and self.exit_code is None:
            await self._end()
            await self._settle()
        await self._attachment.detach()


class PipeChannel:
    """A command with pipes, which waits while its output is not read.

    What is on its way when it is told to wait is bounded; beyond that, with a keeper that is too
    old to be told, the command is ended.
    """

    def __init__(self, kill: Callable[[], None], forget: Callable[[], None]) -> None:
        """Take what kills the command itself, and what is to be done when it has ended."""
        self.exit_code: int | None = None
        self.fell_behind = False
        self._kill = kill
        self._forget = forget
        self._unread: deque[tuple[int, bytes]] = deque()
        self._unread_bytes = 0
        self._changed = asyncio.Event()
        self._done = False
        self._held = False
        self._running: asyncio.Task[None] | None = None
        self._command: KeeperCommand | None = None

    def begin(self, command: KeeperCommand) -> None:
        """Wait for the command's end from now on."""
        self._command = command
        self._running = asyncio.create_task(self._wait(command))

    async def _wait(self, command: KeeperCommand) -> None:
        code = SIGNALLED + signal.SIGKILL
        try:
            done = await command.finished()
            code = done.status if done.status is not None else SIGNALLED + (done.signal or 0)
        except FifoError as error:
            code = UNKNOWN
            self._unread.append((2, f"fifo: {error}\n".encode()))
        finally:
            self.exit_code = code
            self._done = True
            self._forget()
            self._changed.set()

    def output(self, stream: str, data: bytes) -> None:
        """Take output; called by the keeper's client."""
        self._unread.append((1 if stream == "stdout" else 2, data))
        self._unread_bytes += len(data)
        self._changed.set()
        if self._unread_bytes > limits.EXEC_WAITS_BYTES and not self._held:
            self._hold(on=True)
        if self._unread_bytes > limits.EXEC_OUTPUT_BYTES and self._running is not None:
            self.fell_behind = True
            self._kill()
            self._running.cancel()

    async def read(self) -> tuple[int, bytes] | None:
        """Wait for output; None when there will be no more."""
        while not self._unread:
            if self._done:
                return None
            self._changed.clear()
            await self._changed.wait()
        stream, data = self._unread.popleft()
        self._unread_bytes -= len(data)
        if self._held and self._unread_bytes < limits.EXEC_WAITS_BYTES // 2:
            self._hold(on=False)
        return stream, data

    def _hold(self, *, on: bool) -> None:
        if self._command is not None:
            self._held = on
            self._command.hold(on=on)

    async def write(self, data: bytes) -> None:
        """Give input; empty data is its end."""
        if self._command is not None and not self._done:
            await self._command.give(data)

    async def settle(self, explain: Callable[[int, bytes], tuple[int, bytes] | None]) -> None:
        """Wait for an end that has come, and let it be told in other words if it said little."""
        if self._running is not None:
            await asyncio.wait({self._running})
        streams = {stream for stream, _ in self._unread}
        if self.exit_code is None or streams != {2}:
            return
        said = b"".join(data for _, data in self._unread)
        if (found := explain(self.exit_code, said)) is not None:
            self.exit_code, words = found
            self._unread, self._unread_bytes = deque([(2, words)]), len(words)

    async def resize(self, columns: int, rows: int) -> None:
        """Refuse it: pipes have no size."""
        del columns, rows
        raise Unsupported("no terminal, so it has no size", "command", "ask for a terminal")

    async def close(self) -> None:
        """End the command."""
        if self._running is not None and not self._done:
            self._kill()
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)


def exit_code(end: KeeperExit) -> int:
    """Give a command's exit code as a shell says it; an unknown end is a failure."""
    if end.status is not None:
        return end.status
    return SIGNALLED + end.signal if end.signal else UNKNOWN
