"""What the demo prints: a line a step, with how long it took."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING

from fifo.cli.text import safe

if TYPE_CHECKING:
    from collections.abc import Iterator


class Screen:
    """Steps on standard output; on a terminal the one that runs is shown while it does."""

    def __init__(self) -> None:
        self._live = sys.stdout.isatty()
        self._began_s = time.monotonic()

    def title(self, text: str) -> None:
        """Begin a part."""
        print(f"\n{text}", flush=True)

    def say(self, text: str) -> None:
        """Tell something on a line of its own."""
        for line in text.splitlines():
            print(f"    {safe(line)}", flush=True)

    @contextlib.contextmanager
    def step(self, text: str) -> Iterator[list[str]]:
        """Show a step; what the caller puts into the list is told behind it."""
        if self._live:
            print(f"  … {text}", end="", flush=True)
        told: list[str] = []
        began_s = time.monotonic()
        mark = "✗"
        try:
            yield told
            mark = "✓"
        finally:
            took_s = time.monotonic() - began_s
            start = "\r\x1b[K" if self._live else ""
            more = f": {safe(', '.join(told))}" if told else ""
            print(f"{start}  {mark} {text}{more} ({took_s:.2f} s)", flush=True)

    def total_s(self) -> float:
        """Give the seconds since the beginning."""
        return time.monotonic() - self._began_s
