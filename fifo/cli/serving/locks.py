"""What a node has to itself on its machine: its directories, and the names that it gives things.

All are locks of the kernel's, so that one is free as soon as its process has ended, however that
came. None is inherited by a program that the process executes: the keeper lives on without it.

```
DATA/private/lock      the data directory
RUN/api/lock           the run directory: the sockets, the keeper, the OCI runtime's state
STORAGE/lock           a real host's images and instances
@fifo/prefix/PREFIX    a real host's interfaces and rules: a socket's name, of the same namespace
```
"""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fifo.model.errors import NotReady, StoreTaken
from fifo.store.sqlite.directory import DirectoryLock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from fifo.cli.serving.directories import Directories
    from fifo.model.errors import FifoError

REMEDY: Final = (
    "stop that node, or give this one a data_dir, run_dir, prefix and ports of its own"
    " (and a storage_dir, if it has one)"
)
HELD: Final = "HELD_BY_ANOTHER_NODE"
"""The reason of a refusal, for programs."""


@contextmanager
def of_node(directories: Directories) -> Iterator[None]:
    """Hold a node's data and run directory; the first thing that a start does.

    Called on the node's loop; asks a disk. Raises NotReady (reason HELD) with what is held and by
    which process, StoreDenied for a directory that cannot be used.
    """
    with (
        _directory("data_dir", directories.data, directories.private),
        _directory("run_dir", directories.run, directories.socket.parent),
    ):
        yield


@contextmanager
def of_host(directories: Directories, prefix: str) -> Iterator[None]:
    """Hold what the driver of a real host takes over; called and raises as `of_node`."""
    instances = directories.instances
    with _directory("storage_dir", instances, instances), _prefix(prefix):
        yield


@contextmanager
def _directory(setting: str, named: Path, locked: Path) -> Iterator[None]:
    """Hold a directory by the lock in one of its own, which no other setting's can be."""
    try:
        lock = DirectoryLock(locked)
    except StoreTaken as taken:
        raise _held(taken.what, f"{setting} {named}") from taken
    with ExitStack() as stack:
        stack.callback(lock.release)
        yield


def _prefix(prefix: str) -> AbstractContextManager[None]:
    return of_name(
        f"fifo/prefix/{prefix}", lambda pid: _held(f"process {pid} has it", f"prefix {prefix}")
    )


@contextmanager
def of_name(name: str, refusal: Callable[[str], FifoError]) -> Iterator[None]:
    """Hold an abstract socket's name, in the network namespace, where links and rules are, too.

    Called by what is to run once a namespace. Raises what `refusal` makes of the holder's pid,
    "unknown" where that cannot be told.
    """
    # It never listens, so nobody can send it anything.
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        try:
            line.bind(f"\0{name}")
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise refusal(_owner(name)) from error
        yield


def _held(what: str, subject: str) -> NotReady:
    return NotReady(what, subject, REMEDY, reason=HELD)


def _owner(name: str) -> str:
    """Find who has a socket of that abstract name; "unknown" where /proc does not show it."""
    told = Path("/proc/net/unix").read_text(encoding="utf-8", errors="replace")
    lines = (line.split() for line in told.splitlines())
    ours = {f"socket:[{words[6]}]" for words in lines if words[7:] == [f"@{name}"]}
    for opened in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(opened.readlink()) in ours:
                return opened.parts[2]
        except OSError:
            continue  # It has ended or closed it meanwhile, or is another user's.
    return "unknown"
