"""The socket on which a running process lets its tree be watched."""

from __future__ import annotations

import logging
import os
import selectors
import socket
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from supervisors import limits
from supervisors.errors import ObserveError
from supervisors.observe import wire
from supervisors.observe.feed import OVERFLOW

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from supervisors.future import Future
    from supervisors.node import Node
    from supervisors.observe.feed import Feed
    from supervisors.observe.snapshot import Snapshot

logger = logging.getLogger("supervisors")

_LINES_PER_ROUND = 16
"""Lines one client may get before the others have their turn."""

_RECEIVE_BYTES = 4_096


class Viewer:
    """One client: its requests in, its snapshots and changes out. On the server's thread."""

    def __init__(self, node: Node, connection: socket.socket, wake: Callable[[], None]) -> None:
        self.connection = connection
        self.over = False
        self._node = node
        self._wake = wake
        self._received = bytearray()
        self._sending = b""
        self._lines: Iterator[bytes] = iter(())
        self._feed: Feed | None = None
        self._options: dict[str, Any] | None = None
        self._snapshot: Future[Snapshot] | None = None
        self._refused = False

    def receive(self) -> None:
        """Take what the client has sent; a line is a request, garbage ends it with an error."""
        try:
            data = self.connection.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.over = True
            return
        if self._refused:
            return
        self._received += data
        try:
            while b"\n" in self._received:
                line, _, rest = self._received.partition(b"\n")
                self._received = rest
                message = wire.decode(bytes(line))
                self._options = wire.read_request(message, self._node.name, self._node.creation)
        except ObserveError as error:
            self.refuse(str(error))
        if len(self._received) > limits.OBSERVE_REQUEST_BYTES:
            self.refuse(f"a request is longer than {limits.OBSERVE_REQUEST_BYTES} bytes")

    def refuse(self, why: str) -> None:
        """Say why, and nothing after that."""
        self._refused = True
        self._lines = iter((wire.encode({"error": why}),))

    def send(self) -> bool:
        """Send what there is and the socket takes; True if it is to be called again when it may."""
        for _ in range(_LINES_PER_ROUND):
            if not self._sending:
                self._sending = self._next_line()
            if not self._sending:
                self.over = self.over or self._refused
                return False
            try:
                sent = self.connection.send(self._sending)
            except BlockingIOError:
                return True
            except OSError:
                self.over = True
                return False
            self._sending = self._sending[sent:]
        return True

    def close(self) -> None:
        """Let go of the client."""
        self.connection.close()
        if self._feed is not None:
            self._feed.close()

    def _next_line(self) -> bytes:
        """Give the next line, or nothing: a snapshot to its end, then changes."""
        line = next(self._lines, b"")
        if line or self._refused:
            return line
        if self._snapshot is not None and self._snapshot.done():
            taken, self._snapshot = self._snapshot, None
            self._lines = wire.snapshot_lines(taken.result())
            return next(self._lines)
        if self._options is not None and self._snapshot is None:
            self._ask(self._options)
            self._options = None
        if self._feed is None:
            return b""
        changes = self._feed.take()
        if changes and changes[-1].kind == OVERFLOW:
            self._feed = None
            self._ask(self._asked)
            return wire.encode({"overflow": changes[-1].sequence})
        return wire.changes_line(changes) if changes else b""

    def _ask(self, options: dict[str, Any]) -> None:
        """Begin a snapshot, after subscribing to what changes from here on."""
        self._asked = options
        if self._feed is None:
            self._feed = self._node.observer.subscribe()
        self._snapshot = self._node.observer.snapshot(**options)
        self._snapshot.add_done_callback(lambda _: self._wake())


class ObserveServer:
    """Lets `python -m supervisors.observe --socket PATH` watch a node: `with ObserveServer(...)`.

    The socket is a file of mode 0600 in a directory of the user's choice. All I/O is on a daemon
    thread; the shard takes part only in making snapshots and changes, and only while somebody
    watches. `start` and `close` may be called from any thread but the shard's own.
    """

    def __init__(self, node: Node, path: Path | str) -> None:
        self.path = Path(path)
        self._node = node
        self._viewers: dict[socket.socket, Viewer] = {}
        self._closing = False
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def start(self) -> None:
        """Open the socket; raises ObserveError if the path is taken, OSError if it is no good."""
        self._clear_the_way()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            os.fchmod(self._listener.fileno(), stat.S_IRUSR | stat.S_IWUSR)
            self._listener.bind(str(self.path))
            self._listener.listen(limits.OBSERVE_CLIENTS)
            self._listener.setblocking(False)  # noqa: FBT003 - the name says it
        except OSError:
            self._listener.close()
            raise
        self._inode = self.path.stat().st_ino
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)  # noqa: FBT003
        self._waker.setblocking(False)  # noqa: FBT003
        self._thread = threading.Thread(target=self._run, name="observe", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread, let the clients go and remove the socket."""
        if self._thread is None:
            return
        self._closing = True
        self._wake()
        self._thread.join()
        self._thread = None
        for opened in (self._listener, self._woken, self._waker):
            opened.close()
        if self.path.exists() and self.path.stat().st_ino == self._inode:
            self.path.unlink()

    def _clear_the_way(self) -> None:
        """Remove the socket of a process that is gone; raises ObserveError for anything else."""
        if not self.path.exists():
            return
        if not self.path.is_socket():
            raise ObserveError(f"{self.path} is there and no socket: choose another path")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(self.path))
            except ConnectionRefusedError:
                self.path.unlink()
                return
        raise ObserveError(f"{self.path} belongs to a running process: choose another path")

    def _wake(self) -> None:
        try:
            self._waker.send(b"!")
        except (BlockingIOError, OSError):
            return  # Woken already, or closed: either way nobody has to be told.

    # -- on the server's own thread ----------------------------------------------------------

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while not self._closing:
                patience_s = limits.OBSERVE_POLL_S if self._viewers else None
                for key, events in selector.select(patience_s):
                    self._attend(selector, key.fileobj, events)
                for viewer in tuple(self._viewers.values()):
                    self._serve(selector, viewer)
        for viewer in self._viewers.values():
            viewer.close()
        self._viewers.clear()

    def _attend(self, selector: selectors.BaseSelector, ready: Any, events: int) -> None:
        if ready is self._listener:
            self._accept(selector)
        elif ready is self._woken:
            self._woken.recv(_RECEIVE_BYTES)
        elif events & selectors.EVENT_READ:
            viewer = self._viewers[ready]
            try:
                viewer.receive()
            except Exception:
                logger.exception("The observe server lost a client")
                viewer.over = True

    def _accept(self, selector: selectors.BaseSelector) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError as error:
            logger.warning("The observe socket %s could not accept: %s", self.path, error)
            return
        connection.setblocking(False)  # noqa: FBT003
        viewer = Viewer(self._node, connection, self._wake)
        if len(self._viewers) >= limits.OBSERVE_CLIENTS:
            viewer.refuse(f"{limits.OBSERVE_CLIENTS} clients are watching already")
            viewer.send()
            viewer.close()
            return
        self._viewers[connection] = viewer
        selector.register(connection, selectors.EVENT_READ)

    def _serve(self, selector: selectors.BaseSelector, viewer: Viewer) -> None:
        try:
            more = not viewer.over and viewer.send()
        except Exception:
            logger.exception("The observe server lost a client")
            more, viewer.over = False, True
        connection = viewer.connection
        if viewer.over:
            selector.unregister(connection)
            del self._viewers[connection]
            viewer.close()
        else:
            waits_for = selectors.EVENT_READ | (selectors.EVENT_WRITE if more else 0)
            selector.modify(connection, waits_for)
