"""A kernel comes out of its LZ4 stream as it went in, and damage is refused."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fifo.hypervisors.linux.guests import vmlinux
from fifo.model.errors import Unsupported

KERNEL = vmlinux.ELF + b"kernel " * 40
# Repetitive at several distances, so that copies overlap and lengths need their extensions.
TEXTS = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.builds(bytes.__mul__, st.binary(min_size=1, max_size=3), st.integers(1, 400)),
    ),
    max_size=8,
).map(b"".join)


def packed(data: bytes) -> bytes:
    """Compress one block: at each place the nearest earlier copy of four bytes, else literals."""
    out, literals, at = bytearray(), bytearray(), 0
    while at < len(data):
        # The format ends a block with at least five literals.
        found = data.rfind(data[at : at + 4], 0, at + 3) if at + 9 <= len(data) else -1
        if found < 0 or at - found > 0xFFFF:
            literals.append(data[at])
            at += 1
            continue
        length = 4
        while at + length < len(data) - 5 and data[found + length] == data[at + length]:
            length += 1
        out += sequence(literals, length - 4) + struct.pack("<H", at - found)
        out += extension(length - 4)
        literals.clear()
        at += length
    return bytes(out + sequence(literals, 0))


def sequence(literals: bytearray, match: int) -> bytes:
    token = min(len(literals), 15) << 4 | min(match, 15)
    return bytes([token]) + extension(len(literals)) + literals


def extension(length: int) -> bytes:
    if length < 15:
        return b""
    return b"\xff" * ((length - 15) // 255) + bytes([(length - 15) % 255])


def stream(*blocks: bytes) -> bytes:
    return vmlinux.LEGACY_MAGIC + b"".join(
        struct.pack("<I", len(block)) + block for block in blocks
    )


@given(TEXTS)
def test_a_block_comes_out_as_it_went_in(data: bytes) -> None:
    assert vmlinux.decompress(stream(packed(data)) + bytes(4), 0) == data


def test_a_full_block_is_followed_by_the_next() -> None:
    first = bytes(vmlinux.BLOCK_BYTES)
    # One literal, and one copy of all the rest but the five last.
    rest = len(first) - 6
    block = sequence(bytearray(1), rest - 4) + b"\x01\x00" + extension(rest - 4)
    block += sequence(bytearray(5), 0)
    assert vmlinux.decompress(stream(block, packed(b"tail")), 0) == first + b"tail"


def test_the_kernel_is_found_behind_a_magic_number_that_stands_there_by_chance() -> None:
    image = b"setup" + vmlinux.LEGACY_MAGIC + b"chance" + stream(packed(KERNEL)) + bytes(4)
    assert vmlinux.extract(image) == KERNEL


@pytest.mark.parametrize(
    "image",
    [
        b"",
        b"MZ" * 100,
        vmlinux.LEGACY_MAGIC,
        stream(packed(b"not a kernel")) + bytes(4),
        stream(packed(KERNEL))[:-200],
        # A copy from before the beginning.
        stream(b"\x10a\x09\x00") + bytes(4),
    ],
)
def test_what_holds_no_whole_kernel_is_refused(image: bytes) -> None:
    with pytest.raises(Unsupported, match="no ELF kernel"):
        vmlinux.extract(image)
