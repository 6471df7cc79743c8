"""Fixtures of the Linux driver's tests: real zones, which leave nothing."""

from __future__ import annotations

import asyncio
import inspect
import os
from typing import TYPE_CHECKING

import pytest

from tests.hypervisors.linux.zone_host import ZoneHost, small_zone, why_not

if TYPE_CHECKING:
    from collections.abc import Iterator

SLOWER = "FIFO_TEST_SLOWER"
"""How many times slower than a host the machine is that the tests run in, an emulated one."""
# A test that waits for what never comes fails with its own stack.
PATIENCE_S = 40.0 * float(os.environ.get(SLOWER, "1"))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine on a loop of its own, and close the driver it has opened."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}

    async def bounded() -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                await pyfuncitem.obj(**arguments)
        finally:
            zones = arguments.get("zones")
            if isinstance(zones, ZoneHost):
                await zones.close()

    asyncio.run(bounded())
    return True


@pytest.fixture
def zones() -> Iterator[ZoneHost]:
    """Give a share of this host with the small zone in its cache; a test opens its driver."""
    if reason := why_not():
        pytest.skip(reason)
    made = ZoneHost.make(small_zone()[0])
    yield made
    made.clear()
