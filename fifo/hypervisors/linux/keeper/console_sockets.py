"""Console sockets: where an OCI runtime sends the master of the terminal it has made.

The runtime connects once and sends one message with the descriptor (`--console-socket` of runc).
"""

from __future__ import annotations

import array
import os
import socket
from typing import TYPE_CHECKING, NamedTuple

from fifo.hypervisors.linux.keeper import limits
from fifo.hypervisors.linux.keeper.loop import READ
from fifo.hypervisors.linux.keeper.program import refused

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fifo.hypervisors.linux.keeper.loop import Loop

    Received = Callable[[int], None]

MESSAGE_BYTES = 4096
"""The message carries the terminal's path, which nobody needs (runc's own bound for it)."""


def listening(path: Path, kind: socket.SocketKind, backlog: int) -> socket.socket:
    """Listen at a path, for this user alone; what was there is gone. Raises OSError."""
    if len(os.fsencode(path)) > limits.SOCKET_PATH_BYTES_MAX:
        raise OSError(
            f"{path}: longer than {limits.SOCKET_PATH_BYTES_MAX} bytes; use a shorter directory"
        )
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, kind)
    try:
        # The umask of the keeper leaves the socket to its user from the first moment on.
        listener.bind(os.fspath(path))
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    listener.settimeout(0)
    return listener


class Peer(NamedTuple):
    """Who connected, or made a pair of sockets (unix(7), SO_PEERCRED)."""

    pid: int
    uid: int
    gid: int


def peer(line: socket.socket) -> Peer:
    """Tell who is at the other side; raises OSError."""
    found = array.array("i")
    found.frombytes(line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 3 * found.itemsize))
    return Peer._make(found)


def peer_is_trusted(line: socket.socket) -> bool:
    """Tell whether the other side runs as the same user, or as root."""
    return peer(line).uid in {0, os.geteuid()}


class ConsoleSockets:
    """The sockets that wait for a terminal. Used on the keeper's thread alone."""

    def __init__(self, loop: Loop, directory: Path) -> None:
        """Take a directory of the keeper's own; what is in it is of an earlier keeper."""
        self._loop = loop
        self._directory = directory
        self._opened = 0
        directory.mkdir(mode=0o700, exist_ok=True)
        for stale in directory.iterdir():
            stale.unlink()

    def open(self, received: Received) -> Path:
        """Make a socket for one terminal and give its path; `received` owns the descriptor.

        Nobody coming in time, it is gone. Raises Refusal.
        """
        self._opened += 1
        path = self._directory / f"{self._opened}.sock"
        try:
            listener = listening(path, socket.SOCK_STREAM, 1)
        except OSError as error:
            raise refused(error, str(path)) from None
        _Wait(self._loop, listener, path, received)
        return path


class _Wait:
    """One wait: for the connection, then for the message."""

    def __init__(self, loop: Loop, listener: socket.socket, path: Path, received: Received) -> None:
        self._loop = loop
        self._line = listener
        self._path = path
        self._received = received
        self._timer = loop.after(limits.CONSOLE_ACCEPT_S, self._finish)
        loop.watch(listener.fileno(), READ, self._accept)

    def _accept(self, _: int) -> None:
        line, _address = self._line.accept()
        if not peer_is_trusted(line):
            line.close()
            return
        line.settimeout(0)
        self._loop.forget(self._line.fileno())
        self._line.close()
        self._line = line
        self._loop.watch(line.fileno(), READ, self._receive)

    def _receive(self, _: int) -> None:
        _data, descriptors, _flags, _address = socket.recv_fds(
            self._line, MESSAGE_BYTES, 1, socket.MSG_CMSG_CLOEXEC
        )
        self._finish()
        if descriptors:
            self._received(descriptors[0])

    def _finish(self) -> None:
        self._timer.cancel()
        self._loop.forget(self._line.fileno())
        self._line.close()
        self._path.unlink(missing_ok=True)
