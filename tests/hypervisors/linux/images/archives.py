"""Tar archives for tests, made entry by entry."""

from __future__ import annotations

import ctypes
import io
import tarfile
from typing import Any

from fifo.hypervisors.linux import zstd


def entry(name: str, kind: bytes = tarfile.REGTYPE, data: bytes = b"", **more: Any) -> Entry:
    """Describe an entry; `more` are attributes of `tarfile.TarInfo`."""
    return name, kind, data, more


Entry = tuple[str, bytes, bytes, dict[str, Any]]


def tar(*entries: Entry, form: int = tarfile.PAX_FORMAT) -> bytes:
    """Write an archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, kind, data, more in entries:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.mode = kind, len(data), 0o755
            for field, value in more.items():
                setattr(info, field, value)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def directory(name: str) -> Entry:
    """Describe a directory."""
    return entry(name, tarfile.DIRTYPE)


def link(name: str, target: str) -> Entry:
    """Describe a symbolic link."""
    return entry(name, tarfile.SYMTYPE, linkname=target)


def hard_link(name: str, target: str) -> Entry:
    """Describe a hard link."""
    return entry(name, tarfile.LNKTYPE, linkname=target)


def zstandard(data: bytes) -> bytes:
    """Compress bytes as one frame."""
    library = ctypes.CDLL(zstd.LIBRARY)
    library.ZSTD_compress.restype = ctypes.c_size_t
    target = ctypes.create_string_buffer(len(data) + 1000)
    room = ctypes.c_size_t(len(target))
    size = library.ZSTD_compress(target, room, data, ctypes.c_size_t(len(data)), 3)
    return target.raw[:size]
