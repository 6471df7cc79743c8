"""A small ext4 file system in a file: unlike a tmpfs, its directories take blocks of it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from fifo.hypervisors.linux.layout import PASSABLE
from tests.hypervisors.linux import loop_disk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZE_BYTES: Final = 64 * 1024**2
NEEDED: Final = ("mkfs.ext4", "mount", "umount")


def why_not() -> str:
    """Say why this machine cannot have one; nothing if it can."""
    return loop_disk.missing(NEEDED)


@contextlib.contextmanager
def mounted() -> Iterator[Path]:
    """Give a directory that is the root of a new one, none of which is kept for root alone."""
    with loop_disk.mounted("fze", SIZE_BYTES, "mkfs.ext4", "-q", "-m", "0") as directory:
        directory.chmod(PASSABLE)
        yield directory
