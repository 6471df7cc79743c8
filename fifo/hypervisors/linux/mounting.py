"""mount(2) and umount(2), called directly: a file system is mounted in microseconds and no process.

A mount is made in the node's own mount namespace, which is the keeper's too, and outlives the node.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

NODEV: Final = 4
DETACH: Final = 2
NOFOLLOW: Final = 8
"""Flags, from <sys/mount.h>."""
_ESCAPES: Final = {"\\040": " ", "\\011": "\t", "\\012": "\n", "\\134": "\\"}
"""How /proc/self/mountinfo writes what separates its fields (proc(5))."""

_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: Path, kind: str, flags: int, options: str) -> None:
    """Mount a file system; raises OSError."""
    arguments = (source.encode(), os.fsencode(target), kind.encode())
    if _libc.mount(*arguments, ctypes.c_ulong(flags), options.encode()):
        raise _error(target)


def unmount(target: Path) -> None:
    """Unmount it, at once by name and for good when its last user goes; nothing if none is there.

    Raises OSError.
    """
    if _libc.umount2(os.fsencode(target), DETACH | NOFOLLOW):
        error = _error(target)
        # EINVAL: it is no mount point.
        if not isinstance(error, FileNotFoundError) and error.errno != 22:  # noqa: PLR2004
            raise error


def mounted_below(directory: Path) -> Iterator[Path]:
    """Yield what is mounted at or below a directory, the deepest first."""
    with Path("/proc/self/mountinfo").open(encoding="utf-8", errors="surrogateescape") as lines:
        targets = [_unescaped(line.split()[4]) for line in lines]
    for target in sorted(targets, key=len, reverse=True):
        if Path(target).is_relative_to(directory):
            yield Path(target)


def _unescaped(text: str) -> str:
    for escape, character in _ESCAPES.items():
        text = text.replace(escape, character)
    return text


def _error(target: Path) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), os.fspath(target))
