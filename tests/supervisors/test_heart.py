"""The heart: a parent process that restarts a node nothing inside could help any more."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from supervisors import ChildSpec, Flags, Supervisor
from supervisors.heart import FD_VARIABLE, Heart, Heartbeat, main
from supervisors.intensity import RestartIntensity
from tests.supervisors.world import REAL_PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path

    from tests.supervisors.world import World

# Short, but longer than a node needs to start and beat for the first time on a busy machine.
PATIENCE_S = 4.0


def beat(how: str, mark: Path, restarts: RestartIntensity | None = None) -> tuple[int, list[str]]:
    """Run the test node under a heart; gives the exit status and what happened."""
    told: list[str] = []
    heart = Heart(
        [sys.executable, "-m", "tests.supervisors.frozen_node", how, str(mark)],
        patience_s=PATIENCE_S,
        restarts=restarts,
        events=lambda what, _: told.append(what),
    )
    return heart.run(), told


def test_a_node_whose_gil_is_held_is_killed_and_started_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    status, told = beat("freeze", tmp_path / "lives")
    assert status == 0
    assert told == ["started", "frozen", "ended", "started", "ended"]
    assert len((tmp_path / "lives").read_text().split()) == 2
    assert "handle_cast" in capfd.readouterr().err, "the stack of the frozen turn was not written"


def test_a_node_that_crashes_is_started_again(tmp_path: Path) -> None:
    status, told = beat("crash", tmp_path / "lives")
    assert status == 0
    assert told == ["started", "ended", "started", "ended"]


def test_a_node_that_ends_in_order_is_left_alone(tmp_path: Path) -> None:
    status, told = beat("stop", tmp_path / "lives")
    assert (status, told) == (0, ["started", "ended"])


def test_a_node_that_crashes_too_often_is_given_up(tmp_path: Path) -> None:
    status, told = beat("crash", tmp_path / "lives", RestartIntensity(0, 60))
    assert status == 1
    assert told == ["started", "ended", "gave_up"]


# What a node does with a signal: the grace it is given, the heart's status, the node's last words.
HEEDING = {"serve": ("20", 0, "ended in order\n"), "deaf": ("0.1", 137, "")}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("how", HEEDING)
def test_a_signal_to_the_heart_ends_the_node_and_then_the_heart(
    tmp_path: Path, number: int, how: str
) -> None:
    grace_s, status, told = HEEDING[how]
    node = ["-m", "tests.supervisors.frozen_node", how, str(tmp_path / "lives")]
    heart = subprocess.Popen(
        [sys.executable, "-m", "supervisors.heart", "--grace", grace_s, "--",
         sys.executable, *node],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    with heart:
        assert heart.stdout is not None
        assert heart.stdout.readline() == "ready\n"
        heart.send_signal(number)
        assert heart.stdout.read() == told
        assert heart.wait(REAL_PATIENCE_S) == status
    assert len((tmp_path / "lives").read_text().split()) == 1, "it was started again"


def test_a_command_that_cannot_be_run_counts_as_a_life() -> None:
    told: list[str] = []
    heart = Heart(["/"], restarts=RestartIntensity(1, 60), events=lambda what, _: told.append(what))
    assert heart.run() == 1
    assert told == ["not_started", "not_started", "gave_up"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--patience", "nan", "--", "touch"],
        ["--patience", "-1", "--", "touch"],
        ["--patience", "0", "--", "touch"],
        ["--patience", "1e300", "--", "touch"],
        ["--grace", "inf", "--", "touch"],
        ["--patience", "soon", "--", "touch"],
        ["--", "/nonexistent"],
        ["--", "/etc/passwd"],
        [],
    ],
)
def test_a_heart_that_is_asked_nonsense_says_so_in_a_line_and_starts_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    mark = tmp_path / "mark"
    with pytest.raises(SystemExit) as caught:
        main([*arguments, str(mark)] if arguments else [])
    assert caught.value.code == 2
    assert re.fullmatch(r"heart: .+; see --help\n", capsys.readouterr().err)
    assert not mark.exists()


def test_a_node_whose_heart_has_died_says_so_once_and_goes_on(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    reading, writing = os.pipe()
    try:
        beat = ChildSpec("beat", (Heartbeat, (writing, 1.0)), name="beat")
        root = world.start(Supervisor, Flags(), [beat])
        first = world.node.address("beat")
        os.close(reading)
        world.advance(5.0)
        assert root.is_alive()
        assert world.node.address("beat") == first
        assert caplog.text.count("the heart has died") == 1
    finally:
        os.close(writing)


def test_a_heartbeat_beats_once_a_period(world: World) -> None:
    reading, writing = os.pipe()
    try:
        world.start(Heartbeat, writing, 1.0)
        world.advance(3.0)
        assert os.read(reading, 100) == b"...."
    finally:
        os.close(reading)
        os.close(writing)


def test_without_a_heart_the_heartbeat_is_not_wanted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(FD_VARIABLE, raising=False)
    with pytest.raises(Exception, match="ignored"):
        world.start(Heartbeat)
