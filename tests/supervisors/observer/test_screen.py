"""The screen as a person sees it, and the tree and the texts it is made of."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisors.observe import text, tree
from supervisors.observe.screen import Rates, View, excerpt, screen
from tests.supervisors.observer.samples import TOWN, pid, row

GOLDEN = Path(__file__).parent / "golden"

VIEWS = {
    "folded_80x24": (View(opened=frozenset({pid(1)})), 80, 24),
    "pool_chosen_80x24": (View(cursor=2, opened=frozenset({pid(1), pid(3)})), 80, 24),
    "child_down_80x24": (View(cursor=6, opened=frozenset({pid(1), pid(3)})), 80, 24),
    "sorted_80x24": (View(opened=None, sort="mailbox", cursor=1), 80, 24),
    "filtered_80x24": (View(opened=None, wanted="WORKER", typing=True), 80, 24),
    "scrolled_60x9": (View(opened=None, cursor=4, top=3), 60, 9),
    "no_answer_100x8": (View(opened=frozenset(), note="no answer for 7 s"), 100, 8),
}


@pytest.mark.parametrize("name", sorted(VIEWS))
def test_the_screen_is_the_one_that_was_looked_at(name: str) -> None:
    view, width, height = VIEWS[name]
    drawn = screen(TOWN, view, width, height, now_s=101.5, rates=Rates(12, 11, 9))
    golden = (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")
    assert "".join(f"{line.rstrip()}\n" for line in drawn) == golden


@given(
    st.integers(1, 120),
    st.integers(1, 40),
    st.builds(
        View,
        cursor=st.integers(0, 12),
        top=st.integers(0, 12),
        opened=st.sampled_from([None, frozenset(), frozenset({pid(1)})]),
        sort=st.sampled_from([tree.AS_STARTED, *tree.SORTS]),
        wanted=st.text(max_size=5),
        typing=st.booleans(),
        note=st.text(max_size=20),
    ),
    st.text(max_size=40),
)
def test_every_line_fits_and_holds_nothing_a_terminal_would_act_on(
    width: int, height: int, view: View, name: str
) -> None:
    named = tuple(replace(one, name=name, state=one.state) for one in TOWN.rows)
    drawn = screen(replace(TOWN, rows=named), view, width, height, now_s=0.0, rates=Rates())
    assert len(drawn) == max(min(height, len(drawn)), 0)
    for line in drawn:
        assert text.cells(line) == width
        assert not [one for one in line if unicodedata.category(one)[0] in "CM"]


def test_an_excerpt_has_the_heads_and_the_first_lines() -> None:
    drawn = excerpt(TOWN, frozenset({pid(1)}), 80, 4)
    assert len(drawn) == 4
    assert drawn[0].startswith(" PROCESS")
    assert "root Supervisor" in drawn[1]
    assert ">" not in "".join(drawn)


# -- the tree -----------------------------------------------------------------------------------


def labels(**options: object) -> list[str]:
    listed = tree.lines(TOWN, None, **options)  # type: ignore[arg-type]
    return [tree.label(line.row) if line.row else f"{line.hidden} hidden" for line in listed]


def siblings(sort: str) -> list[str | None]:
    """List the children of the root in an order."""
    listed = tree.lines(TOWN, frozenset({pid(1)}), sort=sort)
    return [line.row.child_id for line in listed if line.row is not None and line.row.depth == 1]


def test_siblings_keep_the_order_of_their_start_or_are_sorted_the_largest_first() -> None:
    assert siblings(tree.AS_STARTED) == ["store", "pool", "agent"]
    assert siblings("restarts") == ["pool", "agent", "store"]
    assert siblings("mailbox") == ["store", "pool", "agent"]
    assert siblings("memory") == ["pool", "store", "agent"]


def test_what_is_not_in_the_snapshot_is_counted() -> None:
    assert "1198 hidden" in labels()
    assert labels()[-1] == "1 hidden"


def test_a_filter_keeps_what_matches_and_what_stands_above_it() -> None:
    assert labels(wanted="worker-1") == [
        "root Supervisor",
        "pool DynamicSupervisor",
        "worker-1 Worker",
    ]
    assert labels(wanted="nothing like it") == []


def test_only_what_is_opened_is_unfolded() -> None:
    folded = tree.lines(TOWN, frozenset())
    assert [line.row.pid if line.row else None for line in folded] == [pid(1), pid(9), None]
    assert [line.unfolded for line in folded] == [False, False, False]
    without_rows = replace(TOWN, rows=TOWN.rows[:4])
    pool = [line for line in tree.lines(without_rows, None) if line.row and line.row.pid == pid(3)]
    assert [line.unfolded for line in pool] == [False]


def test_a_tree_as_deep_as_anyone_likes_is_listed() -> None:
    rows = tuple(
        row(serial, serial - 1 if serial else None, serial, children=1) for serial in range(2_000)
    )
    assert len(tree.lines(replace(TOWN, roots=1, rows=rows), None)) == 2_000


# -- texts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain text", "plain text"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x9b31m", "\\x9b31m"),
        ("a\nb\tc\r", "a\\x0ab\\x09c\\x0d"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("nb\u00a0sp", "nb\\xa0sp"),
        ("e\u0301", "é"),
        ("z\u0336", "z\\u0336"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("名前 é ✓", "名前 é ✓"),
    ],
)
def test_a_text_is_shown_harmlessly(raw: str, shown: str) -> None:
    assert text.printable(raw) == shown


@given(st.text(), st.integers(0, 60), st.booleans())
def test_a_fitted_text_is_as_wide_as_it_should_be(raw: str, width: int, right: bool) -> None:
    assert text.cells(text.fit(text.printable(raw), width, right=right)) == width


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"), (99_999, "99,999"), (100_000, "100k"), (999_499, "999k"), (1_000_000, "1.0M"),
        (12_345_678, "12M"), (2_000_000_000, "2.0G"), (5 * 10**14, "500,000G"),
    ],
)  # fmt: skip
def test_a_count_is_short(value: int, shown: str) -> None:
    assert text.count(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0B"), (1_023, "1,023B"), (1_024, "1.0K"), (37_000, "36K"), (5_000_000, "4.8M"),
     (3 * 2**30, "3.0G"), (5 * 2**40, "5,120G")],
)  # fmt: skip
def test_a_size_is_short(value: int, shown: str) -> None:
    assert text.size(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(-1.0, "0.0 s"), (3.14, "3.1 s"), (59.0, "59 s"), (600.0, "10 min"), (9_000.0, "2 h"),
     (200_000.0, "2 d")],
)  # fmt: skip
def test_an_age_is_short(value: float, shown: str) -> None:
    assert text.age(value) == shown
