"""The demo's end: who may play, what interrupts it, and what it never removes."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from fifo.cli.demo import remains
from fifo.cli.demo.alone import alone
from fifo.cli.demo.commands import commands
from fifo.cli.demo.course import Course
from fifo.cli.demo.fleet_client import FleetClient
from fifo.cli.demo.interruption import SIGNALS, Interruption
from fifo.cli.demo.screen import Screen
from fifo.cli.serving.directories import Directories
from fifo.cli.serving.program import Running
from fifo.cli.settings import Settings
from fifo.hypervisors.linux import mounting
from fifo.model.errors import Cancelled, DriverFailed, NotReady

if TYPE_CHECKING:
    from pathlib import Path

NAME = f"fifo/test-demo/{os.getpid()}"


def test_a_second_demo_is_refused_with_the_pid_of_the_first_until_that_ends() -> None:
    with alone(NAME), pytest.raises(NotReady, match=f"pid {os.getpid()}: stop it"), alone(NAME):
        pass
    with alone(NAME):
        pass


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_what_is_under_way_and_is_told_by_the_exit_status(number: int) -> None:
    async def play() -> int:
        interruption = Interruption()
        interruption.listen()
        os.kill(os.getpid(), number)
        with pytest.raises(Cancelled):
            await interruption.limit(asyncio.Event().wait())
        # Somebody impatient changes nothing.
        interruption.take(signal.SIGTERM)
        return interruption.status

    assert asyncio.run(play()) == 128 + number


def test_what_is_done_in_time_is_given_and_its_error_raised() -> None:
    async def done() -> str:
        return "done"

    async def failed() -> str:
        raise NotReady("no")

    async def play() -> None:
        interruption = Interruption()
        assert await interruption.limit(done()) == "done"
        with pytest.raises(NotReady):
            await interruption.limit(failed())

    asyncio.run(play())


@pytest.mark.parametrize("asked", [True, False])
def test_a_node_that_ends_under_the_play_was_asked_to_or_has_failed(
    asked: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def play() -> Course:
        course = Course({}, Screen(), Interruption(), stay=True)
        running = Running()
        course.ready(running, Directories(Settings(data_dir=tmp_path, run_dir=tmp_path)))
        if asked:
            # By a signal that came while it started, and was its own.
            running.end()
        await course.ended()
        return course

    course = asyncio.run(play())
    told = capsys.readouterr().out
    assert (course.failed, course.interruption.number) == ((0, 2) if asked else (1, 0))
    assert ("by itself" in told) is not asked
    assert ("Ended by SIGINT" in told) is asked
    assert "cannot" not in told


def test_a_client_that_was_given_up_calls_nobody(tmp_path: Path) -> None:
    client = FleetClient(tmp_path / "fifo.sock")
    client.give_up()
    with pytest.raises(Cancelled):
        client.names()
    with pytest.raises(Cancelled):
        client.pause(60)


def test_the_printed_commands_are_a_shells(tmp_path: Path) -> None:
    where, *calls = commands(tmp_path / "a socket")
    assert shlex.split(where) == ["export", f"FIFO_SERVER=unix:{tmp_path / 'a socket'}"]
    assert all(shlex.split(call)[0].startswith("/") for call in calls)
    subprocess.run(["/bin/sh", "-n", "-c", "\n".join((where, *calls))], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_directory_is_never_removed_through_a_mount(tmp_path: Path) -> None:
    inside = tmp_path / "base" / "root"
    inside.mkdir(parents=True)
    mounting.mount("tmpfs", inside, "tmpfs", mounting.NODEV, "size=64k")
    try:
        (inside / "file").touch()
        with pytest.raises(DriverFailed, match=str(inside)):
            asyncio.run(remains.remove(tmp_path / "base"))
        assert (inside / "file").exists()
    finally:
        mounting.unmount(inside)
    asyncio.run(remains.remove(tmp_path / "base"))
    assert not (tmp_path / "base").exists()
