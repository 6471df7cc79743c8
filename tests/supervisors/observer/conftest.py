"""Fixtures for tests that need a node beside the test's own thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.supervisors.world import WORLDS, World

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=["asyncio", "thread"])
def beside(request: pytest.FixtureRequest) -> Iterator[World]:
    """A node that runs on a thread of its own, so that others can talk to it meanwhile."""
    made = WORLDS[request.param]()
    with made.node:
        yield made
    made.close()
