"""Death of a node at its n-th effect on the host: a request to the keeper or QEMU, a file's move.

What is counted is what outlives the node. A death `during` a request to the keeper comes when it
has been sent: the keeper goes on with it while the next node starts.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from fifo.hypervisors.linux.keeper_line import Line
from fifo.hypervisors.linux.vm.monitor import Monitor

if TYPE_CHECKING:
    from collections.abc import Callable

When = Literal["before", "during"]

FILE_EVENTS: Final = frozenset(
    {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "shutil.rmtree"}
)
QUESTIONS: Final = frozenset({"ack", "exits", "inventory", "hello"})
"""What is asked of the keeper and changes nothing that a node could leave behind."""


class Death:
    """Counts the effects of this process on what is below a directory, and dies at one of them.

    Made in a process that is there to die: what it hooks stays hooked. `tell` hears at which.
    """

    def __init__(self, directory: Path, at: int, when: When, tell: Callable[[str], None]) -> None:
        self._directory = str(directory)
        self._at, self._when, self._tell = at, when, tell
        self._count = -1
        self._dies = False
        self._hook_keeper()
        self._hook_qemu()
        sys.addaudithook(self._hear)

    def _comes(self, what: str) -> bool:
        """Count an effect that comes now; tell whether it is the last."""
        self._count += 1
        if self._dies or self._count != self._at:
            return False
        self._dies = True
        self._tell(f"{self._when} {what}")
        return True

    def die(self) -> None:
        """End as by `kill -9`."""
        os.kill(os.getpid(), signal.SIGKILL)

    def _effect(self, what: str, do: Callable[[], None]) -> None:
        last = self._comes(what)
        if last and self._when == "before":
            self.die()
        do()
        if last:
            self.die()

    def _hook_keeper(self) -> None:
        send = Line._send

        def counted(line: Line, request: dict[str, Any]) -> None:
            if request["op"] in QUESTIONS:
                send(line, request)
            else:
                what = f"{request['op']} {' '.join(map(str, request.get('argv', ())[:5]))}"
                self._effect(what, lambda: send(line, request))

        setattr(Line, "_send", counted)  # noqa: B010 -- a process that is there to die

    def _hook_qemu(self) -> None:
        ask = Monitor.ask

        async def counted(monitor: Monitor, command: str, **arguments: Any) -> Any:
            last = not command.startswith("query-") and self._comes(f"QMP {command}")
            if last and self._when == "before":
                self.die()
            answer = await ask(monitor, command, **arguments)
            if last:
                self.die()
            return answer

        setattr(Monitor, "ask", counted)  # noqa: B010 -- a process that is there to die

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in FILE_EVENTS and self._is_ours(arguments[0]):
            self._effect(f"{event} {arguments[0]}", lambda: None)

    def _is_ours(self, path: object) -> bool:
        # A bare name is of a tree that is being removed.
        return isinstance(path, str | Path) and (
            str(path).startswith(self._directory) or not os.path.isabs(path)  # noqa: PTH117 -- text
        )
