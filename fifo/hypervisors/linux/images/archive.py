"""Unpacking a tar archive that somebody else made, below a directory and nowhere else.

Whatever a name in the archive says, every path is walked from the root directory by descriptors,
one component at a time and through no symbolic link, so that nothing is written through one, and a
hard link leads to a file of the archive's own. The whole archive is refused at the first entry
that tries: `../`, an absolute path, a path through a link, a link out, a device, or more entries or
bytes than were declared. Who calls throws away what was written until then.

Layers of an OCI image carry whiteouts (image specification 1.0, layer.md): `.wh.NAME` removes NAME
of the layers below, `.wh..wh..opq` all that was in its directory.
"""

from __future__ import annotations

import errno
import hashlib
import lzma
import os
import shutil
import stat
import struct
import tarfile
import zlib
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Final, NamedTuple, cast

from fifo.hypervisors.linux import limits
from fifo.hypervisors.linux.settings import UIDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WHITEOUT: Final = ".wh."
OPAQUE: Final = ".wh..wh..opq"
CAPABILITY: Final = "security.capability"
ATTRIBUTE: Final = "SCHILY.xattr."
"""How tar keeps extended attributes in its pax headers."""
REVISION_MASK: Final = 0xFF000000
REVISION_2: Final = 0x02000000
REVISION_3: Final = 0x03000000
TIME_MAX_S: Final = 2**33
"""The year 2242; what is later, earlier than 1970 or no number becomes 1970."""
OURS: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ENOMEM, errno.EMFILE, errno.EPERM}
)
"""Errors that are the host's and not the archive's."""
DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FRESH: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
NOT_COMPRESSED: Final = "it is cut off, or not compressed as its name says"
BLOCK_BYTES: Final = 512
"""Of what tar archives are made."""
COPY_BYTES: Final = 256 * 1024
READ_BYTES_MAX: Final = 16 * 1024 * 1024
"""One read of tarfile's: a header announced larger than this is no header."""


class Refused(Exception):  # noqa: N818 -- it is an answer, not a fault
    """The archive is not taken: why, and the entry it is about."""

    def __init__(self, why: str, entry: str = "") -> None:
        super().__init__(why, entry)
        self.why = why
        self.entry = entry

    def __str__(self) -> str:
        return f"{self.why}: {self.entry!r}" if self.entry else self.why


class TooMuch(Refused):
    """More comes out of the archive than may: `why` says what the bound is."""


class Bounds(NamedTuple):
    """What may come out of an archive or of all layers of an image."""

    unpacked_bytes: int
    entries: int


class Spent(NamedTuple):
    """What has come out so far."""

    unpacked_bytes: int = 0
    entries: int = 0


class Metered:
    """A stream that is read from the front, and counted; more than its bound is refused.

    `diff_id` is the digest (`sha256:HEX`) that all of it has to have; '' for any.
    """

    def __init__(self, stream: IO[bytes], most_bytes: int, diff_id: str = "") -> None:
        self._stream = stream
        self._diff_id = diff_id
        self._digest = hashlib.sha256() if diff_id else None
        self._left_bytes = most_bytes
        self._tail = b""

    def read(self, size: int = -1) -> bytes:
        """Read; raises Refused."""
        if not 0 <= size <= READ_BYTES_MAX:
            raise Refused("a header of the archive is too large")
        try:
            data = self._stream.read(size)
        except (EOFError, lzma.LZMAError, zlib.error) as error:
            raise Refused(f"{NOT_COMPRESSED} ({error})") from None
        except OSError as error:
            # What a decompressor objects to has no number; what the disk does has one.
            if error.errno is not None:
                raise
            raise Refused(f"{NOT_COMPRESSED} ({error})") from None
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            raise TooMuch("more bytes unpacked than it may have")
        self._tail = (self._tail + data)[-BLOCK_BYTES:]
        if self._digest is not None:
            self._digest.update(data)
        return data

    def finish(self) -> None:
        """Read to the end, where checksums are; raises Refused if it is no archive's end.

        tarfile is content with an archive that is cut off between two entries; a whole one ends
        with blocks of zeros (POSIX pax).
        """
        while self.read(COPY_BYTES):
            pass
        if self._tail != bytes(BLOCK_BYTES):
            raise Refused("it is cut off: an archive ends with zeros")
        if self._digest is not None and self._diff_id != f"sha256:{self._digest.hexdigest()}":
            raise Refused(f"what is in a layer is not what its diff_id says ({self._diff_id})")


