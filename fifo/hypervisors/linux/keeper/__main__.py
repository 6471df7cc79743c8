"""Start a keeper or a holder: `keep DIRECTORY READY` or `hold DIRECTORY LISTENER CONNECTION`.

READY, LISTENER and CONNECTION are numbers of inherited descriptors. `boot` has the command line.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import sys
from pathlib import Path

from fifo.hypervisors.linux.keeper.boot import command
from fifo.hypervisors.linux.keeper.holder import hold
from fifo.hypervisors.linux.keeper.keeper import DirectoryTaken, Keeper, lock

PR_SET_CHILD_SUBREAPER = 36


def detach() -> None:
    """Go on in a child that belongs to init and leads a session of its own.

    Whatever is done to the starter's process group, session or terminal does not reach it.
    """
    if os.fork():
        os._exit(0)
    os.setsid()


def become_subreaper() -> None:
    """Be the parent of all descendants whose own parent ends; raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def prepare() -> None:
    """Shed what was inherited, and take all the descriptors that are allowed."""
    os.umask(0o077)
    os.chdir("/")
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE}:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def log(text: str) -> None:
    """Write to the log, which standard error is; a full disk is no reason to end."""
    try:
        os.write(2, text.encode())
    except OSError:
        return


def keep(directory: Path, ready: int) -> int:
    """Be the keeper; say on `ready` that it serves, or why it does not."""
    detach()
    # The copy is not inherited by what the keeper starts.
    inherited, ready = ready, os.dup(ready)
    os.close(inherited)
    try:
        prepare()
        locked = lock(directory)
        become_subreaper()
        keeper = Keeper(directory, command("hold", str(directory)), log)
    except DirectoryTaken as error:
        os.write(ready, f"taken {error}\n".encode())
        return 1
    except OSError as error:
        os.write(ready, f"failed {error}\n".encode())
        return 1
    os.write(ready, f"ready {os.getpid()}\n".encode())
    os.close(ready)
    keeper.serve()
    os.close(locked)
    return 0


def main(arguments: list[str]) -> int:
    """Do what the arguments say and give the exit status."""
    match arguments:
        case ["keep", directory, ready]:
            return keep(Path(directory).absolute(), int(ready))
        case ["hold", directory, listener, connection]:
            ends = (socket.socket(fileno=int(number)) for number in (listener, connection))
            hold(Path(directory), *ends)
            return 0
        case _:
            log(f"{__doc__}\n")
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
