"""Each way in which there is no keeper to speak to has a reason that a program can act on."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from fifo.hypervisors.linux.keeper_client import KeeperClient, start_keeper
from fifo.model.errors import DeadlineExceeded, NotReady, Unavailable

if TYPE_CHECKING:
    from pathlib import Path

    from tests.hypervisors.linux.keeper.keeper_host import KeeperHost

SILENCE_S = 0.05


async def test_where_no_keeper_serves_it_is_unreachable(host: KeeperHost) -> None:
    with pytest.raises(Unavailable, match="no keeper answers") as caught:
        await KeeperClient.connect(host.directory, patience_s=SILENCE_S)
    assert caught.value.reason_text == "KEEPER_UNREACHABLE"


async def test_a_keeper_that_cannot_serve_was_not_started(directory: Path) -> None:
    (directory / "keeper.journal").mkdir()
    with pytest.raises(NotReady, match="the keeper does not serve") as caught:
        await start_keeper(directory)
    assert caught.value.reason_text == "KEEPER_NOT_STARTED"


async def test_a_keeper_that_has_no_place_was_not_started(directory: Path) -> None:
    place = directory / "file"
    place.write_bytes(b"no directory")
    with pytest.raises(NotReady, match="no keeper was started") as caught:
        await start_keeper(place)
    assert caught.value.reason_text == "KEEPER_NOT_STARTED"


async def test_a_keeper_that_hangs_is_silent_and_heard_again_when_it_goes_on(
    host: KeeperHost,
) -> None:
    async with host.client() as client:
        line = await client.line()
        pid = line.hello["pid"]
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(DeadlineExceeded, match="no answer to inventory") as caught:
                await line.call("inventory", SILENCE_S)
        finally:
            os.kill(pid, signal.SIGCONT)
        assert caught.value.reason_text == "KEEPER_SILENT"
        assert await client.inventory() == []
