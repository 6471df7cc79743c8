"""The signals that ask the demo to end: it deletes what it has made first."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any, Final, TypeVar

from fifo.model.errors import Cancelled

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, an ordinary kill, and a terminal that is closed."""
SHELL_SIGNAL: Final = 128
"""What a shell adds to a signal to make an exit status of it."""


class Interruption:
    """The first of the signals; later ones change nothing. Used on the demo's loop alone."""

    def __init__(self) -> None:
        self.number = 0
        self._asked = asyncio.Event()

    @property
    def status(self) -> int:
        """The exit status of a program that such a signal has ended."""
        return SHELL_SIGNAL + self.number

    def listen(self) -> None:
        """Take the signals, from whoever had them before."""
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self.take, number)

    def take(self, number: int) -> None:
        """Take note of a signal."""
        self.number = self.number or number
        self._asked.set()

    def give_up(self) -> None:
        """Have who waits go on without a signal: what could be interrupted has ended by itself."""
        self._asked.set()

    async def wait(self) -> None:
        """Return when there has been one, or will be none."""
        await self._asked.wait()

    async def limit(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something that can be given up at any point; raises Cancelled when a signal comes."""
        task = asyncio.ensure_future(work)
        asked = asyncio.ensure_future(self.wait())
        try:
            await asyncio.wait((task, asked), return_when=asyncio.FIRST_COMPLETED)
        finally:
            asked.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait((task,))
            raise Cancelled("it was interrupted", "the demo", "start it again")
        return await task
