"""Consoles of a real keeper: terminals and serial sockets, watched and written to."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from fifo.hypervisors.linux import keeper_line
from fifo.hypervisors.linux.keeper import limits
from fifo.hypervisors.linux.keeper_client import Attachment, LogFile, Program
from fifo.model.errors import Busy, NotFound, Unavailable, Unsupported, WrongState
from tests.hypervisors.linux.keeper.keeper_host import alive, ended, until

if TYPE_CHECKING:
    from pathlib import Path

    from fifo.hypervisors.linux.keeper_client import KeeperClient
    from tests.hypervisors.linux.keeper.keeper_host import KeeperHost

# Answers each line with what it read, and its terminal's size on request.
GUEST = """
stty -echo; echo ready
while read line; do case $line in size) stty size;; quit) exit 3;; *) echo "got $line";; esac; done
"""


async def start(
    client: KeeperClient, script: str = GUEST, log: Path | None = None, start_id: str = "s1"
) -> int:
    """Start a guest with a terminal and give its pid."""
    program = Program(["/bin/sh", "-c", script], env={"PATH": os.environ["PATH"]})
    found = await client.spawn(
        "zone", start_id, program, terminal=True, log=LogFile(str(log)) if log else None
    )
    assert found.pid is not None
    return found.pid


async def rest(attachment: Attachment) -> bytes:
    """Read to the end."""
    return b"".join([data async for data in attachment])


def sizes_bytes(directory: Path) -> dict[str, int]:
    """Give the sizes of the files in a directory by their names."""
    return {path.name: path.stat().st_size for path in directory.iterdir() if path.is_file()}


async def test_what_a_guest_says_is_shown_and_what_is_typed_reaches_it(host: KeeperHost) -> None:
    async with host.client() as client:
        await start(client)
        console = await client.attach("zone", write=True)
        await until(console, b"ready\r\n")
        await console.write(b"hello\n")
        await until(console, b"got hello\r\n")
        await console.resize(50, 132)
        await console.write(b"size\n")
        await until(console, b"50 132\r\n")


async def test_the_terminal_is_in_control_of_the_guest(host: KeeperHost) -> None:
    async with host.client() as client:
        await start(client, "trap 'echo interrupted' INT; echo ready; while read line; do :; done")
        console = await client.attach("zone", write=True)
        await until(console, b"ready")
        # Control-C becomes a signal only where a terminal controls the session.
        await console.write(b"\x03")
        await until(console, b"interrupted")


async def test_who_attaches_sees_what_was_said_before(host: KeeperHost) -> None:
    async with host.client() as client:
        await start(client)
        await until(await client.attach("zone"), b"ready")
        assert await until(await client.attach("zone"), b"ready") == b"ready\r\n"


async def test_the_replay_is_the_last_64_kib(host: KeeperHost) -> None:
    async with host.client() as client:
        await start(client, "stty -opost; head -c 200000 /dev/zero; echo; echo end; read line")
        await until(await client.attach("zone"), b"end")
        replay = await until(await client.attach("zone"), b"end")
    assert replay == bytes(limits.RING_BYTES - len(b"\nend\n")) + b"\nend\n"


async def test_a_console_ends_with_its_instance_and_keeps_its_last_words(host: KeeperHost) -> None:
    async with host.client() as client:
        await start(client, "echo last words; exit 3")
        console = await client.attach("zone")
        assert await rest(console) == b"last words\r\n"
        assert console.reason == "ended"
        later = await client.attach("zone")
        assert await rest(later) == b"last words\r\n"
        assert later.reason == "ended"
        await client.forget("zone")
        with pytest.raises(NotFound, match="no console zone"):
            await client.attach("zone")


async def test_a_log_has_all_that_was_said(host: KeeperHost, directory: Path) -> None:
    log = directory / "console.log"
    async with host.client() as client:
        await start(client, "echo first; exit 1", log)
        await host.first_exits(client, 1)
        await start(client, "echo second; exit 1", log, "s2")
        await host.first_exits(client, 1, from_seq=2)
    assert log.read_bytes() == b"first\r\nsecond\r\n"


async def test_the_log_is_turned_over_at_its_size(host: KeeperHost, directory: Path) -> None:
    log = LogFile(str(directory / "console.log"), size_bytes=64 * 1024, kept=2)
    program = Program(["/bin/sh", "-c", "stty -opost; head -c 300000 /dev/zero"])
    async with host.client() as client:
        await client.spawn("zone", "s1", program, terminal=True, log=log)
        await host.first_exits(client, 1)
    sizes = sizes_bytes(directory)
    assert sorted(sizes) == ["console.log", "console.log.1", "console.log.2"]
    assert max(sizes.values()) <= 64 * 1024


# --- several at once -----------------------------------------------------------------------------


async def test_many_watch_and_one_writes(host: KeeperHost) -> None:
    async with host.client() as client, host.client() as other:
        await start(client)
        writer = await client.attach("zone", write=True)
        watcher = await other.attach("zone")
        with pytest.raises(Busy, match="another writes"):
            await watcher.write(b"mine\n")
        with pytest.raises(Busy, match="take it over"):
            await other.attach("zone", write=True)
        await writer.write(b"hello\n")
        await until(watcher, b"got hello")
        await until(writer, b"got hello")


async def test_writing_can_be_taken_over_and_is_free_after_a_detach(host: KeeperHost) -> None:
    async with host.client() as client, host.client() as other:
        await start(client)
        first = await client.attach("zone", write=True)
        second = await other.attach("zone", write=True, take=True)
        with pytest.raises(Busy):
            await first.write(b"mine\n")
        assert not first.writes
        await second.write(b"two\n")
        await until(first, b"got two")
        await second.detach()
        await other.inventory()
        third = await client.attach("zone", write=True)
        await third.write(b"three\n")
        await until(third, b"got three")


async def test_a_detached_watcher_hears_nothing_and_the_guest_does_not_notice(
    host: KeeperHost,
) -> None:
    async with host.client() as client:
        pid = await start(client)
        console = await client.attach("zone", write=True)
        await until(console, b"ready")
        await console.detach()
        assert await rest(console) == b""
        with pytest.raises(NotFound, match="attach again"):
            await console.write(b"lost\n")
        assert alive(pid)


async def test_a_watcher_that_does_not_read_is_dropped_and_never_holds_up_the_guest(
    host: KeeperHost,
) -> None:
    async with host.client() as client:
        with host.raw() as slow:
            slow.greet()
            burst = "while read line; do head -c 1000000 /dev/zero; echo end; done"
            await start(client, f"stty -echo -opost; echo ready; {burst}")
            slow.send(id=1, op="attach", console="zone")
            assert slow.receive() == {"id": 1, "ok": {"channel": 1}}
            console = await client.attach("zone", write=True)
            await until(console, b"ready\n")
            # More than the keeper keeps for a connection, base64 not counted.
            for _ in range(6):
                await console.write(b"go\n")
                assert len(await until(console, b"end\n")) == 1_000_004
            events: list[dict[str, Any]] = []
            while not events or events[-1]["event"] != "console_end":
                message = await asyncio.to_thread(slow.receive)
                assert message is not None
                events.append(message)
            assert events[-1]["reason"] == "slow"
            slow.send(id=2, op="inventory")
            answer = slow.receive()
            assert answer is not None
            assert answer["id"] == 2


async def test_input_a_guest_does_not_read_is_refused_at_its_bound(host: KeeperHost) -> None:
    async with host.client() as client:
        pid = await start(client, "stty raw -echo; echo ready; kill -STOP $$")
        console = await client.attach("zone", write=True)
        await until(console, b"ready")
        writes = (console.write(bytes(60_000)) for _ in range(9))
        with pytest.raises(Unavailable, match="the guest does not read") as caught:
            await asyncio.gather(*writes)
        assert caught.value.reason_text == "KEEPER_CONSOLE_FULL"
        os.kill(pid, signal.SIGKILL)
        await host.first_exits(client, 1)
        with pytest.raises(NotFound):
            await console.write(b"late")


async def test_a_reader_that_falls_behind_is_detached_and_told_so(
    host: KeeperHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper_line, "OUTPUT_UNREAD_BYTES_MAX", 1_000)
    async with host.client() as client:
        await start(client, "read line; head -c 50000 /dev/zero | tr '\\0' x; read line")
        console = await client.attach("zone", write=True)
        await console.write(b"go\n")
        # Each answer comes after what the keeper had sent before it.
        while not console.reason:
            await client.inventory()
        assert await anext(console)
        with pytest.raises(Unavailable, match="attach again") as caught:
            await anext(console)
        assert caught.value.reason_text == "KEEPER_CONSOLE_SLOW"


async def test_a_client_that_is_gone_leaves_its_consoles(host: KeeperHost) -> None:
    async with host.client() as client:
        await start(client)
        async with host.client() as gone:
            attached = await gone.attach("zone", write=True)
        with pytest.raises(Unavailable, match="lost") as caught:
            await rest(attached)
        assert caught.value.reason_text == "KEEPER_CONSOLE_LOST"
        # The keeper has noticed when the writing is free.
        while True:
            try:
                await client.attach("zone", write=True)
            except Busy:
                continue
            break


# --- across keepers ------------------------------------------------------------------------------


async def test_a_terminal_outlives_a_killed_keeper(host: KeeperHost, directory: Path) -> None:
    log = directory / "console.log"
    async with host.client() as client:
        pid = await start(client, log=log)
        console = await client.attach("zone", write=True)
        await until(console, b"ready")
        await host.kill_keeper(client)
        with pytest.raises(Unavailable, match="attach again"):
            await anext(console)
    assert alive(pid)
    async with host.client() as client:
        console = await client.attach("zone", write=True)
        assert await until(console, b"ready") == b"ready\r\n"
        await console.write(b"again\n")
        await until(console, b"got again")
        await console.write(b"quit\n")
        await rest(console)
        await host.first_exits(client, 1)
    assert log.read_bytes() == b"ready\r\ngot again\r\n"


async def test_a_killed_holder_is_replaced_and_its_successor_holds_as_well(
    host: KeeperHost,
) -> None:
    async with host.client() as client:
        pid = await start(client)
        console = await client.attach("zone", write=True)
        await until(console, b"ready")
        keeper = (await client.line()).hello["pid"]
        [first] = [found for found in host.ours() if found not in {pid, keeper}]
        os.kill(first, signal.SIGKILL)
        await ended(first)
        while not [found for found in host.ours() if found not in {pid, keeper, first}]:
            await client.inventory()
        await console.write(b"still\n")
        await until(console, b"got still")
        await host.kill_keeper(client)
    assert alive(pid)
    async with host.client() as client:
        console = await client.attach("zone", write=True)
        await console.write(b"more\n")
        await until(console, b"got more")


async def test_the_holder_ends_with_its_last_terminal_and_keeper(host: KeeperHost) -> None:
    async with host.client() as client:
        pid = await start(client, "exit 0")
        await host.first_exits(client, 1)
        keeper = (await client.line()).hello["pid"]
        [holder] = [found for found in host.ours() if found not in {pid, keeper}]
        await client.shutdown()
        await ended(holder)


# --- serial sockets ------------------------------------------------------------------------------


class SerialPort:
    """QEMU's end of a serial line: a unix socket that takes one connection after another."""

    def __init__(self) -> None:
        self.connections: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = (
            asyncio.Queue()
        )
        self._server: asyncio.Server | None = None

    async def listen(self, path: Path) -> None:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self.connections.put((reader, writer))

        self._server = await asyncio.start_unix_server(connected, str(path))

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()


