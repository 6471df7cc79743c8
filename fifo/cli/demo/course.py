"""What happens beside the demo's node while it serves, until all instances are deleted."""

from __future__ import annotations

import asyncio
import signal
import traceback
from typing import TYPE_CHECKING, Final

import grpc

from fifo.cli.demo.commands import commands
from fifo.cli.demo.fleet_client import FleetClient
from fifo.cli.demo.steps import Cast, Demo, prepare
from fifo.model.errors import Cancelled, FifoError

if TYPE_CHECKING:
    from pathlib import Path

    from fifo.cli.demo.interruption import Interruption
    from fifo.cli.demo.screen import Screen
    from fifo.cli.serving.directories import Directories
    from fifo.cli.serving.program import Running

CLEAR_S: Final = 30.0
"""For the node to delete what there is; the host's own means come after that."""
EXPECTED: Final = (FifoError, OSError, AssertionError, grpc.RpcError)
"""What the host, the node or the demo itself says; all else is a bug, and shown with its place."""


class Course:
    """The play, or with `stay` only what it needs; then the end of the node. On the demo's loop.

    The play is on a thread of its own, whose calls end when a signal comes.
    """

    def __init__(
        self, images: dict[str, Path], screen: Screen, interruption: Interruption, *, stay: bool
    ) -> None:
        self.images = images
        self.screen = screen
        self.interruption = interruption
        self.stay = stay
        self.failed = 0
        self._running: Running | None = None
        self._serves = True
        self._task: asyncio.Task[None] | None = None

    def ready(self, running: Running, directories: Directories) -> None:
        """Begin: the node serves. Called by `fifo.cli.serving.program.run`."""
        self.screen.title("A node serves")
        self.screen.say(f"gRPC on 127.0.0.1:{running.api_port} and unix:{directories.socket}")
        self.screen.say(f"metrics at http://127.0.0.1:{running.web_port}/metrics")
        if running.warning:
            self.screen.say(running.warning)
        self.interruption.listen()
        self._running = running
        self._task = asyncio.create_task(self._play(running, directories))

    async def ended(self) -> None:
        """Return when it has come to its end, without its node too."""
        if self._running is None or self._task is None:
            return
        if not self._task.done():
            self._serves = False
            if self._running.ending.is_set():
                # A signal that came while the node started was the node's.
                self.interruption.take(signal.SIGINT)
            if not self.interruption.number:
                self.failed = 1
                self.screen.say("the node has ended by itself")
            self.interruption.give_up()
        await self._task

    async def _play(self, running: Running, directories: Directories) -> None:
        client = FleetClient(directories.socket)
        asked = asyncio.create_task(self.interruption.wait())
        part = self._prepare if self.stay else self._parts
        play = asyncio.create_task(asyncio.to_thread(part, client, running))
        await asyncio.wait((asked, play), return_when=asyncio.FIRST_COMPLETED)
        if not play.done():
            client.give_up()
            await asyncio.wait((play,))
        error = play.exception()
        if not self.interruption.number:
            self._judge(error)
            if self.stay and not self.failed:
                self._invite(directories)
                await asked
        asked.cancel()
        client.close()
        if self.interruption.number:
            self.screen.title(f"Ended by {signal.Signals(self.interruption.number).name}")
        if self._serves:
            await asyncio.to_thread(self._clear, directories)
        running.end()

    def _judge(self, error: BaseException | None) -> None:
        if error is None or isinstance(error, Cancelled):
            return
        self.failed = 1
        self.screen.say(f"failed: {_words(error)}")
        if not isinstance(error, EXPECTED):
            self.screen.say("".join(traceback.format_exception(error)))

    def _prepare(self, client: FleetClient, running: Running) -> None:
        del running
        prepare(client, self.images, self.screen)

    def _parts(self, client: FleetClient, running: Running) -> None:
        assert running.node is not None
        simulated = running.simulated[0] if running.simulated else None
        cast = Cast(running.node, running.hosts[0], self.images, running.web_port, simulated)
        Demo(client, cast, self.screen).play()

    def _invite(self, directories: Directories) -> None:
        self.screen.title("In another terminal")
        for line in commands(directories.socket):
            self.screen.say(line)
        self.screen.title("Ctrl-C here deletes all instances and ends the node")

    def _clear(self, directories: Directories) -> None:
        """Delete the instances of a part that did not come to its end, and the user's."""
        client = FleetClient(directories.socket)
        try:
            if client.names():
                with self.screen.step("delete all instances") as told:
                    told.append(f"{client.delete_all(CLEAR_S)} deleted")
        except EXPECTED as error:
            # What the node cannot remove is removed when it has ended.
            self.screen.say(f"the node cannot delete its instances: {_words(error)}")
        finally:
            client.close()


def _words(error: BaseException) -> str:
    if isinstance(error, grpc.Call):
        return str(error.details())
    return str(error) or type(error).__name__
