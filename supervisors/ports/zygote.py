"""The process that workers are forked from.

A port starts one zygote: a small process with nothing in it but this file and the worker's. It
forks a worker in about a millisecond, however large the node has grown, and it is the parent who
kills and buries workers, so that no pid is ever signalled after it may have been reused.

It is started by the path of this file and loads `frames` and `worker` from beside it under their
own names, without the package around them: that saves each port and each worker the import of the
whole runtime, most of their start-up time and memory.

Lives hang on each other by what the kernel does when a process ends, whoever ends it and how:
- the zygote ends when the port's end of its control socket is closed;
- a worker, idle, ends when the port's end of its socket is closed;
- a worker, also one stuck with the GIL held, is killed by the kernel with all that it has started
  when the zygote ends: the zygote alone holds the write end of a pipe whose read end sends SIGKILL
  to the worker's process group when it hangs up (F_SETSIG and O_ASYNC, Linux).
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import select
import signal
import socket
import struct
import sys
from typing import Any, Final, NoReturn

REQUEST: Final = struct.Struct(">cI")
"""From the port: what to do (SPAWN, with a socket passed along, or KILL) and a worker's number."""
REPORT: Final = struct.Struct(">cIi")
"""To the port: what happened, the worker's number, and a pid, an exit code or an errno."""
SPAWN: Final = b"s"
KILL: Final = b"k"
BORN: Final = b"b"
DIED: Final = b"d"
STILLBORN: Final = b"f"

SOCKETS_PER_READ: Final = 1
"""The kernel ends a read after the first passed socket, and a request passes one at most."""


class Zygote:
    """Forks workers, kills them on request, buries them, and tells the port of each."""

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.workers: dict[int, int] = {}
        self.lifelines: dict[int, int] = {}
        self.passed: list[int] = []
        self.received = b""
        self.wake_end, self.signal_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def run(self) -> None:
        """Serve until the port closes its end, then end and bury every worker."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self.signal_end, warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(self.control, select.POLLIN)
        poll.register(self.wake_end, select.POLLIN)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while True:
                ready = {fd for fd, _ in poll.poll()}
                if self.wake_end in ready:
                    os.read(self.wake_end, 4096)
                    self.bury()
                if self.control.fileno() in ready and not self.obey():
                    break
        for pid in self.workers:
            kill_group(pid)
        self.bury(block=True, tell=False)

    def obey(self) -> bool:
        """Do what the port asks for; False when it has closed its end."""
        data, passed, _, _ = socket.recv_fds(
            self.control, 4096, SOCKETS_PER_READ, socket.MSG_CMSG_CLOEXEC
        )
        self.passed += passed
        self.received += data
        while len(self.received) >= REQUEST.size:
            what, number = REQUEST.unpack_from(self.received)
            self.received = self.received[REQUEST.size :]
            if what == SPAWN:
                self.spawn(number, self.passed.pop(0))
            else:
                for pid, its_number in self.workers.items():
                    if its_number == number:
                        kill_group(pid)
        return bool(data)

    def spawn(self, number: int, link: int) -> None:
        """Fork a worker that serves the passed socket."""
        hold, lifeline = os.pipe2(os.O_CLOEXEC)
        mother = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            os.close(lifeline)
            self.tell(STILLBORN, number, error.errno or 0)
        else:
            if pid == 0:
                self.become_worker(link, lifeline, hold, mother)
            # Both sides make the group, since whoever needs it first must find it. The worker may
            # be a zombie or the head of a session already, and then there is nothing to do.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.setpgid(pid, pid)
            self.workers[pid] = number
            self.lifelines[pid] = lifeline
            self.tell(BORN, number, pid)
        finally:
            os.close(hold)
            os.close(link)

    def become_worker(self, link: int, lifeline: int, hold: int, mother: int) -> NoReturn:
        """Go on as a worker, in the new process; never comes back."""
        status = 70
        try:
            os.setpgid(0, 0)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self.control.close()
            ours = (self.wake_end, self.signal_end, lifeline, *self.lifelines.values())
            for fd in (*ours, *self.passed):
                os.close(fd)
            hang_on(hold)
            if os.getppid() == mother:
                serve = sys.modules["supervisors.ports.worker"].serve
                # Closed by the kernel when the exit code stands: the port kills who closes first.
                self.control = socket.socket(fileno=link)
                serve(self.control)
                status = 0
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 1
        except BaseException:  # noqa: BLE001 - printed; os._exit would lose it
            sys.excepthook(*sys.exc_info())
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
            os._exit(status & 0xFF)

    def bury(self, *, block: bool = False, tell: bool = True) -> None:
        """Reap workers that have ended, with `block` all there are, and what they left."""
        while self.workers:
            # The pid is learnt before it is reaped, so while nobody else can have it.
            options = os.WEXITED | os.WNOWAIT | (0 if block else os.WNOHANG)
            ended = os.waitid(os.P_ALL, 0, options)
            if ended is None:
                return
            pid = ended.si_pid
            kill_group(pid)
            _, status = os.waitpid(pid, 0)
            os.close(self.lifelines.pop(pid))
            number = self.workers.pop(pid)
            if tell:
                self.tell(DIED, number, os.waitstatus_to_exitcode(status))

    def tell(self, what: bytes, number: int, value: int) -> None:
        """Report to the port."""
        self.control.sendall(REPORT.pack(what, number, value))


def kill_group(pid: int) -> None:
    """Kill a worker that is not reaped yet, and all in its process group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def hang_on(hold: int) -> None:
    """Let the kernel kill this process group when the pipe behind `hold` hangs up."""
    fcntl.fcntl(hold, fcntl.F_SETOWN, -os.getpid())
    fcntl.fcntl(hold, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(hold, fcntl.F_SETFL, fcntl.fcntl(hold, fcntl.F_GETFL) | os.O_ASYNC)


def load_beside(name: str) -> Any:
    """Load a module of this directory under its own name, without its package."""
    full = f"supervisors.ports.{name}"
    spec = importlib.util.spec_from_file_location(
        full, f"{__file__.removesuffix('zygote.py')}{name}.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[full] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(control_fd: int) -> None:
    """Be the zygote at the other end of a control socket."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    load_beside("frames")
    load_beside("worker")
    with socket.socket(fileno=control_fd) as control:
        Zygote(control).run()


if __name__ == "__main__":
    main(int(sys.argv[1]))
