"""A runner that goes wrong at the n-th command, before or after it was done."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal

from fifo.model.errors import DriverFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fifo.hypervisors.linux.commands import CommandOutput, Run

How = Literal["refused", "lost", "stuck", "stuck_after"]
"""Refused before it was done; done, and the reply lost; never answering, undone or done."""


class FaultyRun:
    """Commands by another runner, with one fault; `commands` is what was asked since `arm`."""

    def __init__(self, inner: Callable[[], Run]) -> None:
        self._inner = inner
        self.commands: list[str] = []
        self.reached = asyncio.Event()
        self._at = -1
        self._how: How = "refused"

    def arm(self, at: int, how: How) -> None:
        """Go wrong at the command of this number from now on, counted from 0."""
        self.commands = []
        self.reached = asyncio.Event()
        self._at, self._how = at, how

    def disarm(self) -> None:
        """Go wrong no more."""
        self.arm(-1, "refused")

    async def __call__(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        deadline_s: float,
        netns: str | None = None,
    ) -> CommandOutput:
        """Run it, unless it is its turn to fail."""
        number = len(self.commands)
        self.commands.append(" ".join(argv))
        if number != self._at:
            return await self._inner()(argv, stdin=stdin, deadline_s=deadline_s, netns=netns)
        if self._how in {"lost", "stuck_after"}:
            await self._inner()(argv, stdin=stdin, deadline_s=deadline_s, netns=netns)
        self.reached.set()
        if self._how in {"stuck", "stuck_after"}:
            await asyncio.Event().wait()
        raise DriverFailed("made to fail by the test", argv[0], "see the test")
