"""The holder: a second process that keeps terminals open while there is no keeper.

When the last copy of a terminal's master is closed, the kernel hangs up everything in the guest
that has it open: a keeper's death would end instances. The holder has a copy of each and does
nothing else, so it has little to die of; if it does, the keeper starts another. It is started with
the first terminal, survives the keeper, and ends when it holds nothing and no keeper is connected,
or when a keeper that lives has left it, which has copies of all and starts another.

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
from fifo.hypervisors.linux.keeper.console_sockets import listening, peer, peer_is_trusted
from fifo.hypervisors.linux.keeper.loop import READ, WRITE

if TYPE_CHECKING:
    from pathlib import Path

    from fifo.hypervisors.linux.keeper.loop import Loop

MESSAGE_BYTES: Final = 1024
LOOK_S: Final = 60.0
"""How often a holder without a keeper sees whether there is still a reason to wait for one: long
after a keeper whose death closed the connection can be seen to be dead."""
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
    """The keeper's side: what is to be held, and the connection. On the keeper's thread alone.

    What the holder has no room for waits until it has: a socket takes some 270 messages, and a new
    holder is sent one for each console. It is no more than `limits.CONSOLES_MAX` names twice, those
    that are to be held and those it knows of.
    """

    def __init__(self, loop: Loop, path: Path, command: list[str]) -> None:
        """Remember where a holder listens and how to start one; nothing is started yet."""
        self._loop = loop
        self._path = path
        self._command = command
        self._line: socket.socket | None = None
        self._starting = False
        self._held: dict[str, int] = {}
        # What the holder was told to hold, and the names of which it has to be told, in order.
        self._told: set[str] = set()
        self._owed: dict[str, None] = {}

    def take(self) -> dict[str, int]:
        """Give the terminals that a holder kept from the keeper before this one.

        Of one that dies in the middle it is those that came, which are given to another.
        """
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
            self._gone()
            return dict(self._held)
        self._told.update(self._held)
        self._use(line)
        return dict(self._held)

    def _use(self, line: socket.socket) -> None:
        line.settimeout(0)
        self._line = line
        self._loop.watch(line.fileno(), READ, self._ready)

    def put(self, name: str, master: int) -> None:
        """Have a terminal held; the descriptor stays the caller's, and open until `drop`."""
        self._held[name] = master
        self._owed[name] = None
        if self._line is None and not self._starting:
            self._start()
        else:
            self._tell()

    def drop(self, name: str) -> None:
        """Have a terminal let go; nothing if it is not held."""
        if self._held.pop(name, None) is None:
            return
        if name in self._told:
            self._owed[name] = None
            self._tell()
        else:
            self._owed.pop(name, None)

    def _ready(self, events: int) -> None:
        # It says nothing once it has handed over what it has: it has ended.
        if events & READ:
            self._gone()
        else:
            self._tell()

    def _tell(self) -> None:
        """Say all that is owed, as far as there is room; the rest when there is."""
        if self._line is None:
            return
        try:
            self._say_owed(self._line)
        except BlockingIOError:
            self._loop.watch(self._line.fileno(), READ | WRITE, self._ready)
        except OSError:
            self._gone()
        else:
            self._loop.watch(self._line.fileno(), READ, self._ready)

    def _say_owed(self, line: socket.socket) -> None:
        while self._owed:
            name = next(iter(self._owed))
            if name in self._held:
                _send(line, {"put": name}, self._held[name])
                self._told.add(name)
            else:
                _send(line, {"drop": name})
                self._told.discard(name)
            del self._owed[name]

    def _gone(self) -> None:
        """Start another in a while, so that one that dies at once does not take all the time."""
        if self._line is not None:
            self._loop.forget(self._line.fileno())
            self._line.close()
            self._line = None
        self._told.clear()
        self._owed = dict.fromkeys(self._held)
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
        self._tell()


def hold(directory: Path, listener: socket.socket, keeper: socket.socket) -> None:
    """Be the holder, on inherited sockets, as long as a keeper is connected or may come for more.

    None comes if nothing is held, if the directory is gone and so are the guests, or if the keeper
    that was connected lives still: it has left this holder and started another.
    """
    held: dict[str, int] = {}
    line: socket.socket | None = keeper
    last = _Process(keeper)
    listener.settimeout(None)
    with selectors.DefaultSelector() as selector:
        for end in (listener, keeper):
            selector.register(end, READ)
        while line is not None or (held and (directory.exists() or not _hung_up(held))):
            patience_s = LOOK_S if line is None else None
            ready = {key.fileobj for key, _ in selector.select(patience_s)}
            if not ready and last.lives():
                return
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
                    last.close()
                    last = _Process(line)


class _Process:
    """The process at the other side of a connection: its number may become another's."""

    def __init__(self, line: socket.socket) -> None:
        try:
            self._pidfd = os.pidfd_open(peer(line).pid)
        except OSError:
            # It has died already.
            self._pidfd = -1

    def lives(self) -> bool:
        """Tell whether it has not ended."""
        if self._pidfd < 0:
            return False
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Let go of it."""
        if self._pidfd >= 0:
            os.close(self._pidfd)


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
