"""Channels over a real keeper: why they end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fifo.hypervisors.linux import keeper_line
from fifo.hypervisors.linux.channels import TerminalChannel
from fifo.model.errors import Unavailable
from tests.hypervisors.linux.keeper.test_consoles import start

if TYPE_CHECKING:
    from tests.hypervisors.linux.keeper.keeper_host import KeeperHost


async def read_all(channel: TerminalChannel) -> None:
    """Read to the end, whatever its reason."""
    while await channel.read() is not None:
        pass


async def test_a_channel_says_whether_its_guest_ended_or_this_side_read_too_slowly(
    host: KeeperHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper_line, "OUTPUT_UNREAD_BYTES_MAX", 1_000)
    async with host.client() as client:
        await start(client, "read line; head -c 50000 /dev/zero | tr '\\0' x; read line")
        attachment = await client.attach("zone", write=True)
        slow = TerminalChannel(attachment)
        await slow.write(b"go\n")
        while not attachment.reason:
            await client.inventory()
        await read_all(slow)
        assert slow.fell_behind
        monkeypatch.undo()
        ended = TerminalChannel(await client.attach("zone", write=True))
        await ended.write(b"go\n")
        await read_all(ended)
        assert not ended.fell_behind


async def test_a_channel_whose_keeper_is_lost_does_not_say_that_its_guest_has_ended(
    host: KeeperHost,
) -> None:
    async with host.client() as client:
        await start(client)
        async with host.client() as gone:
            channel = TerminalChannel(await gone.attach("zone"))
        with pytest.raises(Unavailable, match="lost"):
            await read_all(channel)
        assert not channel.fell_behind
