"""A root file system in memory: paths to entries, and the archives it can be written as.

All owners are root and all times are zero, so that the same tree always gives the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import stat
import tarfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Entry(NamedTuple):
    """A file, directory or symbolic link (`content` is its target)."""

    mode: int
    content: bytes = b""


Tree = dict[str, Entry]
"""Paths from the root, without a leading slash. Parents may be left out: the archives add them."""

DIRECTORY: Final = Entry(stat.S_IFDIR | 0o755)
STICKY_DIRECTORY: Final = Entry(stat.S_IFDIR | 0o1777)
TAR_TYPES: Final[Mapping[int, bytes]] = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
}
NEWC_TRAILER: Final = "TRAILER!!!"


def file(content: bytes | str, mode: int = 0o644) -> Entry:
    """Make a regular file; text is written as UTF-8."""
    return Entry(stat.S_IFREG | mode, content.encode() if isinstance(content, str) else content)


def script(content: str) -> Entry:
    """Make a file that can be run."""
    return file(content, 0o755)


def link(target: str) -> Entry:
    """Make a symbolic link."""
    return Entry(stat.S_IFLNK | 0o777, target.encode())


def complete(tree: Mapping[str, Entry]) -> Tree:
    """Return the tree with every parent directory, each before what is in it."""
    whole: Tree = {}
    for path in sorted(tree):
        for parent in reversed(PurePosixPath(path).parents[:-1]):
            whole.setdefault(str(parent), DIRECTORY)
        whole[path] = tree[path]
    return dict(sorted(whole.items()))


def tar(tree: Mapping[str, Entry]) -> bytes:
    """Write the tree as a tar archive, sorted."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path, entry in complete(tree).items():
            info = tarfile.TarInfo(path)
            info.type = TAR_TYPES[stat.S_IFMT(entry.mode)]
            info.mode = stat.S_IMODE(entry.mode)
            if stat.S_ISLNK(entry.mode):
                info.linkname = entry.content.decode()
                archive.addfile(info)
            else:
                info.size = len(entry.content)
                archive.addfile(info, io.BytesIO(entry.content))
    return buffer.getvalue()


def newc(tree: Mapping[str, Entry]) -> bytes:
    """Write the tree as a cpio archive of the new ASCII format: an initramfs.

    Source of the format: the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.
    """
    entries = [*complete(tree).items(), (NEWC_TRAILER, Entry(0))]
    return b"".join(_newc_member(number, *entry) for number, entry in enumerate(entries, start=1))


def _newc_member(number: int, path: str, entry: Entry) -> bytes:
    name = path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    # inode, mode, uid, gid, links, time, size, device (2), device of the node (2), name, checksum
    fields = (number, entry.mode, 0, 0, links, 0, len(entry.content), 0, 0, 0, 0, len(name), 0)
    head = b"070701" + "".join(f"{field:08X}" for field in fields).encode() + name
    return _padded(head) + _padded(entry.content)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def fingerprint(tree: Mapping[str, Entry]) -> str:
    """Return the SHA-256 of all that is in the tree, names and modes included."""
    return hashlib.sha256(newc(tree)).hexdigest()
