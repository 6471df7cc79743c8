"""What the keys do to a view."""

from __future__ import annotations

import pytest

from supervisors.observe import keys, tree
from supervisors.observe.screen import View
from tests.supervisors.observer.samples import TOWN, pid

ROOM = 4
START = View(opened=frozenset({pid(1), pid(3)}))


def after(data: bytes, view: View = START) -> View | None:
    """Give the view after some bytes from a terminal."""
    for key in keys.parse(data):
        lines = tree.lines(TOWN, view.opened, sort=view.sort, wanted=view.wanted)
        pressed = keys.press(view, key, lines, ROOM)
        if pressed is None:
            return None
        view = pressed
    return view


def cursor(data: bytes, view: View = START) -> tuple[int, int]:
    view_after = after(data, view)
    assert view_after is not None
    return view_after.cursor, view_after.top


@pytest.mark.parametrize(
    ("data", "read"),
    [
        (b"", []),
        (b"q", ["q"]),
        (b"jk", ["j", "k"]),
        (b"\x1b[A\x1b[B", [keys.UP, keys.DOWN]),
        (b"\x1bOA\x1bOB", [keys.UP, keys.DOWN]),
        (b"\x1b[5~\x1b[6~", [keys.PAGE_UP, keys.PAGE_DOWN]),
        (b"\x1b[H\x1b[F", [keys.HOME, keys.END]),
        (b"x\x1b[Ay", ["x", keys.UP, "y"]),
        (b"\r\x7f", [keys.ENTER, keys.BACKSPACE]),
        (b"\x1b", [keys.ESCAPE]),
        (b"\x1b[99;99R", []),
        ("é".encode(), ["é"]),
        (b"\xff\xfe", []),
    ],
)
def test_bytes_become_keys(data: bytes, read: list[str]) -> None:
    assert list(keys.parse(data)) == read


def test_q_quits() -> None:
    assert after(b"jjq") is None


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (b"j", (1, 0)), (b"\x1b[B", (1, 0)), (b"k", (0, 0)), (b"jjjj", (4, 1)), (b"G", (8, 5)),
        (b"Gg", (0, 0)), (b"\x1b[6~", (4, 1)), (b"G\x1b[5~", (4, 4)), (b"jjjjkkkk", (0, 0)),
    ],
)  # fmt: skip
def test_moves_stay_on_the_tree_and_the_screen_follows(data: bytes, where: tuple[int, int]) -> None:
    assert cursor(data) == where


def test_enter_folds_and_unfolds_what_has_children() -> None:
    folded = after(b"jj\r")
    assert folded is not None
    assert folded.opened == frozenset({pid(1)})
    unfolded = after(b"\r", folded)
    assert unfolded is not None
    assert unfolded.opened == START.opened
    assert after(b"j ") == after(b"j")


def test_folding_what_is_above_keeps_the_cursor_on_the_tree() -> None:
    folded = after(b"g\r", View(cursor=8, top=5, opened=START.opened))
    assert folded is not None
    lines = tree.lines(TOWN, folded.opened)
    followed = keys.follow(folded, lines, ROOM)
    assert (followed.cursor, followed.top) == (0, 0)


def test_s_goes_through_all_orders_and_back() -> None:
    seen = []
    view: View | None = START
    for _ in range(len(tree.SORTS) + 1):
        assert view is not None
        view = after(b"s", view)
        assert view is not None
        seen.append(view.sort)
    assert seen == [*tree.SORTS, tree.AS_STARTED]


def test_a_filter_is_typed_kept_and_dropped() -> None:
    typed = after(b"/workx\x7f")
    assert typed is not None
    assert (typed.wanted, typed.typing) == ("work", True)
    kept = after(b"\r", typed)
    assert kept is not None
    assert (kept.wanted, kept.typing) == ("work", False)
    for dropped in (after(b"\x1b", kept), after(b"\x1b", typed)):
        assert dropped is not None
        assert (dropped.wanted, dropped.typing) == ("", False)
    assert after(b"/q") is not None
