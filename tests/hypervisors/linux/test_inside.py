"""Commands in zones whose opening comes to nothing: a real keeper, and a runtime in words alone."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fifo.hypervisors.linux.channels import UNKNOWN
from fifo.hypervisors.linux.inside import SESSION, Inside
from fifo.hypervisors.linux.keeper import processes
from fifo.hypervisors.linux.keeper.limits import ARGUMENTS_MAX
from fifo.hypervisors.linux.keeper_client import KeeperClient, start_keeper
from fifo.hypervisors.linux.layout import Kept, Layout
from fifo.hypervisors.linux.runtime import Runtime
from fifo.hypervisors.linux.watch import Watch
from fifo.model.errors import DriverFailed
from fifo.model.instance import Claim, InstanceSpec, Shares
from tests.hypervisors.linux import runner
from tests.hypervisors.linux.keeper.keeper_host import KeeperHost, ended, readable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from fifo.hypervisors.driver import Channel

SPEC = InstanceSpec(
    uid="00000000-0000-4000-8000-0000000000e1", id="zone", org="default", generation=1,
    wanted="running", brand="lx", create_time=0.0, max_physical_memory=64,
)  # fmt: skip
CLAIM = Claim(uid=SPEC.uid, host="here", shares=Shares())


class Worded(Runtime):
    """A runtime whose `exec` is any program, which is told the file for the command's pid last."""

    def __init__(self, argv: tuple[str, ...]) -> None:
        super().__init__(runner.run, "worded", Path("/nowhere"))
        self._program = argv

    def exec_argv(
        self,
        uid: str,
        command: tuple[str, ...],
        environment: dict[str, str],
        *,
        pid_file: Path,
        terminal: bool,
    ) -> list[str]:
        """Give the program."""
        del uid, command, environment, terminal
        return [*self._program, str(pid_file)]


class Commands:
    """Commands over a keeper of their own; what is started says a pid in a file."""

    def __init__(self, host: KeeperHost) -> None:
        self.host = host
        self.directory = host.directory.parent
        self.said = self.directory / "said"
        os.mkfifo(self.said)

    async def __aenter__(self) -> Self:
        await start_keeper(self.host.directory)
        self.keeper = await KeeperClient.connect(self.host.directory)
        layout = Layout(self.directory / "state", self.directory / "run")
        self.watch = Watch(
            self.keeper,
            layout,
            processes.boot_id(),
            time.time,
            lambda: start_keeper(self.host.directory),
        )
        await self.watch.open()
        self.inside = Inside(self.keeper, self.watch, self.directory)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.watch.close()
        await self.keeper.close()

    async def execute(self, *argv: str, terminal: bool) -> Channel:
        """Open a command of a zone that has this process for its first: they share a namespace."""
        zone = Kept(spec=SPEC, claim=CLAIM, pid=os.getpid())
        runtime = Worded(argv)
        return await self.inside.execute(runtime, zone, ("true",), {}, terminal=terminal)

    async def given_up(self, script: str, *, terminal: bool) -> int:
        """Give an opening up when the script has said a pid; give that."""
        script = script.replace("SAID", str(self.said))
        said = os.open(self.said, os.O_RDONLY | os.O_NONBLOCK)
        opening = asyncio.create_task(
            self.execute("/bin/sh", "-c", script, "sh", terminal=terminal)
        )
        await readable(said)
        pid = int(os.read(said, 100))
        os.close(said)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        return pid

    async def nothing_is_left(self) -> bool:
        """Tell whether keeper, watch and directory have nothing of a command any more."""
        files = list(self.directory.glob(f"{SESSION}*"))
        return not (await self.keeper.inventory() or self.watch._sessions or files)


@pytest.fixture
def commands() -> Iterator[Commands]:
    directory = Path(tempfile.mkdtemp(prefix="inside"))
    host = KeeperHost(directory / "k")
    yield Commands(host)
    host.clear()
    shutil.rmtree(directory)


@pytest.mark.parametrize("terminal", [True, False])
async def test_of_an_opening_that_is_given_up_nothing_is_left(
    commands: Commands, terminal: bool
) -> None:
    async with commands:
        pid = await commands.given_up("echo $$ > SAID; exec sleep 1000", terminal=terminal)
        assert await commands.nothing_is_left()
        await ended(pid)


@pytest.mark.parametrize("terminal", [True, False])
async def test_a_command_that_begins_as_its_opening_is_given_up_is_killed(
    commands: Commands, monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    # Its file is there and was not looked at yet; it is in a session of its own, as in a zone.
    monkeypatch.setattr("fifo.hypervisors.linux.limits.LOOK_S", 1000.0)
    script = "setsid sleep 1000 & echo $! > $1; echo $! > SAID; exec sleep 1000"
    async with commands:
        pid = await commands.given_up(script, terminal=terminal)
        assert await commands.nothing_is_left()
        await ended(pid)


async def test_a_command_that_the_keeper_refuses_leaves_nothing(commands: Commands) -> None:
    async with commands:
        with pytest.raises(DriverFailed, match="argv"):
            await commands.execute("/bin/true", *["word"] * ARGUMENTS_MAX, terminal=True)
        assert await commands.nothing_is_left()


async def _read_to_the_end(channel: Channel) -> int | None:
    while await channel.read() is not None:
        pass
    return channel.exit_code


async def test_a_terminal_whose_end_the_keeper_tells_has_the_exit_code_of_its_command(
    commands: Commands,
) -> None:
    async with commands:
        channel = await commands.execute(
            "/bin/sh", "-c", "echo $$ > $1; exit 3", "sh", terminal=True
        )
        assert await _read_to_the_end(channel) == 3
        assert await commands.nothing_is_left()


@pytest.mark.parametrize("readers", [1, 2])
async def test_a_command_of_which_the_keeper_tells_nothing_is_ended_at_a_deadline(
    commands: Commands, monkeypatch: pytest.MonkeyPatch, readers: int
) -> None:
    monkeypatch.setattr("fifo.hypervisors.linux.limits.LAST_WORD_S", 0.1)
    async with commands:
        channel = await commands.execute(
            "/bin/sh", "-c", "echo $$ > $1; exec sleep 1000", "sh", terminal=True
        )
        (session,) = await commands.keeper.inventory()
        # The next keeper holds the command, which goes on: what has broken is this channel.
        await commands.host.kill_keeper(commands.keeper)
        reading = (_read_to_the_end(channel) for _ in range(readers))
        assert set(await asyncio.gather(*reading)) == {UNKNOWN}
        assert session.pid is not None
        await ended(session.pid)
        assert await commands.nothing_is_left()