class Unpacker:
    """Writes archives below a directory that is ours alone. Blocks on the disk.

    `uid_base` is added to every owner, so that a zone's root owns what the archive says root does.
    """

    def __init__(
        self,
        root: int,
        bounds: Bounds,
        uid_base: int,
        chown: Callable[..., None] | None = None,
    ) -> None:
        """Take an open descriptor of the directory; `chown` None leaves owners as they are."""
        self._root = root
        self._bounds = bounds
        self._uid_base = uid_base
        self._chown = chown
        self.spent = Spent()

    def unpack(self, stream: IO[bytes], *, whiteouts: bool = False, diff_id: str = "") -> None:
        """Unpack one archive, uncompressed, over what is there; raises Refused, OSError.

        It is refused at its end if its digest is not `diff_id` (`sha256:HEX`; '' for any).

        Directories get their times and modes last of all: until then we have to write into them.
        """
        # Blocks of headers and padding come on top of what the files hold.
        left = self._bounds.unpacked_bytes - self.spent.unpacked_bytes
        overhead = 4096 * (self._bounds.entries - self.spent.entries) + READ_BYTES_MAX
        metered = Metered(stream, left + overhead, diff_id)
        try:
            source = cast("IO[bytes]", metered)
            with tarfile.open(fileobj=source, mode="r|", bufsize=COPY_BYTES) as archive:
                self._unpack(archive, whiteouts=whiteouts)
            metered.finish()
        except (tarfile.TarError, EOFError, ValueError, OverflowError, RecursionError) as error:
            raise Refused(f"it is no whole tar archive ({error})") from None
        except OSError as error:
            if error.errno in OURS:
                raise
            raise Refused(f"an entry that cannot be written ({error})") from None

    def _unpack(self, archive: tarfile.TarFile, *, whiteouts: bool) -> None:
        directories: list[tuple[list[str], tarfile.TarInfo]] = []
        for entry in archive:
            self._count(entry)
            path = parts(entry.name)
            if whiteouts and path and path[-1].startswith(WHITEOUT):
                self._white_out(path)
                continue
            if path:
                self._entry(archive, path, entry)
            if entry.isdir():
                directories.append((path, entry))
        for path, entry in reversed(directories):
            self._finish_directory(path, entry)

    def _count(self, entry: tarfile.TarInfo) -> None:
        spent = Spent(
            self.spent.unpacked_bytes + (max(0, entry.size) if entry.isreg() else 0),
            self.spent.entries + 1,
        )
        if spent.entries > self._bounds.entries:
            raise TooMuch(f"more than {self._bounds.entries} entries unpacked", entry.name)
        if spent.unpacked_bytes > self._bounds.unpacked_bytes:
            raise TooMuch(f"more than {self._bounds.unpacked_bytes} bytes unpacked", entry.name)
        self.spent = spent

    # -- entries -------------------------------------------------------------------------------

    def _entry(self, archive: tarfile.TarFile, path: list[str], entry: tarfile.TarInfo) -> None:
        with self._parent(path, entry.name) as (parent, name):
            if entry.isdir():
                self._make_directory(parent, name)
            elif entry.isreg():
                self._clear(parent, name)
                source = archive.extractfile(entry)
                assert source is not None
                self._write(parent, name, entry, source)
            elif entry.issym():
                self._clear(parent, name)
                os.symlink(entry.linkname, name, dir_fd=parent)
                self._own(parent, name, entry)
            elif entry.islnk():
                self._link(parent, name, entry)
            elif entry.isfifo():
                self._clear(parent, name)
                os.mkfifo(name, entry.mode & 0o777, dir_fd=parent)
                self._own(parent, name, entry)
            else:
                raise Refused("a device node: pack the archive without what is in /dev", entry.name)

    def _write(self, parent: int, name: str, entry: tarfile.TarInfo, source: IO[bytes]) -> None:
        descriptor = os.open(name, FRESH, 0o600, dir_fd=parent)
        with open(descriptor, "wb") as file:  # noqa: PTH123 -- a descriptor, not a path
            shutil.copyfileobj(source, file, COPY_BYTES)
            if file.tell() != entry.size:
                raise Refused("it is cut off within a file", entry.name)
            file.flush()
            if self._chown is not None:
                self._chown(descriptor, *self._owner(entry))
            self._attributes(descriptor, entry)
            # Changing owners drops these bits, so that they come last.
            os.fchmod(descriptor, entry.mode & 0o7777)
            os.utime(descriptor, _times(entry))

    def _link(self, parent: int, name: str, entry: tarfile.TarInfo) -> None:
        target = parts(entry.linkname)
        if not target:
            raise Refused("a link to the root", entry.name)
        with self._parent(target, entry.name) as (source, own):
            try:
                found = os.stat(own, dir_fd=source, follow_symlinks=False)
            except FileNotFoundError:
                raise Refused(
                    f"a link to {entry.linkname!r}, which is not there", entry.name
                ) from None
            if not (stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode)):
                raise Refused(f"a link to {entry.linkname!r}, which is no file", entry.name)
            if target != parts(entry.name):
                self._clear(parent, name)
                os.link(own, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)

    def _make_directory(self, parent: int, name: str) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            found = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if not stat.S_ISDIR(found.st_mode):
                os.unlink(name, dir_fd=parent)
                os.mkdir(name, 0o700, dir_fd=parent)

    def _finish_directory(self, path: list[str], entry: tarfile.TarInfo) -> None:
        with self._directory(path, entry.name) as descriptor:
            if self._chown is not None:
                self._chown(descriptor, *self._owner(entry))
            os.fchmod(descriptor, entry.mode & 0o7777)
            os.utime(descriptor, _times(entry))

    def _own(self, parent: int, name: str, entry: tarfile.TarInfo) -> None:
        if self._chown is not None:
            self._chown(name, *self._owner(entry), dir_fd=parent, follow_symlinks=False)

    def _owner(self, entry: tarfile.TarInfo) -> tuple[int, int]:
        if not (0 <= entry.uid < UIDS and 0 <= entry.gid < UIDS):
            raise Refused(f"an owner beyond the {UIDS} users of a zone", entry.name)
        return self._uid_base + entry.uid, self._uid_base + entry.gid

    def _attributes(self, descriptor: int, entry: tarfile.TarInfo) -> None:
        """Keep a program's capabilities, for the zone's root; other attributes are the host's."""
        text = entry.pax_headers.get(ATTRIBUTE + CAPABILITY)
        if text is not None and self._chown is not None:
            value = text.encode("utf-8", "surrogateescape")
            os.setxattr(descriptor, CAPABILITY, capability(value, self._uid_base, entry.name))

    # -- whiteouts -----------------------------------------------------------------------------

    def _white_out(self, path: list[str]) -> None:
        shown = "/".join(path)
        if path[-1] == OPAQUE:
            with self._directory(path[:-1], shown) as descriptor:
                for name in [found.name for found in os.scandir(descriptor)]:
                    self._clear(descriptor, name)
            return
        name = path[-1].removeprefix(WHITEOUT)
        if name in {"", ".", ".."}:
            raise Refused("a whiteout of nothing", shown)
        with self._parent([*path[:-1], name], shown) as (parent, own):
            self._clear(parent, own)

    # -- the way there -------------------------------------------------------------------------

    def _clear(self, parent: int, name: str) -> None:
        """Remove what is in the way, whatever it is, and not what it leads to."""
        try:
            os.unlink(name, dir_fd=parent)
        except FileNotFoundError:
            pass
        except (IsADirectoryError, PermissionError):
            shutil.rmtree(name, dir_fd=parent)

    @contextmanager
    def _parent(self, path: list[str], shown: str) -> Iterator[tuple[int, str]]:
        with self._directory(path[:-1], shown) as parent:
            yield parent, path[-1]

    @contextmanager
    def _directory(self, path: list[str], shown: str) -> Iterator[int]:
        descriptor = self._open(path, shown)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _open(self, path: list[str], shown: str) -> int:
        """Open a directory below the root, made where it is missing; raises Refused."""
        descriptor = os.dup(self._root)
        for name in path:
            try:
                inner = self._step(descriptor, name)
            except OSError as error:
                if error.errno in {errno.ELOOP, errno.ENOTDIR}:
                    raise Refused("a path through what is no directory", shown) from None
                raise
            finally:
                os.close(descriptor)
            descriptor = inner
        return descriptor

    def _step(self, descriptor: int, name: str) -> int:
        try:
            return os.open(name, DIRECTORY, dir_fd=descriptor)
        except FileNotFoundError:
            os.mkdir(name, 0o755, dir_fd=descriptor)
        inner = os.open(name, DIRECTORY, dir_fd=descriptor)
        if self._chown is not None:
            self._chown(inner, self._uid_base, self._uid_base)
        return inner


