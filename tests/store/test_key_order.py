"""The order of keys, against a plain sorted list."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fifo.store import key_order
from fifo.store.intervals import TO_END, covers
from fifo.store.key_order import KeyOrder

KEYS = st.binary(min_size=1, max_size=2)


@given(
    first=st.sets(KEYS),
    changes=st.lists(st.tuples(st.booleans(), KEYS), max_size=60),
    bounds=st.lists(st.tuples(KEYS, st.one_of(st.none(), st.just(TO_END), KEYS)), max_size=5),
)
def test_it_walks_as_a_sorted_list_would(
    first: set[bytes],
    changes: list[tuple[bool, bytes]],
    bounds: list[tuple[bytes, bytes | None]],
) -> None:
    keys = set(first)
    order = KeyOrder(first)
    for adds, key in changes:
        if not adds:
            keys.discard(key)
            order.discard(key)
        elif key not in keys:
            keys.add(key)
            order.add(key)
    assert list(order.walk(b"\0", TO_END)) == sorted(keys)
    for start, end in bounds:
        assert list(order.walk(start, end)) == [
            key for key in sorted(keys) if covers(start, end, key)
        ]


def test_long_runs_are_split_and_empty_ones_go() -> None:
    keys = [b"%06d" % number for number in range(3 * key_order.SPLIT_KEYS)]
    order = KeyOrder()
    for key in keys[::2] + keys[1::2]:
        order.add(key)
    assert list(order.walk(b"0", TO_END)) == keys
    assert max(map(len, order._runs)) < key_order.SPLIT_KEYS
    for key in keys[10:]:
        order.discard(key)
    assert list(order.walk(b"0", TO_END)) == keys[:10]
    assert len(order._runs) == 1
