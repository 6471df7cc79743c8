"""Processes that get stuck in the callback that they are told."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from supervisors import Continue, Flags, GenServer, Hibernate, Process, Stop, Supervisor
from supervisors.passivation import Passive
from supervisors.state_machine import StateMachine

if TYPE_CHECKING:
    from tests.supervisors.stuck import Snag


class Hooks(Process):
    """Stuck in one of Pykka's hooks, or in a method called through a proxy."""

    def __init__(self, snag: Snag, hook: str) -> None:
        super().__init__()
        self.snag, self.hook = snag, hook

    def _visit(self, hook: str) -> None:
        if self.hook == hook:
            self.snag()

    def on_start(self) -> None:
        self._visit("on_start")

    def on_receive(self, message: Any) -> None:
        self._visit("on_receive")
        if message == "crash":
            raise ValueError(message)

    def on_stop(self) -> None:
        self._visit("on_stop")

    def on_failure(self, *_: Any) -> None:
        self._visit("on_failure")

    def method(self) -> None:
        self._visit("method")

    async def coroutine_method(self) -> None:
        await asyncio.sleep(0)
        self._visit("method")


class Server(GenServer):
    """Stuck in one of gen_server's callbacks, named by `where`."""

    def init(self, snag: Snag, where: str) -> Any:
        self.snag, self.where = snag, where
        self._visit("init")
        return Continue("on") if where == "handle_continue" else None

    def _visit(self, where: str) -> None:
        if self.where == where:
            self.snag()

    def handle_call(self, message: Any, caller: Any) -> Any:
        self._visit("handle_call")
        match message:
            case "crash":
                raise ValueError(message)
            case "stop":
                return Stop("done")
            case "reply":
                return Stop("done", "reply")
            case _:
                return message

    def handle_cast(self, message: Any) -> Any:
        self._visit("handle_cast")
        return Hibernate() if message == "hibernate" else None

    def handle_info(self, message: Any) -> Any:
        self._visit("handle_info")

    def handle_exit(self, sender: Any, reason: Any) -> Any:
        self._visit("handle_exit")

    def handle_continue(self, argument: Any) -> Any:
        self._visit("handle_continue")

    def on_hibernate(self) -> None:
        self._visit("on_hibernate")

    def on_wake(self) -> None:
        self._visit("on_wake")

    def terminate(self, reason: Any) -> Any:
        self._visit("terminate")


class AsyncServer(Server):
    """The same in coroutines, before or after they await."""

    async def init(self, snag: Snag, where: str) -> Any:
        self.snag, self.where = snag, where
        self._visit("init")
        await asyncio.sleep(0)
        self._visit("init later")

    async def handle_call(self, message: Any, caller: Any) -> Any:
        await asyncio.sleep(0)
        return super().handle_call(message, caller)

    async def terminate(self, reason: Any) -> Any:
        self._visit("terminate")
        await asyncio.sleep(0)
        self._visit("terminate later")


class Trapping(Server):
    def init(self, snag: Snag, where: str) -> Any:
        self.trap_exit = True
        return super().init(snag, where)


class Machine(StateMachine):
    """Stuck in one of gen_statem's callbacks."""

    state_enter = True

    def init(self, snag: Snag, where: str) -> Any:
        self.snag, self.where = snag, where
        self._visit("init")
        return ("on",)

    def _visit(self, where: str) -> None:
        if self.where == where:
            self.snag()

    def on(self, event_type: Any, content: Any) -> None:
        if content is None:
            self._visit("enter")
        else:
            self._visit("state")
            if content == "crash":
                raise ValueError(content)

    def format_status(self, status: dict[str, Any]) -> dict[str, Any]:
        self._visit("format_status")
        return status

    def code_change(self, old_class: Any, state: Any, extra: Any) -> Any:
        self._visit("code_change")
        return state


class AsyncMachine(StateMachine):
    callback_mode = "handle_event_function"

    async def init(self, snag: Snag, where: str) -> Any:
        self.snag, self.where = snag, where
        await asyncio.sleep(0)
        if where == "init":
            snag()
        return ("on",)

    async def handle_event(self, event_type: Any, content: Any, state: Any) -> None:
        await asyncio.sleep(0)
        self.snag()


class Booting(Supervisor):
    def init(self, snag: Snag) -> Any:  # type: ignore[override]
        snag()
        return Flags(), []


class Awaiting(GenServer):
    """Runs what it is given in a handler of its own."""

    async def handle_cast(self, work: Any) -> Any:
        await work(self)


class Starter(GenServer):
    """Starts a process within its own turn."""

    def handle_cast(self, message: Any) -> Any:
        Server.start(message, "init")


class Stored(Passive):
    """A passive process whose store, or whose own code, is stuck."""

    snag: Snag
    where: str

    def init(self, name: str, state: bytes | None) -> Any:
        if self.where == "init":
            self.snag()

    def handle_cast(self, message: Any) -> Any:
        return self.passivate()

    def dump(self) -> bytes:
        if self.where == "dump":
            self.snag()
        return b""


class Shelf:
    def save(self, name: str, state: bytes) -> None:
        """Keep nothing."""

    def load(self, name: str) -> bytes | None:
        """Have nothing."""
        return None
