"""The observe socket: what it says, to whom, and what it does with those who misbehave."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

import pytest

from supervisors import limits, start_child
from supervisors.errors import ObserveError
from supervisors.observe import wire
from supervisors.observe.connection import Connection, all_of_it
from supervisors.observe.feed import BEGAN, Change
from supervisors.observe.server import ObserveServer
from tests.supervisors.observer.samples import TOWN
from tests.supervisors.observer.stage import Worker, look, pool_of, start_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from supervisors.observe.snapshot import Snapshot
    from tests.supervisors.world import World

PATIENCE_S = 20.0
EVERYTHING = all_of_it(limits.SNAPSHOT_DEPTH, limits.SNAPSHOT_ROWS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "observe"


@pytest.fixture
def server(beside: World, path: Path) -> Iterator[ObserveServer]:
    with ObserveServer(beside.node, path) as opened:
        yield opened


class Raw:
    """A client that says whatever it likes."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(str(path))
        self._lines = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._lines.close()
        self.socket.close()

    def say(self, data: bytes) -> None:
        self.socket.sendall(data)

    def hear(self) -> dict[str, Any] | None:
        """Read one message; None at the end."""
        try:
            line = self._lines.readline()
        except ConnectionResetError:  # The server closed while it had more to read from us.
            return None
        return json.loads(line) if line else None

    def hear_until(self, key: str) -> dict[str, Any]:
        while True:
            message = self.hear()
            assert message is not None
            if key in message:
                return message


