"""The command itself: one frame as text, and live on a real (pseudo) terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING, Any

import pytest

from supervisors.observe.server import ObserveServer
from tests.supervisors.observer.stage import start_tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.supervisors.world import World

PATIENCE_S = 20.0
COMMAND = (sys.executable, "-m", "supervisors.observe")


@pytest.fixture
def path(beside: World, tmp_path: Path) -> Iterator[Path]:
    start_tree(beside)
    with ObserveServer(beside.node, tmp_path / "observe") as server:
        yield server.path


def run(*arguments: Any, columns: int = 80) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "COLUMNS": str(columns), "LINES": "24", "PYTHONUTF8": "1"},
    )


class Terminal:
    """A pseudo terminal of 80 by 24 with the command on it."""

    def __init__(self, path: Path) -> None:
        self.ours, theirs = pty.openpty()
        self.before = termios.tcgetattr(theirs)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            [*COMMAND, "--socket", str(path), "--refresh", "0.1"],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "PYTHONUTF8": "1"},
        )
        self.theirs = theirs
        self.seen = ""

    def wait_for(self, wanted: str) -> None:
        """Read until the command has drawn something."""
        deadline_s = time.monotonic() + PATIENCE_S
        while wanted not in self.seen:
            left_s = deadline_s - time.monotonic()
            assert left_s > 0, f"{wanted!r} was never drawn: {self.seen[-2_000:]!r}"
            if select.select([self.ours], [], [], left_s)[0]:
                self.seen += os.read(self.ours, 65_536).decode(errors="replace")

    def press(self, keys: bytes) -> None:
        self.seen = ""
        os.write(self.ours, keys)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE_S)
        os.close(self.ours)
        os.close(self.theirs)


@pytest.fixture
def terminal(path: Path) -> Iterator[Terminal]:
    opened = Terminal(path)
    yield opened
    opened.close()


def test_once_prints_one_frame_without_any_control_sequence(path: Path) -> None:
    done = run("--socket", path, "--once")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith(" local: 6 processes")
    assert [line.split()[0] for line in lines[1:5]] == ["PROCESS", "▾root", "├─", "└─▾pool"]
    assert "\x1b" not in done.stdout
    assert max(map(len, lines)) <= 80


def test_a_path_where_nobody_listens_is_said_in_one_line(tmp_path: Path) -> None:
    done = run("--socket", tmp_path / "nothing", "--once")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "nobody can be watched at" in done.stderr


def test_without_a_terminal_it_names_the_way_out(path: Path) -> None:
    done = run("--socket", path)
    assert done.returncode == 2
    assert "--once" in done.stderr


def test_on_a_terminal_it_draws_folds_and_leaves_everything_as_it_was(terminal: Terminal) -> None:
    terminal.wait_for("└─▸pool")
    terminal.press(b"jj\r")
    terminal.wait_for("└─▾pool")
    terminal.wait_for("Worker")
    terminal.press(b"q")
    terminal.wait_for("\x1b[?1049l")
    assert terminal.process.wait(PATIENCE_S) == 0
    assert termios.tcgetattr(terminal.theirs) == terminal.before


def test_what_happens_in_the_process_is_seen(beside: World, terminal: Terminal) -> None:
    terminal.wait_for("local: 6 processes")
    terminal.press(b"j")
    solo = beside.node.whereis("solo")
    assert solo is not None
    solo.cast("crash")
    terminal.wait_for("ago: ValueError: boom")


def test_when_the_process_goes_the_terminal_is_given_back_with_a_word(
    beside: World, tmp_path: Path
) -> None:
    start_tree(beside)
    with ObserveServer(beside.node, tmp_path / "observe") as server:
        terminal = Terminal(server.path)
        terminal.wait_for("root Supervisor")
    terminal.wait_for("has gone")
    assert terminal.process.wait(PATIENCE_S) == 1
    assert termios.tcgetattr(terminal.theirs) == terminal.before
    terminal.close()
