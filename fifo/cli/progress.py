"""A progress bar on standard error: drawn on a terminal, silent anywhere else."""

from __future__ import annotations

import shutil
import sys
from typing import Final, Self

from fifo.cli.text import cut, safe

WIDTH: Final = 30


class Progress:
    """One line, drawn over and over; a context manager that clears it at the end."""

    def __init__(self, *, quiet: bool) -> None:
        self.drawn = not quiet and sys.stderr.isatty()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.drawn:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def show(self, verb: str, stage: str, percent: int) -> None:
        """Draw how far it is."""
        if self.drawn:
            full = WIDTH * max(0, min(100, percent)) // 100
            bar = "█" * full + "░" * (WIDTH - full)
            line = f"{safe(verb)} {bar} {percent:3d} % {safe(stage)}"
            # A line that wraps could not be cleared any more.
            line = cut(line, max(WIDTH, shutil.get_terminal_size().columns - 1))
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
