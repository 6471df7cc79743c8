"""Following a real keeper through faults of the node's own and of its disk."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fifo.hypervisors.driver import Broken, Inventory
from fifo.hypervisors.linux import watch as watching
from fifo.hypervisors.linux.keeper import processes
from fifo.hypervisors.linux.keeper_client import KeeperClient, Program, start_keeper
from fifo.hypervisors.linux.layout import Layout
from fifo.hypervisors.linux.watch import Watch
from tests.hypervisors.linux.keeper.keeper_host import KeeperHost

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from fifo.hypervisors.driver import Event, Observed
    from fifo.hypervisors.linux.keeper_client import Exit


class FaultyWatch(Watch):
    """A watch that fails once for each end whose name is told to it."""

    def __init__(self, keeper: KeeperClient, host: KeeperHost) -> None:
        directory = host.directory.parent
        super().__init__(
            keeper,
            Layout(directory / "state", directory / "run"),
            processes.boot_id(),
            time.time,
            lambda: start_keeper(host.directory),
        )
        self.faults: dict[str, Exception] = {}

    def ended(self, end: Exit) -> None:
        """Fail, or do as any other."""
        if end.instance in self.faults:
            raise self.faults.pop(end.instance)
        super().ended(end)


class Followed:
    """A keeper of its own, who follows it, and what a listener hears."""

    def __init__(self, host: KeeperHost) -> None:
        self.host = host
        self.heard: asyncio.Queue[Event] = asyncio.Queue()
        self.looks: list[Exception] = []

    async def __aenter__(self) -> Self:
        await start_keeper(self.host.directory)
        self.keeper = await KeeperClient.connect(self.host.directory)
        self.watch = FaultyWatch(self.keeper, self.host)
        await self.watch.open()
        self.watch.listen(self.heard.put_nowait, self._look)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.watch.close()
        await self.keeper.close()

    async def _look(self) -> tuple[Observed, ...]:
        if self.looks:
            raise self.looks.pop()
        return ()

    async def end(self, name: str) -> None:
        """Start what ends at once."""
        self.watch.session(name)
        await self.keeper.spawn(name, "1", Program(["true"]))

    async def told(self, name: str) -> None:
        """Wait until an end that was begun is told."""
        await self.watch.session(name)


@pytest.fixture
def followed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Followed]:
    monkeypatch.setattr(watching, "RETRY_S", 0.01)
    directory = Path(tempfile.mkdtemp(prefix="watch"))
    host = KeeperHost(directory / "k")
    yield Followed(host)
    host.clear()
    shutil.rmtree(directory)


async def test_a_fault_of_the_nodes_own_is_logged_and_told_and_the_following_begun_anew(
    followed: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    async with followed:
        assert await followed.heard.get() == Inventory(())
        followed.watch.faults["exec-a"] = RuntimeError("a field nobody knew")
        await followed.end("exec-a")
        broken = await followed.heard.get()
        assert isinstance(broken, Broken)
        assert "a field nobody knew" in broken.reason
        assert await followed.heard.get() == Inventory(())
        await followed.end("exec-b")
        await followed.told("exec-b")
    assert "begun anew" in caplog.text
    assert "a field nobody knew" in caplog.text


async def test_a_listener_that_cannot_hear_keeps_nobody_from_what_comes(
    followed: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    async with followed:
        assert await followed.heard.get() == Inventory(())
        deaf: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def hear(event: Event) -> None:
            if not isinstance(event, Inventory):
                raise RuntimeError("no ears")  # noqa: TRY004 -- any fault of a listener's
            deaf.set_result(None)

        followed.watch.listen(hear, followed._look)
        followed.watch._listeners.reverse()
        await deaf
        followed.watch.faults["exec-a"] = RuntimeError("a field nobody knew")
        await followed.end("exec-a")
        assert isinstance(await followed.heard.get(), Broken)
    assert "no ears" in caplog.text


async def test_a_look_that_fails_in_an_unknown_way_is_told_and_taken_again(
    followed: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    followed.looks = [RuntimeError("not foreseen")]
    async with followed:
        broken = await followed.heard.get()
        assert isinstance(broken, Broken)
        assert "not foreseen" in broken.reason
        assert await followed.heard.get() == Inventory(())
    assert "not foreseen" in caplog.text


async def test_after_an_end_that_no_disk_took_those_that_were_acknowledged_are_not_asked_for(
    followed: Followed,
) -> None:
    async with followed:
        await followed.end("exec-a")
        await followed.told("exec-a")
        followed.watch.faults["exec-b"] = OSError(28, "No space left on device")
        for name in ("exec-b", "exec-c"):
            await followed.end(name)
        await followed.told("exec-c")
