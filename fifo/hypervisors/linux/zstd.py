"""Zstandard, by the library that Debian's dpkg itself stands on: kernels and layers of images.

Python has it from 3.14 on; until then these are the few calls that are needed of libzstd1. Source:
zstd.h, "Simple API" and "Streaming decompression".
"""

from __future__ import annotations

import ctypes
from typing import IO, Final

from fifo.model.errors import NotReady

MAGIC: Final = b"\x28\xb5\x2f\xfd"
LIBRARY: Final = "libzstd.so.1"
PACKAGE: Final = "libzstd1"
READ_BYTES: Final = 128 * 1024


class _Buffer(ctypes.Structure):
    """ZSTD_inBuffer and ZSTD_outBuffer, which are alike but for who writes where."""

    _fields_ = (("at", ctypes.c_void_p), ("size", ctypes.c_size_t), ("pos", ctypes.c_size_t))


def _library(subject: str) -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise NotReady(
            f"is packed by zstd, and {LIBRARY} is not there",
            subject,
            f"as root: apt-get install -y --no-install-recommends {PACKAGE}",
            details={"packages": PACKAGE},
        ) from error
    size, pointer = ctypes.c_size_t, ctypes.c_void_p
    for name, returns, *takes in (
        ("ZSTD_decompress", size, ctypes.c_char_p, size, ctypes.c_char_p, size),
        ("ZSTD_createDStream", pointer),
        ("ZSTD_freeDStream", size, pointer),
        ("ZSTD_decompressStream", size, pointer, pointer, pointer),
        ("ZSTD_isError", ctypes.c_uint, size),
        ("ZSTD_getErrorName", ctypes.c_char_p, size),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = returns, takes
    return library


def decompress(data: bytes, size_bytes: int, subject: str) -> bytes:
    """Return the `size_bytes` bytes that a frame holds; called in a thread.

    Raises ValueError for what is no such frame, NotReady without the library.
    """
    library = _library(subject)
    target = ctypes.create_string_buffer(size_bytes)
    # An error is a number near the end of the range, so it is no size that was asked for.
    if library.ZSTD_decompress(target, size_bytes, data, len(data)) != size_bytes:
        raise ValueError("no whole frame of that size")
    return target.raw


class Reader:
    """The uncompressed stream of a file with any number of frames, read from the front.

    The library itself refuses frames that want a window of more than 128 MiB. Made before a process
    confines itself, as the library is loaded then; raises NotReady without it.
    """

    def __init__(self, file: IO[bytes], subject: str) -> None:
        self._file = file
        self._library = _library(subject)
        # Made when it is read: a window each would be much for all layers of an image at once.
        self._stream: int | None = None
        self._data = b""
        self._input = _Buffer(None, 0, 0)
        # What the library says is missing of a frame: nothing between two of them.
        self._missing = 0
        self._holds_more = False

    def read(self, size: int) -> bytes:
        """Give `size` bytes, fewer only at the end.

        Raises EOFError for what is cut off, and OSError without a number for what is no zstd.
        """
        if self._stream is None:
            self._stream = self._library.ZSTD_createDStream()
            if self._stream is None:
                raise MemoryError
        target = ctypes.create_string_buffer(size)
        output = _Buffer(ctypes.addressof(target), size, 0)
        while output.pos < size and self._more():
            self._missing = self._library.ZSTD_decompressStream(
                self._stream, ctypes.byref(output), ctypes.byref(self._input)
            )
            if self._library.ZSTD_isError(self._missing):
                # As Python's bz2 says it: the disk's errors have a number.
                raise OSError(self._library.ZSTD_getErrorName(self._missing).decode())
            self._holds_more = self._missing > 0 and output.pos == size
        return ctypes.string_at(target, output.pos)

    def _more(self) -> bool:
        """Have something for the library to go on with; False at the end of all."""
        if self._input.pos < self._input.size or self._holds_more:
            return True
        self._data = self._file.read(READ_BYTES)
        at = ctypes.cast(ctypes.c_char_p(self._data), ctypes.c_void_p)
        self._input = _Buffer(at, len(self._data), 0)
        if not self._data and self._missing:
            raise EOFError("within a frame")
        return bool(self._data)

    def close(self) -> None:
        """Give its memory back; it is not read again. The file stays open."""
        if self._stream is not None:
            self._library.ZSTD_freeDStream(self._stream)
        self._stream = None
