"""What the keys do: from bytes to keys, and from a key and a view to the next view."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from supervisors.observe.tree import AS_STARTED, SORTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from supervisors.observe.screen import View
    from supervisors.observe.tree import Line
    from supervisors.pid import Pid

QUIT: Final = "q"
UP: Final = "up"
DOWN: Final = "down"
PAGE_UP: Final = "page up"
PAGE_DOWN: Final = "page down"
HOME: Final = "home"
END: Final = "end"
ENTER: Final = "enter"
ESCAPE: Final = "escape"
BACKSPACE: Final = "backspace"

_SEQUENCES: Final = {
    b"\x1b[A": UP, b"\x1bOA": UP, b"\x1b[B": DOWN, b"\x1bOB": DOWN,
    b"\x1b[5~": PAGE_UP, b"\x1b[6~": PAGE_DOWN,
    b"\x1b[H": HOME, b"\x1bOH": HOME, b"\x1b[1~": HOME,
    b"\x1b[F": END, b"\x1bOF": END, b"\x1b[4~": END,
}  # fmt: skip
_SINGLE: Final = {"\r": ENTER, "\n": ENTER, "\x1b": ESCAPE, "\x7f": BACKSPACE, "\b": BACKSPACE}
_MOVES: Final = {"k": UP, "j": DOWN, "g": HOME, "G": END, " ": ENTER}
_FILTER_CHARACTERS: Final = 60
_ORDERS: Final = (AS_STARTED, *SORTS)


def parse(data: bytes) -> Iterator[str]:
    """Read keys from what a terminal sent at once; unknown sequences are dropped."""
    while data:
        for sequence, key in _SEQUENCES.items():
            if data.startswith(sequence):
                yield key
                data = data[len(sequence) :]
                break
        else:
            if data[:1] == b"\x1b" and len(data) > 1:
                return
            text = data.decode(errors="ignore")
            for one in text.partition("\x1b")[0] or text[:1]:
                yield _SINGLE.get(one, one)
            rest = text.partition("\x1b")
            data = (rest[1] + rest[2]).encode() if rest[0] else b""


def press(view: View, key: str, lines: Sequence[Line], room: int) -> View | None:
    """Give the view after a key, None to quit. `room` is the number of lines of the tree shown."""
    if view.typing:
        return follow(_typed(view, key), lines, room)
    if key == QUIT:
        return None
    steps = {
        UP: -1, DOWN: 1, PAGE_UP: -room, PAGE_DOWN: room, HOME: -len(lines), END: len(lines),
    }  # fmt: skip
    key = _MOVES.get(key, key)
    if key in steps:
        view = replace(view, cursor=view.cursor + steps[key])
    elif key == ENTER:
        view = _folded(view, lines)
    elif key == "s":
        order = _ORDERS[(_ORDERS.index(view.sort) + 1) % len(_ORDERS)]
        view = replace(view, sort=order)
    elif key == "/":
        view = replace(view, typing=True)
    elif key == ESCAPE:
        view = replace(view, wanted="")
    return follow(view, lines, room)


def follow(view: View, lines: Sequence[Line], room: int) -> View:
    """Keep the cursor on a line and the line on the screen."""
    cursor = max(0, min(view.cursor, len(lines) - 1))
    top = max(0, min(view.top, cursor, max(0, len(lines) - room)))
    if cursor >= top + room:
        top = cursor - room + 1
    return replace(view, cursor=cursor, top=top)


def _typed(view: View, key: str) -> View:
    if key == ENTER:
        return replace(view, typing=False)
    if key == ESCAPE:
        return replace(view, typing=False, wanted="")
    if key == BACKSPACE:
        return replace(view, wanted=view.wanted[:-1])
    if len(key) == 1 and key.isprintable():
        return replace(view, wanted=(view.wanted + key)[:_FILTER_CHARACTERS])
    return view


def _folded(view: View, lines: Sequence[Line]) -> View:
    row = lines[view.cursor].row if view.cursor < len(lines) else None
    if row is None or row.pid is None or not row.children:
        return view
    opened: frozenset[Pid] = view.opened or frozenset()
    return replace(view, opened=opened ^ {row.pid})
