"""The directory of a demo without real zones, which is all that there is of it.

Several may play at once. Each holds its own by a lock of the kernel's, so that what nobody holds is
of one that was killed.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fifo.cli.demo import remains
from fifo.model.errors import DriverFailed, StoreTaken
from fifo.store.sqlite.directory import DirectoryLock

if TYPE_CHECKING:
    from collections.abc import Iterator

DIRECTORY: Final = "fifo-simulated-demo-"
"""What the directory of a demo without real zones begins with: nothing is mounted in it."""


@contextlib.contextmanager
def make() -> Iterator[Path]:
    """Give a directory that is held, and removed in the end; raises DriverFailed where it stays."""
    made = Path(tempfile.mkdtemp(prefix=f".{DIRECTORY}"))
    lock = DirectoryLock(made)
    try:
        # Under the name by which others look for it, it is held from its first moment on.
        base = made.rename(made.with_name(made.name[1:]))
        try:
            yield base
        finally:
            _remove(base)
    finally:
        lock.release()


def clear_earlier() -> list[str]:
    """Remove what killed demos have left; gives their directories. Raises as `make`.

    Called by every demo before it begins; it asks a disk. What another demo holds is its own.
    """
    cleared: list[str] = []
    for path in sorted(remains.directories(DIRECTORY)):
        try:
            lock = DirectoryLock(path)
        except StoreTaken:
            continue
        try:
            _remove(path)
        finally:
            lock.release()
        cleared.append(str(path))
    return cleared


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
