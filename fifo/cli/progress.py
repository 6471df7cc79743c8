"""A progress bar on standard error: drawn on a terminal, silent anywhere else."""

from __future__ import annotations

import sys
from typing import Final, Self

from fifo.cli.text import safe

WIDTH: Final = 30


class Progress:
    """One line, drawn over and over; a context manager that clears it at the end."""

    def __init__(self, *, quiet: bool) -> None:
        self._shown = not quiet and sys.stderr.isatty()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def show(self, verb: str, stage: str, percent: int) -> None:
        """Draw how far it is."""
        if self._shown:
            full = WIDTH * max(0, min(100, percent)) // 100
            bar = "█" * full + "░" * (WIDTH - full)
            line = f"\r\x1b[K{safe(verb)} {bar} {percent:3d} % {safe(stage)}"
            print(line, end="", file=sys.stderr, flush=True)
