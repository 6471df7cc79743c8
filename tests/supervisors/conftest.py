"""Fixtures for tests of the runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.supervisors.world import WORLDS, SimulatedWorld, World

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=sorted(WORLDS))
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A node under each of the three hosts in turn, active as `with node:` makes it."""
    made = WORLDS[request.param]()
    with made.node:
        yield made
    made.close()


@pytest.fixture
def simulated() -> Iterator[SimulatedWorld]:
    """A node under the simulated host, for tests that are about time or order alone."""
    made = SimulatedWorld()
    with made.node:
        yield made
