"""The holder by itself: real ones, and a test in the keeper's place."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path, PosixPath
from typing import TYPE_CHECKING

import pytest

from fifo.hypervisors.linux.keeper import holder as holding
from fifo.hypervisors.linux.keeper import limits
from fifo.hypervisors.linux.keeper.boot import command
from fifo.hypervisors.linux.keeper.console_sockets import listening
from fifo.hypervisors.linux.keeper.holder import Holder
from fifo.hypervisors.linux.keeper.loop import Loop
from tests.hypervisors.linux.keeper.keeper_host import KeeperHost, alive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MANY = 400
"""More terminals than messages that fit into a socket, which are some 270."""
PATIENCE_S = 20.0


class Keeping:
    """A keeper's loop and holder; the holders that were started are found by their directory."""

    def __init__(self, directory: Path) -> None:
        self.loop = Loop(time.monotonic, self._fail)
        self.path = directory / "holder.sock"
        self._holders: list[Holder] = []
        self.holder = self.another()
        self._processes = KeeperHost(directory)

    def another(self) -> Holder:
        """Give what another keeper would have."""
        made = Holder(self.loop, self.path, command("hold", str(self.path.parent)))
        self._holders.append(made)
        return made

    def until(self, met: Callable[[], bool]) -> None:
        """Serve until something is so."""

        def look() -> None:
            if met():
                self.loop.stop()

        self.loop.on_turn = look
        patience = self.loop.after(PATIENCE_S, self.loop.stop)
        self.loop.run()
        patience.cancel()
        assert met()

    def told(self) -> bool:
        """Tell whether the holder was told all there is."""
        return self.holder._line is not None and not self.holder._owed

    def kill(self) -> None:
        """Kill the only holder, and see its end."""
        [pid] = [pid for pid in self._processes.ours() if alive(pid)]
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    def clear(self) -> None:
        """Leave no connection and no process."""
        for line in [made._line for made in self._holders if made._line is not None]:
            line.close()
        for pid in self._processes.ours():
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    @staticmethod
    def _fail(text: str) -> None:
        raise AssertionError(text)


@pytest.fixture
def keeping(directory: Path) -> Iterator[Keeping]:
    made = Keeping(directory)
    yield made
    made.clear()
    os.close(signal.set_wakeup_fd(-1))


@pytest.fixture
def master() -> Iterator[int]:
    """Give the master of a terminal that somebody has open."""
    ends = os.openpty()
    yield ends[0]
    for end in ends:
        os.close(end)


def closed(taken: dict[str, int]) -> set[str]:
    """Give the names of what was taken, and let go of it."""
    for descriptor in taken.values():
        os.close(descriptor)
    return set(taken)


def test_a_holder_that_dies_with_many_terminals_is_replaced_once_by_one_that_has_them_all(
    keeping: Keeping, master: int
) -> None:
    names = {f"zone-{number}" for number in range(MANY)}
    for name in names:
        keeping.holder.put(name, master)
    keeping.until(keeping.told)
    keeping.kill()
    keeping.until(lambda: keeping.holder._line is None)
    keeping.until(keeping.told)
    assert len([pid for pid in keeping._processes.ours() if alive(pid)]) == 1
    assert closed(keeping.another().take()) == names


def test_what_is_dropped_or_put_anew_before_there_was_room_for_it_is_held_as_it_was_last(
    keeping: Keeping, master: int
) -> None:
    for number in range(MANY):
        keeping.holder.put(f"zone-{number}", master)
    assert not keeping.told()
    for number in range(MANY - 1):
        keeping.holder.drop(f"zone-{number}")
    keeping.holder.put("zone-0", master)
    keeping.until(keeping.told)
    assert closed(keeping.another().take()) == {"zone-0", f"zone-{MANY - 1}"}


def test_what_came_of_a_holder_that_dies_while_it_hands_over_is_kept_and_held_by_another(
    keeping: Keeping, master: int
) -> None:
    with listening(keeping.path, socket.SOCK_SEQPACKET, 1) as listener:
        listener.settimeout(PATIENCE_S)

        def hand_over_one() -> None:
            line, _ = listener.accept()
            with line:
                holding._send(line, {"put": "zone"}, master)

        dying = threading.Thread(target=hand_over_one)
        dying.start()
        taken = keeping.holder.take()
        dying.join()
    keeping.until(lambda: keeping.holder._line is None)
    keeping.until(keeping.told)
    assert closed(keeping.another().take()) == closed(taken) == {"zone"}


# --- without a keeper ----------------------------------------------------------------------------


class Looked(PosixPath):
    """A directory that is asked for whenever a holder looks whether there is reason to wait."""

    looks = threading.Semaphore(0)

    def exists(self, *, follow_symlinks: bool = True) -> bool:
        del follow_symlinks
        self.looks.release()
        return True


class Alone:
    """A holder on a thread, and the keeper's end of its connection."""

    def __init__(self, directory: Path, master: int) -> None:
        self.path = directory / "holder.sock"
        self.listener = listening(self.path, socket.SOCK_SEQPACKET, limits.BACKLOG)
        self.ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        holding._send(self.ours, {"put": "zone"}, master)
        self.thread = threading.Thread(
            target=holding.hold, args=(Looked(directory), self.listener, theirs), daemon=True
        )
        self.thread.start()

    def left(self) -> None:
        """Wait until it has ended because the keeper, this process, lives and has left it."""
        self.ours.close()
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()
        self.listener.close()


TAKER = """
import os, socket, sys
line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
line.connect(sys.argv[1])
while b"all" not in line.recv(1024):
    pass
# At once: a keeper that lives on without its connection has left the holder.
os._exit(0)
"""


@pytest.fixture
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "LOOK_S", 0.1)


@pytest.mark.usefixtures("looks_often")
def test_a_holder_that_a_living_keeper_has_left_ends(directory: Path, master: int) -> None:
    Alone(directory, master).left()


@pytest.mark.usefixtures("looks_often")
def test_a_holder_whose_keeper_died_waits_for_the_next(directory: Path, master: int) -> None:
    alone = Alone(directory, master)
    subprocess.run([sys.executable, "-c", TAKER, str(alone.path)], check=True, timeout=PATIENCE_S)
    for _ in range(3):
        assert Looked.looks.acquire(timeout=PATIENCE_S)
    assert alone.thread.is_alive()
    alone.ours.close()
    alone.ours = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    alone.ours.connect(str(alone.path))
    message, descriptor = holding._receive(alone.ours)
    assert message == {"put": "zone"}
    assert descriptor is not None
    os.close(descriptor)
    assert holding._receive(alone.ours) == ({"all": True}, None)
    alone.left()
