"""Test processes: children that do what a `Plan` says, and the parent that tests stand behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from supervisors import IGNORE, Future, GenServer, NoReply, Ref, Stop
from supervisors.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Container

    from supervisors import Down


@dataclass
class Plan:
    """What the next lives of one child do; a test may change it while nothing runs.

    `failing`, `fail_on` and `ignore_on` decide inits, counted by `attempts` from 1; a failing one
    first takes `failure_s` seconds. `on_shutdown` is "obey", "ignore", or ("exit", reason), after
    `shutdown_s` seconds. `journal`, shared by several plans, gets ("start", id) of each init that
    answered ok and ("stop", id, reason) of each terminate.
    """

    id: Any = None
    traps: bool = True
    failing: bool = False
    fail_on: Container[int] = ()
    ignore_on: Container[int] = ()
    failure: Any = "error"
    failure_s: float = 0.0
    on_shutdown: Any = "obey"
    shutdown_s: float = 0.0
    attempts: int = 0
    journal: list[Any] = field(default_factory=list)


class Worker(GenServer):
    """A child that ends with any reason it is told, and is otherwise idle."""

    def init(self, *args: Any, plan: Plan | None = None) -> Any:
        self.arguments = args
        self.plan = plan = plan if plan is not None else Plan()
        self.trap_exit = plan.traps
        plan.attempts += 1
        if plan.attempts in plan.ignore_on:
            return IGNORE
        if plan.failing or plan.attempts in plan.fail_on:
            return self._fail() if plan.failure_s else Stop(plan.failure)
        plan.journal.append(("start", plan.id))
        return None

    async def _fail(self) -> Any:
        await self.sleep(self.plan.failure_s)
        return Stop(self.plan.failure)

    def handle_call(self, message: Any, caller: Any) -> Any:
        return self.arguments if message == "arguments" else message

    async def handle_cast(self, message: Any) -> Any:
        match message:
            case ("exit", reason):
                return Stop(reason)
            case ("sleep", duration_s):
                await self.sleep(duration_s)
            case ("unlink", ref):
                self.unlink(ref)
            case ("crash", error):
                raise error
        return None

    def handle_exit(self, sender: Any, reason: Any) -> Any:
        return Stop(reason)

    async def terminate(self, reason: Any) -> None:
        plan = self.plan
        plan.journal.append(("stop", plan.id, reason))
        if reason != "shutdown":
            return
        if plan.shutdown_s:
            await self.sleep(plan.shutdown_s)
        if plan.on_shutdown == "ignore":
            await Future()
        if plan.on_shutdown != "obey":
            self.exit(plan.on_shutdown[1])


class Tester(GenServer):
    """Stands where OTP's tests have the test process: a parent that traps exits and takes notes.

    `exits` are (ref, reason) of its links, `ends` of what it monitors, both in order of arrival.
    """

    def init(self) -> None:
        self.trap_exit = True
        self.exits: list[tuple[Ref[Any], Any]] = []
        self.ends: list[tuple[Ref[Any], Any]] = []
        self._watched: set[Ref[Any]] = set()
        self._waiting: dict[Ref[Any], Any] = {}

    async def handle_call(self, message: Any, caller: Any) -> Any:
        match message:
            case ("start", process_class, args, options):
                try:
                    return await self.start_link(process_class, *args, **options)
                except StartError as error:
                    caller.fail(error)
                    return NoReply()
            case ("each", request, supervisor, arguments):
                return [await request(supervisor, one) for one in arguments]
            case ("watch", ref):
                if ref not in self._watched:
                    self._watched.add(ref)
                    self.monitor(ref)
                return None
            case ("ended", ref):
                for one, reason in self.ends:
                    if one == ref:
                        return reason
                self._waiting[ref] = caller
                return NoReply()
        raise AssertionError(message)

    def handle_cast(self, message: Any) -> None:
        _, ref, reason = message
        ref.exit(reason)

    def handle_exit(self, sender: Any, reason: Any) -> None:
        self.exits.append((sender, reason))

    def handle_info(self, message: Down) -> None:
        self.ends.append((message.process, message.reason))
        caller = self._waiting.pop(message.process, None)
        if caller is not None:
            caller.reply(message.reason)
