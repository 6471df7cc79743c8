"""Zstandard, by the library that Debian's apt itself stands on: how Debian 13 packs its kernels.

Python has it from 3.14 on; until then this is the one call that is needed of libzstd1. Source:
zstd.h, "Simple API".
"""

from __future__ import annotations

import ctypes
from typing import Final

from fifo.model.errors import NotReady

MAGIC: Final = b"\x28\xb5\x2f\xfd"
LIBRARY: Final = "libzstd.so.1"


def decompress(data: bytes, size_bytes: int) -> bytes:
    """Return the `size_bytes` bytes that a frame holds; called in a thread.

    Raises ValueError for what is no such frame, NotReady without the library.
    """
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise NotReady(
            f"is packed by zstd, and {LIBRARY} is not there",
            "vmlinuz",
            "as root: apt-get install -y --no-install-recommends libzstd1",
            details={"packages": "libzstd1"},
        ) from error
    unpack = library.ZSTD_decompress
    unpack.restype = ctypes.c_size_t
    unpack.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]
    target = ctypes.create_string_buffer(size_bytes)
    # An error is a number near the end of the range, so it is no size that was asked for.
    if unpack(target, size_bytes, data, len(data)) != size_bytes:
        raise ValueError("no whole frame of that size")
    return target.raw
