"""Output that waits to be read: the reading half of a console or a command."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from fifo.hypervisors.simulated import limits

if TYPE_CHECKING:
    from fifo.hypervisors.simulated.clockwork import Clockwork, Settable

OUTPUT = 1
ERRORS = 2


class Stream:
    """Bytes in order, read by one reader; what nobody reads closes it beyond a bound."""

    def __init__(self, clockwork: Clockwork) -> None:
        self._clockwork = clockwork
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._bytes = 0
        self._reader: Settable | None = None
        self.closed = False
        self.exit_code: int | None = None
        self.fell_behind = False

    def put(self, stream: int, data: bytes) -> None:
        """Give output to the reader."""
        if self.closed or not data:
            return
        self._bytes += len(data)
        if self._bytes > limits.CHANNEL_BYTES:
            self.fell_behind = True
            self.end()
            return
        self._waiting.append((stream, data))
        self._wake()

    def end(self, exit_code: int | None = None) -> None:
        """Say that no more will come; what came before can still be read."""
        if not self.closed:
            self.closed = True
            self.exit_code = exit_code
            self._wake()

    def _wake(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.reply(None)

    async def read(self) -> tuple[int, bytes] | None:
        """Wait for output; None when there will be no more."""
        while not self._waiting:
            if self.closed:
                return None
            self._reader = self._clockwork.future()
            await self._reader
        stream, data = self._waiting.popleft()
        self._bytes -= len(data)
        return stream, data
