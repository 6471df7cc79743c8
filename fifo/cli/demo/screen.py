"""What the demo prints: a line a step, with how long it took."""

from __future__ import annotations

import contextlib
import os
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
        self._print(f"\n{text}\n")

    def say(self, text: str) -> None:
        """Tell something on a line of its own."""
        for line in text.splitlines():
            self._print(f"    {safe(line)}\n")

    @contextlib.contextmanager
    def step(self, text: str) -> Iterator[list[str]]:
        """Show a step; what the caller puts into the list is told behind it."""
        if self._live:
            self._print(f"  … {text}")
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
            self._print(f"{start}  {mark} {text}{more} ({took_s:.2f} s)\n")

    @staticmethod
    def _print(text: str) -> None:
        """Print, as long as somebody reads: what was begun is taken back without that as well."""
        try:
            print(text, end="", flush=True)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def total_s(self) -> float:
        """Give the seconds since the beginning."""
        return time.monotonic() - self._began_s
