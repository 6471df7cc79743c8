"""Fixtures for tests of ports."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.supervisors.ports.rig import RIGS, Rig

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def rigs(*kinds: str) -> list[tuple[str, str]]:
    return [rig for rig in RIGS if rig[0] in kinds]


@pytest.fixture(params=RIGS, ids="-".join)
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """Each kind of port, on each host it works on."""
    yield from opened(*request.param)


@pytest.fixture(params=rigs("process"), ids="-".join)
def processes(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """Process ports, on the asyncio and the thread host."""
    yield from opened(*request.param)


@pytest.fixture
def process() -> Iterator[Rig]:
    """A process port beside one host, for what has nothing to do with the host."""
    yield from opened("process", "thread")


@pytest.fixture
def thread() -> Iterator[Rig]:
    """A thread port beside one host."""
    yield from opened("thread", "thread")


@pytest.fixture(params=rigs("simulated"), ids="-".join)
def simulation(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """The double, on every host."""
    yield from opened(*request.param)


def opened(kind: str, host: str) -> Iterator[Rig]:
    made = Rig(kind, host)
    with made.world.node:
        yield made
    made.close()


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    """A named pipe through which a worker announces that its job has begun."""
    path = tmp_path / "announcements"
    os.mkfifo(path)
    return path
