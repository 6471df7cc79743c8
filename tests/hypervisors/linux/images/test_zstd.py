"""Reading Zstandard: whatever sizes are asked for, and whatever the frames are."""

from __future__ import annotations

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fifo.hypervisors.linux import zstd
from tests.hypervisors.linux.images.archives import zstandard

SKIPPED = struct.pack("<II", 0x184D2A50, 5) + b"aside"
"""A frame that a reader passes over; some tools put a table of contents into one."""
PIECES = st.lists(
    st.builds(bytes.__mul__, st.binary(min_size=1, max_size=300), st.integers(0, 3000)), max_size=4
)


def read(data: bytes, size: int) -> bytes:
    """Read to the end, so many bytes at a time."""
    reader = zstd.Reader(io.BytesIO(data), "x")
    found = b""
    while part := reader.read(size):
        assert len(part) <= size
        found += part
    assert reader.read(size) == b""
    reader.close()
    return found


@given(pieces=PIECES, size=st.integers(1, 200_000), skipped=st.booleans())
def test_all_frames_are_one_stream(pieces: list[bytes], size: int, *, skipped: bool) -> None:
    whole = b"".join(pieces)
    frames = [zstandard(piece) + (SKIPPED if skipped else b"") for piece in pieces]
    assert read(b"".join(frames), max(size, len(whole) // 500)) == whole


@pytest.mark.parametrize("size", [1, 7, 5_000, 100_000])
def test_what_is_cut_off_anywhere_is_said_to_be(size: int) -> None:
    data = zstandard(bytes(range(256)) * 20 + b"end")
    for length in range(1, len(data)):
        with pytest.raises(EOFError):
            read(data[:length], size)


@given(data=st.binary(min_size=8, max_size=200))
def test_what_is_no_zstd_is_refused_without_the_disk_being_blamed(data: bytes) -> None:
    with pytest.raises(OSError, match="frame") as caught:
        read(b"no" + data, 100)
    assert caught.value.errno is None


@given(at=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_damage_gives_an_error_or_no_more_than_was_there(at: int, flip: int) -> None:
    whole = bytes(range(256)) * 40
    data = bytearray(zstandard(whole))
    data[at % len(data)] ^= flip
    try:
        found = read(bytes(data), 1000)
    except (EOFError, OSError):
        return
    assert len(found) <= len(whole) + 128 * 1024


def test_a_frame_that_wants_gigabytes_of_memory_is_refused() -> None:
    window = (31 - 10) << 3
    frame = zstd.MAGIC + bytes((0, window)) + struct.pack("<I", 1)[:3]
    with pytest.raises(OSError, match="too much memory"):
        read(frame, 100)
