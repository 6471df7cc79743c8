"""The observer on a terminal: raw keys in, frames out, and a snapshot every second."""

from __future__ import annotations

import os
import selectors
import sys
import termios
import time
import tty
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from supervisors import limits
from supervisors.observe import keys, screen, tree, wire
from supervisors.observe.feed import BEGAN, ENDED, RESTARTED
from supervisors.observe.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from supervisors.observe.connection import Connection
    from supervisors.observe.feed import Change

_CHILDREN: Final = 500
_ROWS: Final = 2_000
_KEYS_BYTES: Final = 1_024
_REDRAW_S: Final = 0.25
_LATE_S: Final = 3.0

_ENTER: Final = "\x1b[?1049h\x1b[?25l"
_LEAVE: Final = "\x1b[?25h\x1b[?1049l"
_HOME: Final = "\x1b[H"
_REVERSE: Final = "\x1b[7m"
_BOLD: Final = "\x1b[1m"
_PLAIN: Final = "\x1b[0m"
_TO_END: Final = "\x1b[K"


@contextmanager
def raw(stream: TextIO, keyboard: int) -> Iterator[None]:
    """Give keys one by one and the other screen, and put everything back."""
    before = termios.tcgetattr(keyboard)
    try:
        tty.setcbreak(keyboard)
        stream.write(_ENTER)
        stream.flush()
        yield
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
        stream.write(_LEAVE)
        stream.flush()


def paint(drawn: list[str]) -> str:
    """Give the sequence that puts a frame on the screen."""
    painted = []
    for number, line in enumerate(drawn):
        style = _BOLD if number < screen.HEAD_LINES else _REVERSE if line.startswith(">") else ""
        painted.append(f"{style}{line}{_PLAIN if style else ''}{_TO_END}")
    return _HOME + "\r\n".join(painted)


class Watch:
    """What a person looks at: the newest snapshot, the changes since, and the view."""

    def __init__(self, connection: Connection, refresh_s: float) -> None:
        self._connection = connection
        self._refresh_s = refresh_s
        self._snapshot: Snapshot | None = None
        self._taken_s = 0.0
        self._asked_s: float | None = None
        self._seen: Counter[str] = Counter()
        self._rates = screen.Rates()
        self._view = screen.View(opened=frozenset())
        self._begun = False

    def run(self, stream: TextIO, keyboard: int) -> None:
        """Draw until a key says quit; raises ObserveError when the process has gone."""
        with selectors.DefaultSelector() as selector, raw(stream, keyboard):
            selector.register(self._connection, selectors.EVENT_READ)
            selector.register(keyboard, selectors.EVENT_READ)
            self._ask()
            while True:
                for key, _ in selector.select(_REDRAW_S):
                    if key.fileobj is self._connection:
                        for told in self._connection.receive():
                            self._take(told)
                    elif not self._typed(os.read(keyboard, _KEYS_BYTES)):
                        return
                now_s = time.monotonic()
                if self._asked_s is None and now_s - self._taken_s >= self._refresh_s:
                    self._ask()
                self._draw(stream)

    def _ask(self) -> None:
        self._asked_s = time.monotonic()
        opened = self._view.opened
        depth = limits.SNAPSHOT_DEPTH if self._begun else 1
        self._connection.ask(wire.request(depth, _CHILDREN, _ROWS, opened))

    def _take(self, told: Snapshot | list[Change]) -> None:
        if not isinstance(told, Snapshot):
            self._seen.update(change.kind for change in told)
            return
        now_s = time.monotonic()
        self._asked_s = None
        if self._snapshot is not None:
            passed_s = max(now_s - self._taken_s, _REDRAW_S)
            kinds = (BEGAN, ENDED, RESTARTED)
            self._rates = screen.Rates(*(round(self._seen[kind] / passed_s) for kind in kinds))
            self._seen.clear()
        self._snapshot, self._taken_s = told, now_s
        if not self._begun:
            self._begun = True
            roots = frozenset(row.pid for row in told.rows if row.pid is not None and row.children)
            self._view = replace(self._view, opened=roots)
            self._ask()

    def _typed(self, data: bytes) -> bool:
        """Act on keys; False to quit."""
        for key in keys.parse(data):
            opened = self._view.opened
            view = keys.press(self._view, key, self._lines(), self._room())
            if view is None:
                return False
            self._view = view
            if view.opened != opened:
                self._ask()
        return bool(data)

    def _lines(self) -> list[tree.Line]:
        if self._snapshot is None:
            return []
        view = self._view
        return tree.lines(self._snapshot, view.opened, sort=view.sort, wanted=view.wanted)

    def _room(self) -> int:
        return screen.body_height(os.get_terminal_size(sys.stdout.fileno()).lines)

    def _draw(self, stream: TextIO) -> None:
        if self._snapshot is None:
            return
        now_s = time.monotonic()
        late_s = 0.0 if self._asked_s is None else now_s - self._asked_s
        note = f"no answer for {late_s:.0f} s" if late_s > _LATE_S else ""
        self._view = keys.follow(replace(self._view, note=note), self._lines(), self._room())
        width, height = os.get_terminal_size(stream.fileno())
        node_s = self._snapshot.at_s + now_s - self._taken_s
        drawn = screen.screen(
            self._snapshot, self._view, width, height, now_s=node_s, rates=self._rates
        )
        stream.write(paint(drawn))
        stream.flush()


def watch(connection: Connection, stream: TextIO, keyboard: int, refresh_s: float) -> None:
    """Show a process's tree on a terminal until somebody quits."""
    Watch(connection, refresh_s).run(stream, keyboard)
