"""The order in which a killed process's links hear of it: that of ERTS's own link tree.

OTP promises no order there. What its emulator does, always alike with one scheduler, is to walk
the red-black tree of links, keyed by pid, each node after both its subtrees. The shape of that
tree depends on every link that came and went, so it is kept here as ERTS keeps it (Cormen,
Leiserson and Rivest's scheme; a removed inner node is replaced by its successor).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Node:
    __slots__ = ("key", "left", "parent", "red", "right")

    def __init__(self, key: int) -> None:
        self.key = key
        self.red = True
        self.left: _Node | None = None
        self.right: _Node | None = None
        self.parent: _Node | None = None


def _is_red(node: _Node | None) -> bool:
    return node is not None and node.red


def _child(node: _Node, *, right: bool) -> _Node | None:
    return node.right if right else node.left


class LinkTree:
    """The serials of the processes one process is linked to, in ERTS's shape."""

    def __init__(self) -> None:
        self._root: _Node | None = None
        self._leaving: int | None = None

    def __iter__(self) -> Iterator[int]:
        """Give the serials in the order in which the exit signals go out."""
        self.let_go()
        waiting = [(self._root, False)]
        while waiting:
            node, below_done = waiting.pop()
            if node is None:
                continue
            if below_done:
                yield node.key
            else:
                waiting += [(node, True), (node.right, False), (node.left, False)]

    def add(self, key: int) -> None:
        """Link; the serial is not there yet."""
        self._insert(key)
        self.let_go()

    def discard(self, key: int) -> None:
        """Unlink; a serial that is not there is no fault."""
        self._remove(key)
        self.let_go()

    def discard_late(self, key: int) -> None:
        """Unlink after the next change: the process answers its starter before it is gone.

        A process whose init failed for a reason that gives a crash report asks for its
        supervisor's flags to write it, and gets them when the supervisor next waits.
        """
        self._leaving = key

    @property
    def is_leaving(self) -> bool:
        """Whether such a process is not gone yet: its exit will wake the supervisor early."""
        return self._leaving is not None

    def let_go(self) -> None:
        """Unlink who is leaving."""
        if self._leaving is not None:
            key, self._leaving = self._leaving, None
            self._remove(key)

    def _insert(self, key: int) -> None:
        made = _Node(key)
        above, under = None, self._root
        while under is not None:
            above, under = under, _child(under, right=key > under.key)
        self._hang(made, above, right=above is not None and key > above.key)
        while made.parent is not None and made.parent.red:
            made = self._part_red_pair(made, made.parent)
        assert self._root is not None
        self._root.red = False

    def _remove(self, key: int) -> None:
        node = self._root
        while node is not None and node.key != key:
            node = _child(node, right=key > node.key)
        if node is None:
            return
        if node.left is not None and node.right is not None:
            successor = node.right
            while successor.left is not None:
                successor = successor.left
            # Only the keys matter: taking the successor's over has the same shape as moving it.
            node.key = successor.key
            node = successor
        under = node.left if node.left is not None else node.right
        above, right = node.parent, node.parent is not None and node is node.parent.right
        self._hang(under, above, right=right)
        if not node.red:
            self._give_black(under, above, right=right)

    # -- shape -------------------------------------------------------------------------------

    def _hang(self, node: _Node | None, above: _Node | None, *, right: bool) -> None:
        if above is None:
            self._root = node
        elif right:
            above.right = node
        else:
            above.left = node
        if node is not None:
            node.parent = above

    def _rotate(self, node: _Node, *, right: bool) -> None:
        """Let the child on the far side take the node's place."""
        rising = _child(node, right=not right)
        assert rising is not None
        above = node.parent
        was_right = above is not None and node is above.right
        self._hang(_child(rising, right=right), node, right=not right)
        self._hang(rising, above, right=was_right)
        self._hang(node, rising, right=right)

    def _part_red_pair(self, node: _Node, parent: _Node) -> _Node:
        """Move a red node under a red parent up, or end it; gives the node to look at next."""
        above = parent.parent
        assert above is not None
        right = parent is above.right
        uncle = _child(above, right=not right)
        if uncle is not None and uncle.red:
            uncle.red = parent.red = False
            above.red = True
            return above
        if node is _child(parent, right=not right):
            self._rotate(parent, right=right)
            node, parent = parent, node
        parent.red = False
        above.red = True
        self._rotate(above, right=not right)
        return node

    def _give_black(self, node: _Node | None, above: _Node | None, *, right: bool) -> None:
        """Make good for a black node taken out above `node`, the child of `above` on a side."""
        while not _is_red(node) and above is not None:
            sibling = self._black_sibling(above, right=right)
            near, far = _child(sibling, right=right), _child(sibling, right=not right)
            if not _is_red(near) and not _is_red(far):
                sibling.red = True
                node, above = above, above.parent
                right = above is not None and node is above.right
                continue
            if not _is_red(far):
                assert near is not None
                near.red = False
                sibling.red = True
                self._rotate(sibling, right=not right)
                far, sibling = sibling, near
            assert far is not None
            sibling.red = above.red
            above.red = far.red = False
            self._rotate(above, right=right)
            return
        if node is not None:
            node.red = False

    def _black_sibling(self, above: _Node, *, right: bool) -> _Node:
        sibling = _child(above, right=not right)
        assert sibling is not None
        if sibling.red:
            sibling.red = False
            above.red = True
            self._rotate(above, right=right)
            sibling = _child(above, right=not right)
            assert sibling is not None
        return sibling
