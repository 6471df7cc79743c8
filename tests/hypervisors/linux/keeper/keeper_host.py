"""A directory with a keeper, and what a test does to it from outside."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fifo.hypervisors.linux.keeper import commands, frames, instances, processes
from fifo.hypervisors.linux.keeper_client import Attachment, Exit, KeeperClient, start_keeper

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from typing import Self


async def ended(pid: int) -> None:
    """Wait until a process has ended."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        await readable(pidfd)
    finally:
        os.close(pidfd)


async def readable(descriptor: int) -> None:
    """Wait until a descriptor can be read, or is hung up."""
    loop = asyncio.get_running_loop()
    found = asyncio.Event()
    loop.add_reader(descriptor, found.set)
    try:
        await found.wait()
    finally:
        loop.remove_reader(descriptor)


async def until(attachment: Attachment, wanted: bytes) -> bytes:
    """Read until something has been said; give all that was read."""
    said = b""
    async for data in attachment:
        said += data
        if wanted in said:
            return said
    raise AssertionError(f"the console ended after {said!r}")


def alive(pid: int) -> bool:
    """Tell whether a process runs; a zombie does not."""
    found = processes.stat(pid)
    return found is not None and found.state not in "ZX"


class KeeperHost:
    """One directory and the keepers that serve it in turn."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "keeper.sock"

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[KeeperClient]:
        """Give a connected client; a keeper is started if none serves."""
        await start_keeper(self.directory)
        made = await KeeperClient.connect(self.directory)
        try:
            yield made
        finally:
            await made.close()

    async def first_exits(self, client: KeeperClient, count: int, from_seq: int = 1) -> list[Exit]:
        """Wait for the first exits from a number on."""
        found: list[Exit] = []
        async with contextlib.aclosing(client.exits(from_seq)) as exits:
            async for record in exits:
                if record is not None:
                    found.append(record)
                if len(found) == count:
                    break
        return found

    async def kill_keeper(self, client: KeeperClient, number: int = signal.SIGKILL) -> None:
        """Signal the keeper a client is connected to, and wait for its end."""
        pid = (await client.line()).hello["pid"]
        os.kill(pid, number)
        await ended(pid)

    def raw(self) -> RawLine:
        """Give a connection on which a test may break every rule."""
        return RawLine(self.path)

    def journal_text(self) -> str:
        """Give what is in the journal."""
        return (self.directory / "keeper.journal").read_text(encoding="utf-8")

    def clear(self) -> None:
        """Kill the keeper, its holder and all that was started through it."""
        for pid in self.ours():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def ours(self) -> Iterator[int]:
        """Yield the pids of the keeper, its holder and all that was started through it."""
        if not self.path.parent.exists():
            return
        journals = set()
        with contextlib.suppress(FileNotFoundError):
            for line in self.journal_text().splitlines():
                with contextlib.suppress(ValueError, TypeError, AttributeError):
                    journals.add(json.loads(line).get("journal"))
        directory = os.fsencode(self.directory)
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if directory in (entry / "cmdline").read_bytes():
                        yield int(entry.name)
        for mark in (commands.MARK, instances.MARK):
            for pid, value in processes.marked(mark):
                if value.partition(":")[0] in journals:
                    yield pid


class RawLine:
    """A blocking connection of bytes, for clients that are broken or bad."""

    def __init__(self, path: Path) -> None:
        self.line = socket.socket(socket.AF_UNIX)
        self.line.settimeout(10)
        self.line.connect(str(path))
        self._decoder = frames.Decoder()
        self._messages: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.line.close()

    def send(self, **request: Any) -> None:
        """Send a request."""
        self.line.sendall(frames.encode(request))

    def receive(self) -> dict[str, Any] | None:
        """Give the next message; None at the end of the stream."""
        while not self._messages:
            try:
                data = self.line.recv(65536)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self._messages += self._decoder.feed(data)
        return self._messages.pop(0)

    def greet(self) -> None:
        """Say hello."""
        self.send(id=0, op="hello", oldest=1, newest=1)
        answer = self.receive()
        assert answer is not None
        assert "ok" in answer
