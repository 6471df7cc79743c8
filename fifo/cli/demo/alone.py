"""One demo at a time: its names on the host and its addresses are the same for every run."""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from typing import TYPE_CHECKING, Final

from fifo.model.errors import NotReady

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME: Final = "\0fifo/demo"
"""Of an abstract socket: seen where links, rules and addresses are, in the network namespace, and
free as soon as its process has ended, however that came."""
BACKLOG: Final = 4096
"""Who asks for the holder's pid is never accepted, and so stays in the queue: Linux has this many
by default."""
CREDENTIALS: Final = struct.Struct("3i")
"""`struct ucred` of unix(7): pid, uid, gid."""


@contextlib.contextmanager
def alone(name: str = NAME) -> Iterator[None]:
    """Be the only demo; raises NotReady with the pid of the other one. Called by `program.main`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as held:
        try:
            held.bind(name)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise NotReady(
                f"a demo runs already, {_holder(name)}: stop it first", remedy="end it with Ctrl-C"
            ) from None
        held.listen(BACKLOG)
        yield


def _holder(name: str) -> str:
    """Say who has the name; the kernel tells who listens to whoever connects (unix(7))."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(0)
        try:
            line.connect(name)
            told = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
        except OSError:
            return "its pid is unknown"
    pid: int = CREDENTIALS.unpack(told)[0]
    return f"pid {pid}"
