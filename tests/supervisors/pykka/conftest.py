"""Fixtures for the contract tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.supervisors.pykka.runtime import RUNTIMES, STOCK, ProcessRuntime, Runtime, StockRuntime
from tests.supervisors.world import WORLDS

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> Iterator[Runtime]:
    """Stock Pykka, then a node under each of the three hosts, active as `with node:` makes it."""
    if request.param == STOCK:
        stock = StockRuntime()
        yield stock
        stock.close()
        return
    world = WORLDS[request.param]()
    made = ProcessRuntime(world)
    with world.node:
        yield made
    made.close()
