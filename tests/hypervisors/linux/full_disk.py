"""A small file system, free to the page: each write can be made the last that fits."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fifo.hypervisors.linux import mounting
from fifo.hypervisors.linux.layout import PASSABLE
from tests.hypervisors.linux.keeper.keeper_host import KeeperHost

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.hypervisors.linux.zone_host import ZoneHost

PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
SIZE_BYTES: Final = 64 * 1024**2
FILLER: Final = "filler"


class FullDisk:
    """A tmpfs at `place`, which `leave` fills but for some pages."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._filler = place / FILLER

    def leave(self, pages: int) -> None:
        """Have so many pages free, and no more."""
        self.clear()
        found = os.statvfs(self.place)
        size_bytes = max(1, found.f_bavail * found.f_frsize - pages * PAGE_BYTES)
        with self._filler.open("wb") as file:
            while not _took(file.fileno(), size_bytes):
                # Somebody was faster, to a page: what is to be left has been left then.
                size_bytes -= PAGE_BYTES

    def clear(self) -> None:
        """Make room."""
        self._filler.unlink(missing_ok=True)


def run_elsewhere(zones: ZoneHost, directory: Path) -> None:
    """Have sockets and the runtime's state on another disk, as they are where /run is one."""
    zones.settings = zones.settings._replace(run_dir=directory / "run")
    zones.keeper_host = KeeperHost(directory / "k")


@contextlib.contextmanager
def mounted(size_bytes: int = SIZE_BYTES) -> Iterator[FullDisk]:
    """Give one for the time of a test."""
    place = Path(tempfile.mkdtemp(prefix="fzf"))
    mounting.mount("tmpfs", place, "tmpfs", mounting.NODEV, f"size={size_bytes},mode=711")
    try:
        place.chmod(PASSABLE)
        yield FullDisk(place)
    finally:
        # A keeper that was killed just now may not be quite gone.
        mounting.unmount(place)
        place.rmdir()


def _took(descriptor: int, size_bytes: int) -> bool:
    try:
        os.posix_fallocate(descriptor, 0, size_bytes)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return False
    return True
