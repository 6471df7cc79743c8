"""Frames: every value survives any cut of the stream, and nothing else gets through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisors.ports.frames import ANY_SIZE, HEADER, Decoder, decode, encode, frame

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip
OBJECTS = st.dictionaries(st.text(), JSON, max_size=4)


@given(st.lists(OBJECTS, max_size=5), st.lists(st.integers(1, 50), min_size=1, max_size=50))
def test_frames_survive_however_the_stream_is_cut(
    values: list[dict[str, object]], cuts: list[int]
) -> None:
    stream = b"".join(frame(encode(value, ANY_SIZE)) for value in values)
    decoder = Decoder(ANY_SIZE)
    received = []
    turn = 0
    while stream:
        size = cuts[turn % len(cuts)]
        turn += 1
        received += decoder.feed(stream[:size])
        stream = stream[size:]
    assert [decode(body) for body in received] == values


@given(st.binary())
def test_any_bytes_give_frames_or_a_value_error(noise: bytes) -> None:
    try:
        for body in Decoder(64).feed(noise):
            assert isinstance(decode(body), dict)
    except ValueError:
        pass


def test_a_frame_is_four_bytes_of_length_and_that_much_json() -> None:
    assert frame(encode({"a": [1, "é"]}, 100)) == b'\x00\x00\x00\x12{"a":[1,"\\u00e9"]}'


def test_the_bound_holds_for_what_is_written_and_what_is_announced() -> None:
    assert encode("x" * 8, 10) == b'"xxxxxxxx"'
    with pytest.raises(ValueError, match="11 bytes of JSON, at most 10"):
        encode("x" * 9, 10)
    assert Decoder(10).feed(HEADER.pack(10)) == []
    with pytest.raises(ValueError, match="frame of 11 bytes is announced, at most 10"):
        Decoder(10).feed(HEADER.pack(11))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"", object(), {1, 2}, 1j])
def test_what_is_no_json_is_not_written(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        encode(value, ANY_SIZE)


def test_cycles_and_bottomless_nests_are_not_written() -> None:
    cycle: list[object] = []
    cycle.append(cycle)
    nest: list[object] = []
    for _ in range(100_000):
        nest = [nest]
    for value in (cycle, nest):
        with pytest.raises(ValueError, match=r"Circular|deep"):
            encode(value, ANY_SIZE)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"1", b"null", b'{"a":NaN}', b'{"a":-Infinity}', b"\xff", b"[" * 100_000],
)
def test_what_is_no_json_object_is_not_read(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode(body)
