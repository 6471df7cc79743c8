"""A whole terminal drawn again and again without a flicker, and given back as it was."""

from __future__ import annotations

import os
import select
import sys
import termios
import tty
from typing import TYPE_CHECKING, Any, Final, Self

from fifo.cli.text import cut

if TYPE_CHECKING:
    from collections.abc import Sequence

ENTER: Final = "\x1b[?1049h\x1b[?25l"
"""The alternate screen, without a cursor."""
LEAVE: Final = "\x1b[?25h\x1b[?1049l"
BEGIN: Final = "\x1b[?2026h\x1b[H"
"""From here to END a terminal that knows this shows nothing; others get one write all the same."""
END: Final = "\x1b[J\x1b[?2026l"
QUIT: Final = b"qQ\x03\x04"
"""q, Ctrl-C and Ctrl-D, where the terminal hands keys over one by one."""


class Screen:
    """Draws pages where both ends are a terminal, else prints them; a context manager."""

    def __init__(self) -> None:
        self.drawn = sys.stdout.isatty() and sys.stdin.isatty()
        self._before: list[Any] | None = None

    def __enter__(self) -> Self:
        if self.drawn:
            self._before = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin)
            self._write(ENTER)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        if self._before is None:
            return False
        self._write(LEAVE)
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)
        # Ctrl-C is how a screen is left: no failure, and nothing to tell.
        return kind is KeyboardInterrupt

    def show(self, lines: Sequence[str]) -> None:
        """Show a page: on a terminal in place of the last one, cut to what there is room for."""
        if not self.drawn:
            print("\n".join(lines), flush=True)
            return
        size = os.get_terminal_size(sys.stdout.fileno())
        page = "\x1b[K\r\n".join(cut(line, size.columns) for line in lines[: size.lines - 1])
        self._write(f"{BEGIN}{page}\x1b[K\r\n{END}")

    def wait(self, seconds: float) -> bool:
        """Wait so long, or less when a key is pressed; tells whether to go on."""
        if not self.drawn:
            select.select([], [], [], seconds)
            return True
        ready, _, _ = select.select([sys.stdin], [], [], seconds)
        return not ready or os.read(sys.stdin.fileno(), 1) not in [bytes([key]) for key in QUIT]

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()
