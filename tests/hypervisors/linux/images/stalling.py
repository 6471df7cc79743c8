"""Servers on loopback that stall in the middle of an answer, when a test wants it."""

from __future__ import annotations

import contextlib
import http.server
import os
import queue
import signal
import threading
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Stall:
    """Where an answer stalls, and which process is killed by it.

    Armed, it is for one answer. Who asked for it gets no more then, and the server waits for it to
    go.
    """

    def __init__(self) -> None:
        self._ending = ""
        self._after_bytes = 0
        self._passing = 0
        self._victims: queue.SimpleQueue[int] = queue.SimpleQueue()

    def arm(self, ending: str, after_bytes: int, passing: int = 0) -> None:
        """Stall after so many bytes of what has a path with that ending, and let some answers pass.

        One passes for a node that does again first what the last one was killed in.
        """
        self._ending, self._after_bytes, self._passing = ending, after_bytes, passing

    @property
    def armed(self) -> bool:
        """Whether it has not stalled yet."""
        return bool(self._ending)

    def name(self, pid: int) -> None:
        """Say whom to kill; who waits in a stall for it goes on."""
        self._victims.put(pid)

    def give(self, handler: http.server.BaseHTTPRequestHandler, data: bytes) -> None:
        """Write the body of an answer, as much as is to come of it."""
        stalls = self.armed and handler.path.endswith(self._ending)
        if not stalls or self._passing:
            self._passing -= stalls
            handler.wfile.write(data)
            return
        self._ending = ""
        handler.wfile.write(data[: self._after_bytes])
        os.kill(self._victims.get(), signal.SIGKILL)
        # A program that the killed one had started still waits for the rest.
        with contextlib.suppress(ConnectionResetError):
            handler.connection.recv(1)


class OneFile(http.server.BaseHTTPRequestHandler):
    """A server of one file, whatever it is asked for."""

    file: ClassVar[Path]
    stall: ClassVar[Stall]

    def do_GET(self) -> None:
        """Answer with the file."""
        data = self.file.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.stall.give(self, data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def serving(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on loopback; gives host and port."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
