"""A namespace of a pull's own is made beside the loop, and nothing is left of one given up."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fifo.hypervisors.linux.images import namespace

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it makes namespaces")

if TYPE_CHECKING:
    from collections.abc import Sequence


def descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


@pytest.mark.parametrize("cancellations", [1, 2])
async def test_who_gives_one_up_waits_for_its_thread_and_the_loop_does_not(
    monkeypatch: pytest.MonkeyPatch, cancellations: int
) -> None:
    loop, begun, may_go = asyncio.get_running_loop(), asyncio.Event(), threading.Event()
    real = namespace._make

    def slow(*given: Any) -> namespace.Isolated:
        loop.call_soon_threadsafe(begun.set)
        # A loop that waits for this thread never lets it go.
        assert may_go.wait(timeout=5)
        return real(*given)

    async def use(addresses: Sequence[tuple[str, int]]) -> None:
        with ExitStack() as held:
            await namespace.isolated(addresses, held)

    monkeypatch.setattr(namespace, "_make", slow)
    before = descriptors()
    using = asyncio.create_task(use([(namespace.LOOPBACK, 0)]))
    await begun.wait()
    for _ in range(cancellations):
        using.cancel()
        done, _ = await asyncio.wait([using], timeout=0)
        assert not done
    assert not may_go.is_set()
    may_go.set()
    with pytest.raises(asyncio.CancelledError):
        await using
    assert descriptors() == before


def test_a_node_that_may_make_no_namespace_is_told() -> None:
    script = """
import asyncio, contextlib
from fifo.hypervisors.linux.images.namespace import isolated
from fifo.model.errors import NotReady
try:
    asyncio.run(isolated([], contextlib.ExitStack()))
except NotReady as error:
    print(error)
"""
    argv = ["setpriv", "--bounding-set=-sys_admin", sys.executable, "-c", script]
    told = subprocess.run(argv, capture_output=True, check=True, text=True).stdout
    assert "no network namespace can be made" in told
    assert "CAP_SYS_ADMIN" in told
