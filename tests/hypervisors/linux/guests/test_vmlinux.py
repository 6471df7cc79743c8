"""A kernel comes out of its bzImage as it went in, and damage is refused."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fifo.hypervisors.linux import zstd
from fifo.hypervisors.linux.guests import lz4, vmlinux
from fifo.model.errors import NotReady, Unsupported
from tests.hypervisors.linux.images.archives import zstandard

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
    return lz4.LEGACY_MAGIC + b"".join(struct.pack("<I", len(block)) + block for block in blocks)


def image(payload: bytes, size_bytes: int, setup_sectors: int = 4) -> bytes:
    """Make a bzImage: setup sectors with the header, code that unpacks, the payload, and more."""
    payload += struct.pack("<I", size_bytes)
    setup = bytearray((setup_sectors + 1) * 512)
    setup[0x1F1] = setup_sectors
    setup[0x202:0x206] = b"HdrS"
    struct.pack_into("<II", setup, 0x248, 7, len(payload))
    return bytes(setup) + b"unpacks" + payload + b"more"


PACKED = {
    "lz4": stream(packed(KERNEL)),
    "zstd": zstandard(KERNEL),
}


@pytest.mark.parametrize("payload", PACKED.values(), ids=PACKED)
@pytest.mark.parametrize("setup_sectors", [4, 27])
def test_the_kernel_is_found_by_the_header(payload: bytes, setup_sectors: int) -> None:
    assert vmlinux.extract(image(payload, len(KERNEL), setup_sectors)) == KERNEL


def test_no_setup_sectors_stand_for_four() -> None:
    old = bytearray(image(PACKED["lz4"], len(KERNEL)))
    old[0x1F1] = 0
    assert vmlinux.extract(bytes(old)) == KERNEL


@given(TEXTS)
def test_a_block_comes_out_as_it_went_in(data: bytes) -> None:
    assert lz4.decompress(stream(packed(data))) == data


def test_a_full_block_is_followed_by_the_next() -> None:
    first = bytes(lz4.BLOCK_BYTES)
    # One literal, and one copy of all the rest but the five last.
    rest = len(first) - 6
    block = sequence(bytearray(1), rest - 4) + b"\x01\x00" + extension(rest - 4)
    block += sequence(bytearray(5), 0)
    assert lz4.decompress(stream(block, packed(b"tail"))) == first + b"tail"


DAMAGED = {
    "nothing": b"",
    "no kernel": b"MZ" * 1000,
    "a cut off kernel": image(PACKED["lz4"], len(KERNEL))[:-10],
    "a cut off lz4 stream": image(PACKED["lz4"][:-5], len(KERNEL)),
    "a cut off zstd frame": image(PACKED["zstd"][:-5], len(KERNEL)),
    "another size by lz4": image(PACKED["lz4"], len(KERNEL) + 1),
    "another size by zstd": image(PACKED["zstd"], len(KERNEL) - 1),
    "a size beyond all kernels": image(PACKED["zstd"], 0xFFFFFFFF),
    "no ELF": image(stream(packed(b"not a kernel")), len(b"not a kernel")),
    "another packing": image(b"\x1f\x8b\x08", len(KERNEL)),
    "a copy from before the beginning": image(stream(b"\x10a\x09\x00"), len(KERNEL)),
    "a copy without an offset": image(stream(b"\x10a\x00\x00"), len(KERNEL)),
    "a block beyond the stream": image(lz4.LEGACY_MAGIC + b"\xff\xff\0\0a", len(KERNEL)),
}


@pytest.mark.parametrize("damaged", DAMAGED.values(), ids=DAMAGED)
def test_what_holds_no_whole_kernel_is_refused(damaged: bytes) -> None:
    with pytest.raises(Unsupported, match="no ELF kernel"):
        vmlinux.extract(damaged)


def test_a_missing_library_is_named_by_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zstd, "LIBRARY", "libabsent.so.1")
    with pytest.raises(NotReady, match=r"apt-get install .* libzstd1"):
        vmlinux.extract(image(PACKED["zstd"], len(KERNEL)))
