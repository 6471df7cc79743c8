"""Files of this machine that an option names: read, or written anew, with errors for people."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from fifo.cli.exits import CONFLICT, FAILED, NO_ROOM, USAGE, LocalFileError

if TYPE_CHECKING:
    from collections.abc import Iterable

PRIVATE: Final = 0o600
"""A backup holds instances' secrets, a support bundle what a site looks like."""
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def read(file: str) -> bytes:
    """Read a file; raises LocalFileError."""
    with opened(file) as stream:
        try:
            return stream.read()
        except OSError as error:
            raise _unreadable(file, error) from error


def opened(file: str) -> BinaryIO:
    """Open a file to read; raises LocalFileError."""
    try:
        return Path(file).open("rb")
    except OSError as error:
        raise _unreadable(file, error) from error


def write_stream(file: str, pieces: Iterable[Any]) -> int:
    """Write a stream's data to a new private file and give its size.

    A file that is there is kept. Where the stream breaks, or its last frame tells of other bytes
    than came, nothing is left: half a backup looks like one. Raises LocalFileError.
    """
    written, digest, told = 0, hashlib.sha256(), ""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
    except OSError as error:
        raise _unwritable(file, error) from error
    whole = False
    try:
        with os.fdopen(descriptor, "wb") as stream:
            for piece in pieces:
                written += stream.write(piece.data)
                digest.update(piece.data)
                told = getattr(getattr(piece, "summary", None), "sha256", "") or told
            stream.flush()
            os.fsync(stream.fileno())
        whole = told in {"", digest.hexdigest()}
    except OSError as error:
        raise _unwritable(file, error) from error
    finally:
        if not whole:
            Path(file).unlink(missing_ok=True)
    if not whole:
        raise LocalFileError("it did not arrive as it was sent", file, "try again", FAILED)
    return written


def save(output: str, file: str, pieces: Iterable[Any]) -> None:
    """Write a stream to a new file and say so, in the form that is wanted; as `write_stream`."""
    from fifo.cli.output import show_done

    size_bytes = write_stream(file, pieces)
    show_done(output, file, f"{size_bytes} bytes", {"file": file, "size_bytes": size_bytes})


def _unreadable(file: str, error: OSError) -> LocalFileError:
    told = f"it cannot be read: {error.strerror or error}"
    return LocalFileError(told, file, "name a file of this machine that can be", USAGE)


def _unwritable(file: str, error: OSError) -> LocalFileError:
    if isinstance(error, FileExistsError):
        return LocalFileError(
            "it is there already", file, "name another, or move it away", CONFLICT
        )
    status = NO_ROOM if error.errno in _FULL else USAGE
    told = f"it cannot be written: {error.strerror or error}"
    return LocalFileError(told, file, "name another place, or make room there", status)