@pytest.fixture
def connect(path: Path) -> Iterator[Callable[[], Raw]]:
    """Connect any number of raw clients, and close them all in the end."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(Raw(path))


def wait_until_listening(world: World, *, wanted: bool) -> None:
    """Wait until the observer listens, or no more."""
    for _ in range(10_000):
        if world.on_shard(lambda: world.node.observer.listening) is wanted:
            return
    raise AssertionError(f"listening never became {wanted}")


# -- what it says -------------------------------------------------------------------------------


def test_a_client_gets_the_snapshot_it_asks_for(
    beside: World, server: ObserveServer, path: Path
) -> None:
    start_tree(beside, workers=3 * limits.OBSERVE_ROWS_PER_LINE)
    with Connection(path) as connection:
        got = connection.snapshot(EVERYTHING)
    taken = look(beside)
    assert got.rows == taken.rows
    assert (got.node, got.processes, got.roots) == (taken.node, taken.processes, taken.roots)


def test_a_client_may_ask_again_for_another_part(
    beside: World, server: ObserveServer, path: Path
) -> None:
    root = start_tree(beside)
    with Connection(path) as connection:
        folded = connection.snapshot(wire.request(64, 100, 100, frozenset()))
        opened = connection.snapshot(wire.request(64, 100, 100, {root.pid}))
        few = connection.snapshot(wire.request(1, 1, 1, None))
    assert [row.depth for row in folded.rows] == [0]
    assert [row.depth for row in opened.rows] == [0, 1, 1]
    assert len(few.rows) == 1


def test_changes_follow_the_snapshot(beside: World, server: ObserveServer, path: Path) -> None:
    with Connection(path) as connection:
        taken = connection.snapshot(EVERYTHING)
        ref = beside.start(Worker, name="late")
        changes = next(told for told in iter_told(connection) if isinstance(told, list))
    assert [(one.kind, one.pid, one.name) for one in changes] == [(BEGAN, ref.pid, "late")]
    assert changes[0].sequence > taken.sequence


def iter_told(connection: Connection) -> Iterator[Snapshot | list[Change]]:
    while True:
        yield from connection.receive()


def test_a_client_that_lags_is_told_so_and_gets_a_new_snapshot(
    beside: World,
    server: ObserveServer,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    connect: Callable[[], Raw],
) -> None:
    monkeypatch.setattr(limits, "FEED_CHANGES", 8)
    pool = pool_of(beside, start_tree(beside, workers=0))
    client = connect()
    client.say(b"{}\n")
    client.hear_until("complete")

    def start_many() -> None:
        for number in range(100):
            start_child(pool, number)

    beside.on_shard(start_many)
    overflow = client.hear_until("overflow")["overflow"]
    head = client.hear_until("snapshot")["snapshot"]
    assert head["sequence"] >= overflow - 1
    assert head["processes"] > 3


def test_nobody_listens_before_the_first_client_and_after_the_last(
    beside: World, server: ObserveServer, path: Path
) -> None:
    wait_until_listening(beside, wanted=False)
    with Connection(path) as connection:
        connection.snapshot(EVERYTHING)
        wait_until_listening(beside, wanted=True)
    wait_until_listening(beside, wanted=False)


def test_a_client_that_never_reads_holds_nobody_up(
    beside: World, server: ObserveServer, path: Path, connect: Callable[[], Raw]
) -> None:
    start_tree(beside, workers=2_000)
    silent = connect()
    for _ in range(20):
        silent.say(b"{}\n")
    with Connection(path) as connection:
        assert len(connection.snapshot(EVERYTHING).rows) > 1_000
    assert beside.call(beside.start(Worker), "still here") == "still here"


# -- who may and what is refused ------------------------------------------------------------------


def test_the_socket_is_its_owners_alone(server: ObserveServer, path: Path) -> None:
    mode = path.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


def test_the_socket_is_its_owners_alone_whatever_the_umask(beside: World, path: Path) -> None:
    before = os.umask(0)
    try:
        with ObserveServer(beside.node, path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    finally:
        os.umask(before)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"GET / HTTP/1.1\r\n", "no JSON"),
        (b"[]\n", "no JSON object"),
        (b'{"root": 1}\n', "unknown key 'root'"),
        (b'{"rows": 0}\n', "rows is 0"),
        (b'{"rows": 100000000}\n', "rows is 100000000"),
        (b'{"depth": true}\n', "depth is True"),
        (b'{"opened": ["x"]}\n', "opened must be"),
        (b"\xff\xfe\n", "no JSON"),
        (b"[" * 50_000 + b"\n", "no JSON"),
        (b"x" * 200_000, "longer than"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_and_the_client_let_go(
    server: ObserveServer, path: Path, line: bytes, why: str, connect: Callable[[], Raw]
) -> None:
    client = connect()
    client.say(line)
    refused = client.hear_until("error")
    assert why in refused["error"]
    assert client.hear() is None


def test_only_so_many_may_watch(
    server: ObserveServer, path: Path, monkeypatch: pytest.MonkeyPatch, connect: Callable[[], Raw]
) -> None:
    monkeypatch.setattr(limits, "OBSERVE_CLIENTS", 2)
    first, second = connect(), connect()
    for client in (first, second):
        client.say(b'{"rows": 1}\n')
        client.hear_until("complete")
    third = connect()
    assert third.hear() == {"error": "2 clients are watching already"}
    assert third.hear() is None
    first.say(b'{"rows": 1}\n')
    assert first.hear_until("complete")


def test_the_client_says_what_the_process_refused(server: ObserveServer, path: Path) -> None:
    with Connection(path) as connection, pytest.raises(ObserveError, match="unknown key 'what'"):
        connection.snapshot({"what": 1})


# -- coming and going -----------------------------------------------------------------------------


def test_closing_lets_the_clients_go_and_removes_the_socket(beside: World, path: Path) -> None:
    server = ObserveServer(beside.node, path)
    server.start()
    with Connection(path) as connection:
        connection.snapshot(EVERYTHING)
        server.close()
        with pytest.raises(ObserveError, match="has gone"):
            connection.snapshot(EVERYTHING)
    assert not path.exists()
    assert "observe" not in {thread.name for thread in threading.enumerate()}
    wait_until_listening(beside, wanted=False)
    server.close()


def test_a_socket_left_by_a_dead_process_is_taken_over(beside: World, path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with ObserveServer(beside.node, path), Connection(path) as connection:
        assert connection.snapshot(EVERYTHING).rows == ()


def test_a_path_in_use_is_refused(server: ObserveServer, beside: World, path: Path) -> None:
    with pytest.raises(ObserveError, match="belongs to a running process"):
        ObserveServer(beside.node, path).start()
    path.with_suffix(".txt").write_text("mine")
    with pytest.raises(ObserveError, match="no socket"):
        ObserveServer(beside.node, path.with_suffix(".txt")).start()
    assert path.with_suffix(".txt").read_text() == "mine"


def test_a_socket_that_was_replaced_is_not_removed(beside: World, path: Path) -> None:
    server = ObserveServer(beside.node, path)
    server.start()
    path.unlink()
    path.write_text("another's")
    server.close()
    assert path.read_text() == "another's"


def test_a_path_where_nobody_listens_is_named(path: Path) -> None:
    with pytest.raises(ObserveError, match="nobody can be watched at"):
        Connection(path)


# -- the lines ------------------------------------------------------------------------------------


def test_a_snapshot_survives_the_wire() -> None:
    reader = wire.Reader()
    told = [reader.take(line) for line in wire.snapshot_lines(TOWN)]
    assert told[-1] == TOWN
    assert set(told[:-1]) == {None}


def test_changes_survive_the_wire() -> None:
    reader = wire.Reader()
    for line in wire.snapshot_lines(TOWN):
        reader.take(line)
    pid = TOWN.rows[0].pid
    changes = [Change(8, BEGAN, 1.5, pid, None, "Worker", "a"), Change(9, "state", 2.0, None, pid)]
    assert reader.take(wire.changes_line(changes)) == changes


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b'{"rows": [[1]]}',
        b'{"rows": 1}',
        b'{"changes": [[]]}',
        b'{"snapshot": 1}',
    ],
)
def test_a_reader_refuses_lines_of_another_shape(line: bytes) -> None:
    with pytest.raises(ObserveError):
        wire.Reader().take(line)
