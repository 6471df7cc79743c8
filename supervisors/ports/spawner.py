"""The node's end of a zygote: start it, have workers forked and killed, hear what they came to."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import NamedTuple

from supervisors import limits
from supervisors.ports import zygote

_READ_BYTES = 4_096


class Report(NamedTuple):
    """What happened to a worker.

    BORN with its pid, DIED with its exit code, which is negative for a signal as in `subprocess`,
    or STILLBORN with the errno of the fork.
    """

    what: bytes
    number: int
    value: int


class Spawner:
    """One zygote; made anywhere, then used by one thread.

    The zygote is started by `subprocess` without a `preexec_fn`, that is by vfork: about 2 ms
    however large the node is. It has a session of its own, so that a Ctrl-C reaches the
    node alone. Standard output of workers goes to standard error, since the node's own output may
    be read by a program.
    """

    def __init__(self) -> None:
        self._control, self._theirs = socket.socketpair()
        self._control.settimeout(0)
        self._received = b""
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the zygote; raises OSError if that cannot be done."""
        with self._theirs as theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own file and a number
                [sys.executable, "-P", zygote.__file__, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=2,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The zygote's pid, 0 if it was not started."""
        return 0 if self._process is None else self._process.pid

    def fileno(self) -> int:
        """Give what to select on: readable when there are reports."""
        return self._control.fileno()

    def spawn(self, number: int, link: socket.socket) -> None:
        """Have a worker forked that serves the other end of this socket, which is closed here.

        Raises OSError if the zygote has ended.
        """
        with link:
            request = zygote.REQUEST.pack(zygote.SPAWN, number)
            socket.send_fds(self._control, [request], [link.fileno()])

    def kill(self, number: int) -> None:
        """Have a worker killed with all it has started; raises OSError if the zygote has ended."""
        self._control.sendall(zygote.REQUEST.pack(zygote.KILL, number))

    def reports(self) -> list[Report]:
        """Read what the zygote has told; raises EOFError if it has ended."""
        try:
            data = self._control.recv(_READ_BYTES)
        except BlockingIOError:
            return []
        except ConnectionResetError:
            data = b""
        if not data:
            raise EOFError("the zygote has ended")
        size = zygote.REPORT.size
        received = self._received + data
        whole = len(received) - len(received) % size
        self._received = received[whole:]
        return [
            Report(*zygote.REPORT.unpack_from(received, start)) for start in range(0, whole, size)
        ]

    def close(self) -> None:
        """End the zygote and its workers and bury it; blocks for `limits.PORT_CLOSE_S` at most.

        It closes its end when all its workers are buried. One that does not is killed, and the
        kernel kills its workers then.
        """
        process = self._process
        with self._control as control, self._theirs:
            if process is None:
                return
            try:
                control.shutdown(socket.SHUT_WR)
                control.settimeout(limits.PORT_CLOSE_S)
                while control.recv(_READ_BYTES):
                    pass
            except OSError:
                process.kill()
        process.wait()
