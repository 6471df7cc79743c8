"""The heart: a parent process that restarts a node nothing inside could help any more."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from supervisors.heart import FD_VARIABLE, Heart, Heartbeat
from supervisors.intensity import RestartIntensity

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
