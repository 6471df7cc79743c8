"""A debug mode for tests: catch handlers that call what can block their shard.

It listens to the interpreter's audit events, which the blocking calls of the standard library raise
before they begin. Python 3.11 raises them for opening and changing files and directories, file
locks, name look-ups, `connect`, starting processes and sqlite. It raises none for `time.sleep`
(3.13 does, so until then this mode puts one in), for reading and writing what is open already, for
`select`, and for waiting on locks, events and queues: those the watchdog finds, by the time a turn
takes.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from supervisors import context
from supervisors.errors import BlockingCall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EVENTS: Final = frozenset(
    {
        "builtins.input",
        "fcntl.flock",
        "fcntl.lockf",
        "open",
        "os.chmod",
        "os.chown",
        "os.exec",
        "os.fork",
        "os.forkpty",
        "os.link",
        "os.listdir",
        "os.mkdir",
        "os.posix_spawn",
        "os.remove",
        "os.rename",
        "os.rmdir",
        "os.scandir",
        "os.spawn",
        "os.symlink",
        "os.system",
        "os.truncate",
        "os.utime",
        "socket.connect",
        "socket.getaddrinfo",
        "socket.gethostbyaddr",
        "socket.gethostbyname",
        "socket.getnameinfo",
        "sqlite3.connect",
        "subprocess.Popen",
        "time.sleep",
    }
)
"""What is listened to. What is built on these (urllib, http.client, shutil, tempfile, logging to a
file that is opened late) is caught through them."""

SOURCE_SUFFIXES: Final = (".py", ".pyc")
"""Files the interpreter reads by itself, once, for imports and for the lines of a traceback."""

DETAIL_CHARACTERS: Final = 200
"""Characters shown of a call's first argument."""


class _Switch:
    """Who listens in this process, and whether the hook is there.

    An audit hook is the interpreter's own global state and stays for good; so there is one hook,
    added when it is first wanted, and one place it looks at.
    """

    __slots__ = ("added", "listener")

    def __init__(self) -> None:
        self.added = False
        self.listener: Callable[[BlockingCall], None] | None = None


class _Own(threading.local):
    """What each thread has for itself: whether its listener runs, which may block as it likes."""

    listening = False


SWITCH: Final = _Switch()
OWN: Final = _Own()


@contextlib.contextmanager
def forbid_blocking(listener: Callable[[BlockingCall], None] | None = None) -> Iterator[None]:
    """While this is on, every call in a handler that can block is caught, on any thread.

    Without a listener the call raises BlockingCall, which ends the process like any error of a
    handler; with one it goes ahead and the listener gets the error, on the shard's thread.
    """
    before = SWITCH.listener
    if not SWITCH.added:
        SWITCH.added = True
        sys.addaudithook(_hook)
    SWITCH.listener = listener or _refuse
    with _audited_sleep():
        try:
            yield
        finally:
            SWITCH.listener = before


def _refuse(error: BlockingCall) -> None:
    raise error


@contextlib.contextmanager
def _audited_sleep() -> Iterator[None]:
    """Let `time.sleep` raise its audit event in versions of Python that have none for it."""
    if sys.version_info >= (3, 13):
        yield
        return
    names = vars(time)
    sleep = names["sleep"]

    def audited(seconds: float, /) -> None:
        sys.audit("time.sleep", seconds)
        sleep(seconds)

    names["sleep"] = audited
    try:
        yield
    finally:
        names["sleep"] = sleep


def _hook(event: str, args: tuple[Any, ...]) -> None:
    listener = SWITCH.listener
    if listener is None or event not in EVENTS or OWN.listening:
        return
    shard = context.running_shard()
    if shard is None or _is_harmless(event, args):
        return
    OWN.listening = True
    try:
        detail = repr(args[0])[:DETAIL_CHARACTERS] if args else ""
        listener(BlockingCall(shard.current or "a function of the shard", event, detail))
    finally:
        OWN.listening = False


def _is_harmless(event: str, args: tuple[Any, ...]) -> bool:
    """Tell whether this call cannot block, or is the interpreter's own."""
    if event == "open":
        path = args[0]
        return isinstance(path, int) or str(path).endswith(SOURCE_SUFFIXES)
    return event == "socket.connect" and args[0].gettimeout() == 0
