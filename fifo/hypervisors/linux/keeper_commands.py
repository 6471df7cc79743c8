"""Commands of the keeper that are talked with while they run."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Final

from fifo.hypervisors.linux.keeper.limits import INPUT_BYTES_MAX
from fifo.hypervisors.linux.keeper_values import Finished
from fifo.model.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from fifo.hypervisors.linux.keeper_client import KeeperClient, Program
    from fifo.hypervisors.linux.keeper_line import Line

ANSWER_S: Final = 10.0
"""For the answer to input, and for what the command's own answer may come after its deadline."""
AGAIN_S: Final = 0.02
"""Until input that a command had no room for is offered again: a pipe is read in less."""
FULL: Final = "KEEPER_INPUT_FULL"


class KeeperCommand:
    """A command under way. Used on the node's loop; it is killed when `finished` is cancelled."""

    def __init__(self, line: Line, deadline_s: float) -> None:
        self._line = line
        self._number = line.next_number()
        self._deadline_s = deadline_s
        self._answer: asyncio.Task[Finished] | None = None

    @classmethod
    async def begin(
        cls,
        keeper: KeeperClient,
        program: Program,
        *,
        deadline_s: float,
        on_output: Callable[[str, bytes], None],
    ) -> Self:
        """Start a command; what it says goes to `on_output("stdout" or "stderr", data)`."""
        command = cls(await keeper.line(), deadline_s)
        fields = program.fields() | {
            "deadline_ms": round(deadline_s * 1000),
            "stream": True,
            "input": True,
        }
        # Asked before this returns: input that overtook it would be for no command.
        await command._line.ask("run", command._number, **fields)
        command._line.outputs[command._number] = on_output
        command._answer = asyncio.create_task(command._wait())
        return command

    async def _wait(self) -> Finished:
        try:
            found = await self._line.answer("run", self._number, self._deadline_s + ANSWER_S)
        except asyncio.CancelledError:
            self._line.tell("cancel", run=self._number)
            raise
        finally:
            self._line.outputs.pop(self._number, None)
        return Finished.read(found)

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self._answer is not None and self._answer.done()

    async def finished(self) -> Finished:
        """Wait for its end; raises what a run of the keeper's does."""
        assert self._answer is not None
        return await self._answer

    async def cancelled(self) -> None:
        """Have it killed, and wait until it has ended; raises what `finished` does."""
        if not self.done:
            self._line.tell("cancel", run=self._number)
        await self.finished()

    def hold(self, *, on: bool) -> None:
        """Have its output wait, or come again; what is on its way comes still.

        A keeper of before this could be asked does nothing of it, and says so to nobody.
        """
        if not self.done:
            self._line.tell("hold", run=self._number, on=on)

    async def give(self, data: bytes) -> None:
        """Give input, as fast as it is read; empty data is its end. Nothing if it has ended."""
        parts = [data[at : at + INPUT_BYTES_MAX] for at in range(0, len(data), INPUT_BYTES_MAX)]
        for part in parts or [b""]:
            await self._offer(part)

    async def _offer(self, part: bytes) -> None:
        assert self._answer is not None
        text = base64.b64encode(part).decode("ascii")
        while not self._answer.done():
            try:
                await self._line.call("input", ANSWER_S, run=self._number, data=text, end=not part)
            except Unavailable as error:
                if error.reason_text != FULL:
                    raise
                await asyncio.sleep(AGAIN_S)
            else:
                return
