"""Looking into a running zone: its console, and commands.

A command with a terminal is a process of the keeper's, watched as instances are, since it may last;
one with pipes is a command of the keeper's whose streams go through the node's connection, and ends
with that. Either way the runtime's `exec` is in front of it and gives its exit code on, and one
whose opening fails or is given up is ended before that is told.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fifo.hypervisors.linux import limits
from fifo.hypervisors.linux.channels import PipeChannel, TerminalChannel
from fifo.hypervisors.linux.keeper.limits import DEADLINE_MS_MAX
from fifo.hypervisors.linux.keeper_client import Program
from fifo.hypervisors.linux.keeper_commands import KeeperCommand
from fifo.hypervisors.linux.unstarted import unstarted
from fifo.model.errors import FifoError, WrongState

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.hypervisors.driver import Channel
    from fifo.hypervisors.linux.keeper_client import Exit, KeeperClient
    from fifo.hypervisors.linux.layout import Kept
    from fifo.hypervisors.linux.runtime import Runtime
    from fifo.hypervisors.linux.watch import Watch

SESSION: Final = "exec-"
"""Before the name of a command with a terminal, among the keeper's instances."""
COMMAND_S: Final = DEADLINE_MS_MAX / 1000
"""The longest a command with pipes may take: what the keeper grants."""
_log = logging.getLogger(__name__)


class Inside:
    """Consoles and commands of zones. Used on the node's loop.

    `directory` is for the files in which the runtime says the pid of a command.
    """

    def __init__(self, keeper: KeeperClient, watch: Watch, directory: Path) -> None:
        self._keeper = keeper
        self._watch = watch
        self._directory = directory

    async def console(self, kept: Kept) -> Channel:
        """Attach to a zone's console; who wrote there before only watches from now on."""
        return TerminalChannel(await self._keeper.attach(kept.uid, write=True, take=True))

    async def execute(
        self,
        runtime: Runtime,
        kept: Kept,
        command: tuple[str, ...],
        environment: dict[str, str],
        *,
        terminal: bool,
    ) -> Channel:
        """Run a command in a zone; nothing of it is left if this is cancelled or raises."""
        session = _Session(f"{SESSION}{secrets.token_hex(8)}", kept.pid, self._directory)
        argv = runtime.exec_argv(
            kept.uid, command, environment, pid_file=session.pid_file, terminal=terminal
        )
        if terminal:
            return await self._in_terminal(session, argv)
        return await self._with_pipes(session, argv, command[0])

    async def _in_terminal(self, session: _Session, argv: list[str]) -> TerminalChannel:
        name = session.name
        outcome = self._watch.session(name)
        try:
            await self._keeper.spawn(name, "1", Program(argv), terminal=True)
            attachment = await self._keeper.attach(name, write=True)
            await session.begun(outcome.done)
        except BaseException:
            await self._give_up(session, outcome)
            raise
        return TerminalChannel(
            attachment,
            outcome,
            partial(self._end, session),
            partial(self._forget, session),
            partial(self._give_up, session, outcome),
        )

    async def _end(self, session: _Session) -> bool:
        """Kill a command and its runtime; False if the keeper has none that runs."""
        session.kill()
        try:
            await self._keeper.signal(session.name, "1", signal.SIGKILL)
        except WrongState:
            return False
        return True

    async def _forget(self, session: _Session) -> None:
        session.forget()
        await self._keeper.forget(session.name)

    async def _give_up(self, session: _Session, outcome: asyncio.Future[Exit]) -> None:
        """End a command whose opening has failed, or whose end is not told, within `FORCE_S`.

        An attachment ends with it. What cannot be ended now, the next opening of the driver ends.
        """
        try:
            async with asyncio.timeout(limits.FORCE_S):
                if await self._end(session):
                    await outcome
                # The runtime may have begun it as it was killed itself.
                session.kill()
                await self._forget(session)
        except (FifoError, TimeoutError) as error:
            _log.warning("%s: given up, and may still run: %s", session.name, error)
        finally:
            self._watch.drop_session(session.name)

    async def _with_pipes(self, session: _Session, argv: list[str], name: str) -> PipeChannel:
        channel = PipeChannel(session.kill, session.forget)
        command = await KeeperCommand.begin(
            self._keeper, Program(argv), deadline_s=COMMAND_S, on_output=channel.output
        )
        try:
            await session.begun(lambda: command.done)
        except BaseException:
            session.kill()
            await self._cancelled(session, command)
            raise
        channel.begin(command)
        if command.done:
            await channel.settle(partial(unstarted, name))
        return channel

    @staticmethod
    async def _cancelled(session: _Session, command: KeeperCommand) -> None:
        """See the end of a command with pipes whose opening is given up."""
        try:
            async with asyncio.timeout(limits.FORCE_S):
                await command.cancelled()
        except (FifoError, TimeoutError) as error:
            _log.warning("%s: given up, and may still run: %s", session.name, error)
        finally:
            # The runtime may have begun it as it was killed itself.
            session.kill()
            session.forget()


class _Session:
    """A command in a zone, by the file in which its pid stands."""

    def __init__(self, name: str, init_pid: int, directory: Path) -> None:
        self.name = name
        self.pid_file = directory / f"{name}.pid"
        self._init_pid = init_pid

    async def begun(self, ended: Callable[[], bool]) -> None:
        """Wait until the command runs, or has ended already."""
        while not (self.pid_file.exists() or ended()):  # noqa: ASYNC110 -- a file has no event
            await asyncio.sleep(limits.LOOK_S)

    def kill(self) -> None:
        """Kill the command itself: it would survive the runtime that is in front of it.

        Its number may be another's by now, so that it is held and looked at first: a command of the
        zone is in the zone's process namespace.
        """
        try:
            pid = int(self.pid_file.read_text(encoding="ascii"))
            pidfd = os.pidfd_open(pid)
        except (OSError, ValueError):
            return
        try:
            if _namespace(pid) == _namespace(self._init_pid):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        except OSError:
            # It has ended, or the whole zone has.
            return
        finally:
            os.close(pidfd)

    def forget(self) -> None:
        """Remove the file."""
        self.pid_file.unlink(missing_ok=True)


def _namespace(pid: int) -> str:
    return str(Path(f"/proc/{pid}/ns/pid").readlink())