def _times(entry: tarfile.TarInfo) -> tuple[float, float]:
    time_s = entry.mtime if 0 <= entry.mtime <= TIME_MAX_S else 0
    return time_s, time_s


def capability(value: bytes, uid_base: int, shown: str) -> bytes:
    """Give a program's capabilities as a zone's root has to be told of them.

    Without a user namespace they stay; with one they need its root's id beside them
    (capabilities(7): VFS_CAP_REVISION_3, struct vfs_ns_cap_data). Raises Refused for what is
    neither form.
    """
    try:
        (magic,) = struct.unpack_from("<I", value)
        data = struct.unpack_from("<4I", value, 4)
    except struct.error:
        raise Refused("capabilities of no known form", shown) from None
    if magic & REVISION_MASK not in {REVISION_2, REVISION_3}:
        raise Refused("capabilities of no known form", shown)
    if not uid_base:
        return value
    return struct.pack("<I4II", magic & ~REVISION_MASK | REVISION_3, *data, uid_base)


def parts(name: str) -> list[str]:
    """Take a path of an archive apart; the root itself is empty. Raises Refused."""
    if name.startswith("/"):
        raise Refused("an absolute path", name[: limits.NAME_SHOWN])
    found = [part for part in name.split("/") if part not in {"", "."}]
    if ".." in found:
        raise Refused("a path that leaves the archive", name[: limits.NAME_SHOWN])
    if "\0" in name or len(found) > limits.DEPTH or len(os.fsencode(name)) > limits.NAME_BYTES:
        raise Refused("a path too long or too deep", name[: limits.NAME_SHOWN])
    return found
