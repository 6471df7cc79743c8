"""A process that does what a test tells it to and keeps what it sees."""

from __future__ import annotations

from typing import Any

from supervisors import GenServer, NoReply, Stop


class Probe(GenServer):
    """Keeps casts as ("cast", message) and everything else as it came, in order."""

    def init(self, *, traps: bool = False) -> None:
        self.trap_exit = traps
        self.seen: list[Any] = []
        self.held: list[Any] = []

    def handle_cast(self, message: Any) -> None:
        self.seen.append(("cast", message))

    def handle_info(self, message: Any) -> None:
        self.seen.append(message)

    async def handle_call(self, message: Any, caller: Any) -> Any:
        match message:
            case ("echo", value):
                return value
            case "ref":
                return self.ref
            case "hold":
                self.held.append(caller)
                return NoReply()
            case "crash":
                raise ValueError("boom")
            case ("unsendable", _):
                return object()
            case ("stop", reason):
                return Stop(reason)
            case _:
                return await self.wait_for(message)

    async def wait_for(self, message: Any) -> Any:
        match message:
            case ("pass on", ref, inner):
                return await ref.call(inner)
            case ("sleep", delay_s):
                await self.sleep(delay_s)
                return "slept"
            case _:
                raise LookupError(f"no such call: {message!r}")
