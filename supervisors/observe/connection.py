"""The client's end of the socket."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Any, Self

from supervisors import limits
from supervisors.errors import ObserveError
from supervisors.observe import wire
from supervisors.observe.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from supervisors.observe.feed import Change

_RECEIVE_BYTES = 64 * 1024


class Connection:
    """Asks a process for its tree; `with Connection(path) as connection:`.

    Raises ObserveError if nobody listens at the path, if the process refuses, or when it has gone.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._reader = wire.Reader()
        self._received = bytearray()
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            reason = error.strerror or error
            raise ObserveError(
                f"nobody can be watched at {path} ({reason}): give the socket that was printed"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._socket.close()

    def fileno(self) -> int:
        """Let a selector wait for it."""
        return self._socket.fileno()

    def ask(self, request: dict[str, Any]) -> None:
        """Ask for a snapshot as in `wire.request`."""
        with contextlib.suppress(BrokenPipeError):  # What was said before is still to be read.
            self._socket.sendall(wire.encode(request))

    def receive(self) -> Iterator[Snapshot | list[Change]]:
        """Read once from the socket, waiting if nothing is there; give what that completes."""
        try:
            data = self._socket.recv(_RECEIVE_BYTES)
        except ConnectionResetError:
            data = b""
        if not data:
            raise ObserveError(f"the process at {self.path} has gone")
        self._received += data
        while b"\n" in self._received:
            line, _, rest = self._received.partition(b"\n")
            self._received = rest
            told = self._reader.take(bytes(line))
            if told is not None:
                yield told

    def snapshot(self, request: dict[str, Any]) -> Snapshot:
        """Ask and wait for the answer."""
        self.ask(request)
        while True:
            for told in self.receive():
                if isinstance(told, Snapshot):
                    return told


def all_of_it(depth: int, rows: int) -> dict[str, Any]:
    """Make the request for a tree from its roots down."""
    return wire.request(depth, limits.SNAPSHOT_CHILDREN, rows, None)
