"""The plain runner gives what a command said, and ends the one that is late."""

from __future__ import annotations

import asyncio
import signal

import pytest

from fifo.hypervisors.linux.guests import commands, spawning
from fifo.hypervisors.linux.guests.spawning import Finished
from fifo.model.errors import DeadlineExceeded, DriverFailed

ENDLESS = ["/bin/busybox", "tail", "-f", "/dev/null"]


def test_a_command_is_fed_and_heard() -> None:
    argv = ["/bin/sh", "-c", "cat; echo bad >&2; exit 3"]
    done = asyncio.run(spawning.run(argv, stdin=b"good", deadline_s=10.0))
    assert done == Finished(3, b"good", b"bad\n")


def test_the_signal_that_ended_a_command_is_its_negative_status() -> None:
    done = asyncio.run(spawning.run(["/bin/sh", "-c", "kill -KILL $$"], deadline_s=10.0))
    assert done.status == -signal.SIGKILL


def test_a_command_that_is_late_is_killed_and_told_of() -> None:
    with pytest.raises(DeadlineExceeded, match=r"did not end within 0\.05 s"):
        asyncio.run(spawning.run(ENDLESS, deadline_s=0.05))


def test_output_that_is_wanted_raises_with_the_end_of_the_complaint() -> None:
    argv = ["/bin/sh", "-c", "echo no such thing >&2; exit 4"]
    with pytest.raises(DriverFailed, match="ended with status 4: no such thing"):
        asyncio.run(commands.output(spawning.run, argv))
