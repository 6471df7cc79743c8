"""A keeper ends when it is not wanted and has nothing to keep."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from fifo.hypervisors.linux import keeper_end, limits
from fifo.hypervisors.linux.keeper_client import KeeperClient, Program, start_keeper
from fifo.hypervisors.linux.keeper_end import end_idle_keeper
from fifo.model.errors import Unavailable
from tests.hypervisors.linux.keeper.keeper_host import alive

if TYPE_CHECKING:
    from pathlib import Path

    from tests.hypervisors.linux.keeper.keeper_host import KeeperHost


async def test_who_starts_a_keeper_is_told_whether_it_was_there(host: KeeperHost) -> None:
    assert await start_keeper(host.directory)
    assert not await start_keeper(host.directory)


async def test_an_idle_keeper_is_gone_when_it_was_ended_and_another_can_be_started(
    host: KeeperHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ORPHANS_S", 0.05)
    for _ in range(3):
        assert await start_keeper(host.directory)
        client = await KeeperClient.connect(host.directory)
        pid = (await client.line()).hello["pid"]
        # Its client has gone: nobody waits for it any more.
        command = asyncio.create_task(client.run(["sleep", "60"], deadline_s=60))
        await client.inventory()
        command.cancel()
        await asyncio.gather(command, return_exceptions=True)
        await client.close()
        assert await end_idle_keeper(host.directory)
        assert not alive(pid)


async def test_a_keeper_with_an_instance_is_left_as_it_is(host: KeeperHost) -> None:
    async with host.client() as client:
        pid = (await client.line()).hello["pid"]
        started = await client.spawn("web", "1", Program(["sleep", "60"]))
        assert not await end_idle_keeper(host.directory)
        assert alive(pid)
        assert started.pid is not None
        assert alive(started.pid)


async def test_a_keeper_that_is_not_there_is_told_of(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper_end, "END_S", 0.05)
    with pytest.raises(Unavailable, match="no keeper answers"):
        await end_idle_keeper(directory)
