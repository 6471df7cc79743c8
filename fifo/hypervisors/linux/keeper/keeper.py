"""The keeper: its parts put together, the socket it serves, and the children it reaps."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import signal
import socket
import time
from typing import TYPE_CHECKING, Any

from fifo.hypervisors.linux.keeper import commands, limits, operations, processes
from fifo.hypervisors.linux.keeper.commands import Commands
from fifo.hypervisors.linux.keeper.connection import Connection
from fifo.hypervisors.linux.keeper.console_sockets import (
    ConsoleSockets,
    listening,
    peer_is_trusted,
)
from fifo.hypervisors.linux.keeper.consoles import Consoles
from fifo.hypervisors.linux.keeper.holder import Holder
from fifo.hypervisors.linux.keeper.instances import Host, Instances
from fifo.hypervisors.linux.keeper.journal import Journal
from fifo.hypervisors.linux.keeper.logs import LogFile, trim
from fifo.hypervisors.linux.keeper.loop import READ, Loop

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fifo.hypervisors.linux.keeper.ledger import Entry

NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class DirectoryTaken(Exception):  # noqa: N818 -- what has happened to the directory
    """Another keeper serves this directory."""


def lock(directory: Path) -> int:
    """Make the directory this process's own and give the descriptor of the lock.

    The lock is held by every copy of the descriptor: also by a child between fork and exec, so the
    next keeper looks for processes only after a half-started one can be seen.

    Raises DirectoryTaken, and OSError if the directory belongs to somebody else.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if directory.stat().st_uid != os.geteuid():
        raise PermissionError(f"{directory} belongs to another user; choose another directory")
    directory.chmod(0o700)
    descriptor = os.open(directory / "keeper.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise DirectoryTaken(
            f"another keeper serves {directory}; connect to it, or stop it first"
        ) from None
    return descriptor


class Keeper:
    """One keeper on one directory, which is locked already. All of it runs on one thread."""

    def __init__(self, directory: Path, holder: list[str], log: Callable[[str], None]) -> None:
        """Take over what an earlier keeper left, and listen. Raises OSError.

        `holder` is the command that starts a holder.
        """
        self._directory = directory
        self._loop = Loop(time.monotonic, log)
        self._log = log
        self._connections: list[Connection] = []
        self._flush_planned = False
        journal = Journal(directory / "keeper.journal", secrets.token_hex(8), self._announce, log)
        mark = journal.ledger.journal
        host = Host(time.monotonic, time.time, processes.boot_id())
        instances = Instances(self._loop, host, journal, self._instance_ended)
        self._parts = operations.Parts(
            Commands(self._loop, time.monotonic, mark),
            instances,
            Consoles(
                self._loop,
                journal,
                Holder(self._loop, directory / "holder.sock", holder),
                instances.runs,
            ),
            ConsoleSockets(self._loop, directory / "c"),
            journal,
            host.boot_id,
            self._loop.stop,
        )
        instances.restore()
        commands.kill_orphans(mark, instances.pids())
        self._parts.consoles.restore()
        self._settle()
        self._loop.on_turn = self._settle
        self._listener = listening(directory / "keeper.sock", socket.SOCK_STREAM, limits.BACKLOG)

    def serve(self) -> None:
        """Serve until it is told to stop; what it watches goes on."""
        self._loop.on_signal(signal.SIGCHLD, self._reap)
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.on_signal(number, self._loop.stop)
        # Of no terminal; ignored, it would be ignored by all children.
        self._loop.on_signal(signal.SIGHUP, lambda: None)
        self._loop.watch(self._listener.fileno(), READ, self._accept)
        self._loop.after(limits.LOG_CHECK_S, self._look_around)
        # What ended before the handler was there.
        self._reap()
        self._loop.run()
        self._reap()
        self._parts.journal.flush()
        for connection in list(self._connections):
            connection.close()
        (self._directory / "keeper.sock").unlink(missing_ok=True)

    # --- clients ---------------------------------------------------------------------------------

    def _accept(self, _: int) -> None:
        try:
            line, _address = self._listener.accept()
        except OSError as error:
            if error.errno in NO_ROOM:
                # It stays ready: without a pause this would take all the time.
                self._loop.forget(self._listener.fileno())
                self._loop.after(limits.RETRY_S, self._accept_again)
            return
        if not peer_is_trusted(line) or len(self._connections) >= limits.CLIENTS_MAX:
            line.close()
            return
        self._connections.append(Connection(self._loop, line, self._handle, self._gone))

    def _gone(self, connection: Connection) -> None:
        self._connections.remove(connection)
        for command in connection.commands.values():
            self._parts.commands.abandon(command)

    def _accept_again(self) -> None:
        self._loop.watch(self._listener.fileno(), READ, self._accept)

    def _handle(self, connection: Connection, request: dict[str, Any]) -> None:
        try:
            operations.handle(self._parts, connection, request)
        except Exception as error:  # the other clients and all instances go on
            connection.refuse(request.get("id"), "internal", f"{type(error).__name__}: {error}")
            raise

    def _announce(self, record: Entry) -> None:
        """Tell of an exit that is on disk."""
        event = {name: value for name, value in record.items() if name != "entry"}
        for connection in [client for client in self._connections if client.reads_exits]:
            connection.send({"event": "exit", **event})

    # --- children --------------------------------------------------------------------------------

    def _reap(self) -> None:
        """Reap every child that has ended; who it was is read before the kernel forgets it."""
        while (pid := processes.ended_child()) is not None:
            start_time = self._start_time(pid)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            if pid in self._parts.commands:
                self._parts.commands.ended(pid, code)
            else:
                self._parts.instances.ended(pid, start_time, code)

    def _start_time(self, pid: int) -> int:
        """Give when an unknown child was started, 0 if there is no descriptor to read it with."""
        if pid in self._parts.commands or pid in self._parts.instances.pids():
            return 0
        try:
            found = processes.stat(pid)
        except OSError:
            return 0
        return found.start_time if found else 0

    def _instance_ended(self, instance: str) -> None:
        self._parts.consoles.instance_ended(instance)

    # --- the disk --------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Write what a turn owes: once for all that ended in it; later if the disk refuses."""
        journal = self._parts.journal
        if journal.owes and not self._flush_planned:
            journal.flush()
        if journal.owes and not self._flush_planned:
            self._flush_planned = True
            self._loop.after(limits.RETRY_S, self._settle_again)

    def _settle_again(self) -> None:
        self._flush_planned = False
        self._settle()

    def _look_around(self) -> None:
        """Keep logs short; end when nothing is left to do and nobody can ask for more."""
        self._loop.after(limits.LOG_CHECK_S, self._look_around)
        if not (self._directory / "keeper.sock").exists() and not self._parts.instances:
            self._log(f"{self._directory} is gone, and nothing runs: this keeper ends\n")
            self._loop.stop()
        trim(LogFile(str(self._directory / "keeper.log")))
        self._parts.instances.trim_logs()
