from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fifo.hypervisors.linux.keeper import frames, limits

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.lists(st.dictionaries(st.text(), JSON, max_size=3), max_size=5)


@given(OBJECTS, st.data())
def test_objects_arrive_whole_and_in_order_however_the_stream_is_cut(
    objects: list[dict[str, Any]], data: st.DataObject
) -> None:
    stream = b"".join(map(frames.encode, objects))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    decoder = frames.Decoder()
    arrived = [
        found
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)
        for found in decoder.feed(stream[start:end])
    ]
    assert arrived == objects


@given(st.binary(max_size=200))
def test_any_bytes_give_objects_or_one_kind_of_error(data: bytes) -> None:
    try:
        found = frames.Decoder().feed(data)
    except frames.FrameError:
        return
    assert all(isinstance(values, dict) for values in found)


def test_a_frame_too_large_is_refused_on_both_sides() -> None:
    with pytest.raises(frames.FrameError, match="do not fit"):
        frames.encode({"data": "x" * limits.FRAME_BYTES_MAX})
    with pytest.raises(frames.FrameError, match="at most"):
        frames.Decoder().feed(frames.HEADER.pack(limits.FRAME_BYTES_MAX + 1))
