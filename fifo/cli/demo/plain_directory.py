"""The directory of a demo without real zones, which is all that there is of it.

Several may play at once. Each holds its own by a lock of the kernel's, so that what nobody holds is
of one that was killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fifo.cli.demo import remains
from fifo.model.errors import DriverFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

DIRECTORY: Final = "fifo-simulated-demo-"
"""What the directory of a demo without real zones begins with: nothing is mounted in it."""


TRIES: Final = 8
"""Directories made for one demo: another that begins just then may take one for a killed demo's."""


@contextlib.contextmanager
def make() -> Iterator[Path]:
    """Give a directory that is held, and removed in the end.

    Raises DriverFailed where it stays, or where others have cleared away each that was made.
    """
    for _ in range(TRIES):
        base = Path(tempfile.mkdtemp(prefix=DIRECTORY))
        with _held(base) as ours:
            if ours:
                try:
                    yield base
                finally:
                    _remove(base)
                return
    raise DriverFailed(
        "other demos that began have cleared it away each time", str(base), "start this one again"
    )


def clear_earlier() -> list[str]:
    """Remove what killed demos have left; gives their directories. Raises as `make`.

    Called by every demo before it begins; it asks a disk. What another demo holds is its own.
    """
    cleared: list[str] = []
    for path in sorted(remains.directories(DIRECTORY)):
        with _held(path) as ours:
            if ours:
                _remove(path)
                cleared.append(str(path))
    return cleared


@contextlib.contextmanager
def _held(path: Path) -> Iterator[bool]:
    """Hold a directory, and tell whether it is there and nobody else's.

    It is locked itself: a file in it would be removed before it, and could be made anew meanwhile.
    """
    try:
        opened = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    try:
        yield _lock(opened, path)
    finally:
        os.close(opened)


def _lock(opened: int, path: Path) -> bool:
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Who held it till now may have removed it.
        return os.path.samestat(os.fstat(opened), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False


def _remove(path: Path) -> None:
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        # Somebody else removes it, too.
        return
    except OSError as error:
        raise DriverFailed(
            f"it cannot be removed ({error})", str(path), "see whose it is, and remove it"
        ) from error
