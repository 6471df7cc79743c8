"""Fixtures of the keeper's tests: real keepers, in directories of their own, that leave nothing."""

from __future__ import annotations

import asyncio
import inspect
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.hypervisors.linux.keeper.keeper_host import KeeperHost

if TYPE_CHECKING:
    from collections.abc import Iterator

# A test that waits for what never comes fails with its own stack.
PATIENCE_S = 30.0


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine on a loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}

    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await pyfuncitem.obj(**arguments)

    asyncio.run(bounded())
    return True


@pytest.fixture
def directory() -> Iterator[Path]:
    """Give an empty directory with a path short enough for sockets."""
    made = Path(tempfile.mkdtemp(prefix="keep"))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def host(directory: Path) -> Iterator[KeeperHost]:
    """Give a host where no keeper runs yet; at the end nothing that was begun on it is left."""
    made = KeeperHost(directory / "k")
    yield made
    made.clear()


@pytest.fixture
def stranger() -> Iterator[int]:
    """Give the pid of a process that no keeper knows."""
    with subprocess.Popen(["/bin/sleep", "1000"]) as process:
        yield process.pid
        process.kill()
