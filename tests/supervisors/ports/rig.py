"""One kind of port beside a node on one kind of host, for tests that hold on all of them."""

from __future__ import annotations

import os
import select
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from supervisors import GenServer
from supervisors.errors import PortError
from supervisors.ports.process_port import ProcessPort
from supervisors.ports.simulated_port import SimulatedPort, never
from supervisors.ports.thread_port import ThreadPort
from tests.supervisors.ports import functions
from tests.supervisors.world import REAL_PATIENCE_S, WORLDS

if TYPE_CHECKING:
    from supervisors import Future, Ref
    from supervisors.ports.port import Port
    from tests.supervisors.world import World

MODULE = "tests.supervisors.ports.functions"
SHORT_S = 0.1
"""A deadline that is meant to pass, in real time where the port is real."""
LONG_S = 600.0
"""A deadline that is not meant to pass."""

RIGS = [
    *(("process", host) for host in ("asyncio", "thread")),
    *(("thread", host) for host in ("asyncio", "thread")),
    *(("simulated", host) for host in sorted(WORLDS)),
]
"""Real ports need a host that waits in real time, which the simulated one does not."""


class Client(GenServer):
    """Calls a port from a handler; the message is (port, function, arguments, deadline).

    An error is the answer, so that the client lives on and the test can look at it.
    """

    async def handle_call(self, message: Any, caller: Any) -> Any:
        port, function, args, deadline_s = message
        try:
            return await port.call(function, *args, deadline_s=deadline_s)
        except PortError as error:
            return error


class Rig:
    """Opens ports of one kind and closes them at the end."""

    def __init__(self, kind: str, host: str) -> None:
        self.kind = kind
        self.world: World = WORLDS[host]()
        self.release = threading.Event()
        self.ports: list[Port] = []

    def open(self, name: str = "port", **options: Any) -> Port:
        """Open a port and wait until it is ready."""
        port: Port
        common: dict[str, Any] = functions.COMMON
        if self.kind == "process":
            port = ProcessPort(name, [MODULE], **options)
        elif self.kind == "thread":
            # Threads cannot be killed, so the job that never ends does so after the test.
            table = common | {"note": functions.Log().note, "never": self.release.wait}
            port = ThreadPort(name, table, **options)
        else:
            table = common | {"note": functions.Log().note, "never": never}
            port = SimulatedPort(name, self.world.node, table, **options)
        self.ports.append(port)
        self.wait(port.ready)
        return port

    def client(self) -> Ref[Any]:
        return self.world.start(Client)

    def ask(self, client: Ref[Any], port: Port, function: str, *args: Any, **how: Any) -> Any:
        """Have a handler call the port, and wait."""
        message = (port, function, args, how.get("deadline_s", LONG_S))
        answer = self.world.wait(client.call(message, None))
        if isinstance(answer, PortError):
            raise answer
        return answer

    def wait(self, future: Future[Any]) -> Any:
        return self.world.wait(future)

    def close(self) -> None:
        self.release.set()
        for port in self.ports:
            self.wait(port.close()) if not port.ended.done() else None
        self.world.close()


def read_pid(fifo: Path) -> int:
    """Wait until a worker announces itself, or another process, through a fifo."""
    fd = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        assert poll.poll(REAL_PATIENCE_S * 1000), "nothing was announced"
        return int(os.read(fd, 64))
    finally:
        os.close(fd)


class Watch:
    """Waits for processes that are no children of the test to end, by their pidfds."""

    def __init__(self, *pids: int) -> None:
        self.fds = [os.pidfd_open(pid) for pid in pids]

    def all_ended(self) -> bool:
        """Wait for all of them; False if one did not end in time."""
        try:
            for fd in self.fds:
                poll = select.poll()
                poll.register(fd, select.POLLIN)
                if not poll.poll(REAL_PATIENCE_S * 1000):
                    return False
        finally:
            for fd in self.fds:
                os.close(fd)
        return True


def children() -> set[int]:
    """Give the pids of this process's children, zombies included."""
    own = os.getpid()
    found = set()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == own:
            found.add(int(path.name))
    return found


def open_files() -> list[str]:
    """Name what this process's descriptors stand for, sorted."""
    found = []
    for path in Path("/proc/self/fd").iterdir():
        try:
            found.append(str(path.readlink()))
        except OSError:
            continue
    return sorted(found)