async def test_a_serial_socket_is_held_logged_and_connected_to_again(
    host: KeeperHost, directory: Path
) -> None:
    path, log, port = directory / "serial", directory / "console.log", SerialPort()
    async with host.client() as client:
        with pytest.raises(WrongState, match="does not run"):
            await client.console_connect("vm", path)
        await client.spawn("vm", "s1", Program(["sleep", "1000"]))
        # The keeper comes back until somebody listens.
        await client.console_connect("vm", path, log=LogFile(str(log)))
        await port.listen(path)
        reader, writer = await port.connections.get()
        console = await client.attach("vm", write=True)
        writer.write(b"login: ")
        await until(console, b"login: ")
        await console.write(b"root\n")
        assert await reader.readline() == b"root\n"
        with pytest.raises(Unsupported, match="no terminal"):
            await console.resize(24, 80)
        await host.kill_keeper(client)
        assert await reader.read() == b""
        writer.close()
    async with host.client() as client:
        reader, writer = await port.connections.get()
        console = await client.attach("vm")
        writer.write(b"welcome")
        await until(console, b"login: welcome")
        await client.signal("vm", "s1", signal.SIGKILL)
        await rest(console)
        assert await reader.read() == b""
        writer.close()
    await port.close()
    assert log.read_bytes() == b"login: welcome"
