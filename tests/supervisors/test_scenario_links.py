"""The link tree of a scenario's supervisors has the shape that ERTS gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisors.scenario.links import LinkTree

if TYPE_CHECKING:
    from supervisors.scenario.links import _Node


def linked(*keys: int) -> LinkTree:
    tree = LinkTree()
    for key in keys:
        tree.add(key)
    return tree


@pytest.mark.parametrize(
    ("children", "order"),
    [
        # Measured with OTP 25.2.3 and one scheduler; 0 is the supervisor's own parent.
        (1, [1, 0]),
        (2, [0, 2, 1]),
        (3, [0, 3, 2, 1]),
        (4, [0, 2, 4, 3, 1]),
        (5, [0, 2, 5, 4, 3, 1]),
        (6, [0, 2, 4, 6, 5, 3, 1]),
        (8, [0, 2, 1, 4, 6, 8, 7, 5, 3]),
    ],
)
def test_the_links_hear_in_the_order_of_erts(children: int, order: list[int]) -> None:
    assert list(linked(*range(children + 1))) == order


def test_who_is_left_of_two_hears_after_the_parent() -> None:
    tree = linked(0, 1, 2)
    tree.discard(2)
    assert list(tree) == [0, 1]


def test_a_start_that_failed_is_unlinked_after_the_next_one_was_linked() -> None:
    tree = linked(0, 1)
    tree.discard_late(1)
    tree.add(2)
    assert list(tree) == [0, 2]
    prompt = linked(0, 1)
    prompt.discard(1)
    prompt.add(2)
    assert list(prompt) == [2, 0]


@given(st.lists(st.integers(0, 30)))
def test_the_tree_holds_what_was_added_and_not_removed_and_stays_balanced(keys: list[int]) -> None:
    tree = LinkTree()
    held: set[int] = set()
    for key in keys:
        if key in held:
            tree.discard(key)
        else:
            tree.add(key)
        held ^= {key}
        assert sorted(tree) == sorted(held)
        assert tree._root is None or not tree._root.red
        black_height(tree._root)


def black_height(node: _Node | None) -> int:
    """Count the black nodes on every way down, which must be as many on each."""
    if node is None:
        return 1
    for child in (node.left, node.right):
        if child is not None:
            assert child.parent is node
            assert not (node.red and child.red)
    left, right = black_height(node.left), black_height(node.right)
    assert left == right
    return left + (0 if node.red else 1)
