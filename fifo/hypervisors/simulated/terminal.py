"""What a guest offers to whoever connects: its console, a shell, a command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fifo.hypervisors.simulated import limits, shell
from fifo.hypervisors.simulated.channel import OUTPUT, Stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fifo.hypervisors.simulated.clockwork import Alarm, Clockwork
    from fifo.hypervisors.simulated.guest import Guest
    from fifo.hypervisors.simulated.shell import Step

CLOSED_BY_US = 143
"""Exit code of a command that is ended because its channel is closed (128 + SIGTERM)."""


class Command(Stream):
    """A command that runs inside a guest (`Channel`)."""

    def __init__(self, clockwork: Clockwork, steps: tuple[Step, ...]) -> None:
        super().__init__(clockwork)
        self._steps: Iterator[Step] = iter(steps)
        self._copies = 0
        self._alarm: Alarm | None = None
        self._go_on()

    def _go_on(self) -> None:
        self._copies = 0
        for step in self._steps:
            if step.what == "write":
                self.put(step.stream, step.data)
            elif step.what == "copy":
                self._copies = step.stream
                return
            elif step.what == "sleep":
                self._alarm = self._clockwork.after(step.number, self._go_on)
                return
            else:
                self.end(int(step.number))
                return

    async def write(self, data: bytes) -> None:
        """Give it input; empty data is its end."""
        if not self._copies:
            return
        if data:
            self.put(self._copies, data)
        else:
            self._go_on()

    async def resize(self, columns: int, rows: int) -> None:
        """Tell it the terminal's size, which no command here asks for."""
        del columns, rows

    async def close(self) -> None:
        """End it."""
        if self._alarm is not None:
            self._alarm.cancel()
        self.end(CLOSED_BY_US)


class Terminal(Stream):
    """A shell on a terminal: echo, a prompt, lines (`Channel`).

    As the guest's `console` it writes into the log, and neither `exit` nor closing it ends
    anything; otherwise it is an exec's, and `exit` ends it.
    """

    def __init__(self, clockwork: Clockwork, guest: Guest, *, console: bool) -> None:
        super().__init__(clockwork)
        self._guest = guest
        self._console = console
        self._line = b""
        self._environment: dict[str, str] = {"COLUMNS": "80", "LINES": "24"}
        self._prompt()

    def _show(self, data: bytes) -> None:
        self.put(OUTPUT, data)
        if self._console:
            self._guest.write_log(data)

    def _prompt(self) -> None:
        self._show(f"{self._guest.hostname}:~# ".encode())

    async def write(self, data: bytes) -> None:
        """Type."""
        if self.closed:
            return
        self._show(data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n"))
        *lines, self._line = (self._line + data.replace(b"\r", b"\n")).split(b"\n")
        self._line = self._line[: limits.LINE_BYTES]
        for line in lines:
            self._run(line.decode(errors="replace"))

    def _run(self, line: str) -> None:
        told = ("sh", "-c", line)
        for step in shell.steps(told, self._guest.hostname, self._environment):
            if step.what == "write":
                self._show(step.data.replace(b"\n", b"\r\n"))
            elif step.what == "exit" and line.split()[:1] == ["exit"] and not self._console:
                self.end(int(step.number))
                return
        self._prompt()

    async def resize(self, columns: int, rows: int) -> None:
        """Tell the terminal its size; `env` shows it."""
        self._environment = {"COLUMNS": str(columns), "LINES": str(rows)}

    async def close(self) -> None:
        """Detach."""
        self.end(None if self._console else CLOSED_BY_US)
