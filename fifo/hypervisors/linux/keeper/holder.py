"""The holder: a second process that keeps terminals open while there is no keeper.

When the last copy of a terminal's master is closed, the kernel hangs up everything in the guest
that has it open: a keeper's death would end instances. The holder has a copy of each and does
nothing else, so it has little to die of; if it does, the keeper starts another. It is started with
the first terminal, survives the keeper, and ends when it holds nothing and no keeper is connected.

Messages are JSON, one a packet: {"put": NAME} with the descriptor, {"drop": NAME}; at a new
connection it sends {"put": NAME} with a descriptor for each that it holds, then {"all": true}.
"""

from __future__ import annotations

import json
import os
import select
import selectors
import socket
import subprocess
from typing import TYPE_CHECKING, Any, Final

from fifo.hypervisors.linux.keeper import limits
from fifo.hypervisors.linux.keeper.console_sockets import listening, peer_is_trusted
from fifo.hypervisors.linux.keeper.loop import READ

if TYPE_CHECKING:
    from pathlib import Path

    from fifo.hypervisors.linux.keeper.loop import Loop

MESSAGE_BYTES: Final = 1024
LOOK_S: Final = 60.0
"""How often a holder without a keeper sees whether there is still a reason to wait for one."""
TAKE_S: Final = 5.0
"""The holder answers in a millisecond; one that is stuck must not keep a keeper from starting."""


def _send(line: socket.socket, message: dict[str, Any], *descriptors: int) -> None:
    socket.send_fds(line, [json.dumps(message).encode()], descriptors)


def _receive(line: socket.socket) -> tuple[dict[str, Any], int | None]:
    """Give a message and its descriptor; an empty one if the other side has gone."""
    data, descriptors, _, _ = socket.recv_fds(line, MESSAGE_BYTES, 1, socket.MSG_CMSG_CLOEXEC)
    message: dict[str, Any] = json.loads(data) if data else {}
    return message, descriptors[0] if descriptors else None


class Holder:
    """The keeper's side: what is to be held, and the connection. On the keeper's thread alone."""

    def __init__(self, loop: Loop, path: Path, command: list[str]) -> None:
        """Remember where a holder listens and how to start one; nothing is started yet."""
        self._loop = loop
        self._path = path
        self._command = command
        self._line: socket.socket | None = None
        self._starting = False
        self._held: dict[str, int] = {}

    def take(self) -> dict[str, int]:
        """Give the terminals that a holder kept from the keeper before this one."""
        line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        line.settimeout(TAKE_S)
        try:
            line.connect(os.fspath(self._path))
            while True:
                message, descriptor = _receive(line)
                if "put" not in message or descriptor is None:
                    break
                self._held[message["put"]] = descriptor
        except OSError:
            line.close()
            return {}
        self._use(line)
        return dict(self._held)

    def _use(self, line: socket.socket) -> None:
        line.settimeout(0)
        self._line = line
        self._loop.watch(line.fileno(), READ, lambda _: self._gone())

    def put(self, name: str, master: int) -> None:
        """Have a terminal held; the descriptor stays the caller's, and open until `drop`."""
        self._held[name] = master
        self._tell({"put": name}, master)

    def drop(self, name: str) -> None:
        """Have a terminal let go; nothing if it is not held."""
        if self._held.pop(name, None) is not None:
            self._tell({"drop": name})

    def _tell(self, message: dict[str, Any], *descriptors: int) -> None:
        try:
            if self._line is not None:
                _send(self._line, message, *descriptors)
            elif not self._starting:
                self._start()
        except OSError:
            self._gone()

    def _gone(self) -> None:
        """Start another in a while, so that one that dies at once does not take all the time."""
        if self._line is not None:
            self._loop.forget(self._line.fileno())
            self._line.close()
            self._line = None
        if self._held and not self._starting:
            self._starting = True
            self._loop.after(limits.RETRY_S, self._start)

    def _start(self) -> None:
        self._starting = False
        try:
            listener = listening(self._path, socket.SOCK_SEQPACKET, limits.BACKLOG)
        except OSError:
            self._gone()
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with listener, theirs:
            inherited = (listener.fileno(), theirs.fileno())
            try:
                process = subprocess.Popen(  # noqa: S603 -- the keeper's own program
                    [*self._command, *map(str, inherited)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=inherited,
                    start_new_session=True,
                )
            except OSError:
                ours.close()
                self._gone()
                return
        # The keeper reaps all its children itself.
        process.returncode = 0
        self._use(ours)
        for name, master in list(self._held.items()):
            self._tell({"put": name}, master)


def hold(directory: Path, listener: socket.socket, keeper: socket.socket) -> None:
    """Be the holder, on inherited sockets, as long as a keeper is connected or may come for more.

    None comes if nothing is held, or if the directory is gone and so are the guests.
    """
    held: dict[str, int] = {}
    line: socket.socket | None = keeper
    listener.settimeout(None)
    with selectors.DefaultSelector() as selector:
        for end in (listener, keeper):
            selector.register(end, READ)
        while line is not None or (held and (directory.exists() or not _hung_up(held))):
            patience_s = LOOK_S if line is None else None
            ready = {key.fileobj for key, _ in selector.select(patience_s)}
            if line is not None and line in ready and not _obey(line, held):
                selector.unregister(line)
                line.close()
                line = None
            if listener in ready:
                if line is not None:
                    # What a keeper that died had sent is waiting still.
                    line.settimeout(0)
                    while _obey(line, held):
                        pass
                    selector.unregister(line)
                    line.close()
                line = _welcome(listener, held)
                if line is not None:
                    selector.register(line, READ)


def _hung_up(held: dict[str, int]) -> bool:
    """Tell whether nobody has any of the terminals open in a guest."""
    poll = select.poll()
    for descriptor in held.values():
        # No event is asked for: a hang-up is told in any case.
        poll.register(descriptor, 0)
    return len(poll.poll(0)) == len(held)


def _obey(line: socket.socket, held: dict[str, int]) -> bool:
    """Do what one message says; False if there are no more."""
    try:
        message, descriptor = _receive(line)
    except OSError:
        return False
    name = message.get("put") or message.get("drop")
    if name in held:
        os.close(held.pop(name))
    if descriptor is not None and "put" in message:
        held[message["put"]] = descriptor
    return bool(message)


def _welcome(listener: socket.socket, held: dict[str, int]) -> socket.socket | None:
    """Hand all that is held to a new keeper; None if it is not one or does not take it."""
    line, _ = listener.accept()
    line.settimeout(TAKE_S)
    try:
        if not peer_is_trusted(line):
            raise PermissionError("not this user's keeper")
        for name, descriptor in held.items():
            _send(line, {"put": name}, descriptor)
        _send(line, {"all": True})
    except OSError:
        line.close()
        return None
    return line
