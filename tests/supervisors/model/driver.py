"""Drives a scenario's processes on any host, step by step, and collects what happened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from supervisors import requests, signals
from supervisors.errors import ChildError, StartError
from supervisors.process import DEAD, Process
from supervisors.reasons import KILL, SHUTDOWN
from supervisors.scenario import terms, workers
from supervisors.scenario.record import Record

if TYPE_CHECKING:
    from tests.supervisors.world import World

Json = dict[str, Any]


class Parent(Process):
    """The root's parent."""

    def on_start(self) -> None:
        self.trap_exit = True

    async def start_root(self, record: Record, tree: Json) -> Any:
        """Start the tree; gives how that went."""
        args = (record, tree["id"], tree)

        async def root() -> tuple[Any, None]:
            ref = await self.start_link(workers.ScenarioSupervisor, *args)
            return ref._process, None

        try:
            await workers.noted(root(), *args)
        except StartError as error:
            return terms.term(error.reason)
        return None

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, tuple) and message[0] == "start":
            return self.start_root(*message[1:])
        return None


class Driver:
    """One tree on one world; `events` is everything so far."""

    def __init__(self, world: World, tree: Json) -> None:
        self.world = world
        self.events: list[Json] = []
        self.record = Record()
        world.node.reports.subscribe(self.record.report)
        self.parent = world.start(Parent)
        self.root = tree["id"]
        asked = self.parent.ask(("start", self.record, tree), block=False)
        self.not_started = world.wait(asked)
        self.rest()

    def rest(self) -> None:
        """Let everything run, and time pass only for timers that wait."""
        self.world.settle()
        timers = self.world.node.shard.timers
        while (due_s := self.world.on_shard(timers.next_live_s)) is not None:
            self.world.advance(due_s - self.world.now_s())
        self.events += self.record.take()

    def step(self, number: int, step: Json) -> None:
        """Carry one step out and come to rest."""
        do = step["do"]
        if do == "sleep":
            self.world.advance(step["ms"] / 1000)
            return
        path: Any = step.get("path", step.get("sup", self.root))
        target = self.record.newest.get(path)
        if target is None or target._state == DEAD:
            self.result(number, "noproc")
        elif "sup" in step:
            self.result(number, self.call(step, target))
        elif do == "exit":
            assert isinstance(target, workers.Worker)
            target.end(terms.reason(step["reason"]))
        else:
            order = KILL if do == "kill" else SHUTDOWN
            self.world.on_shard(
                lambda: signals.exit_signal(target, self.parent, order, by_link=False)
            )
        self.rest()

    def call(self, step: Json, target: Process) -> Any:
        """Make one request and give its result in OTP's terms."""
        do = step["do"]
        asked: Any
        if do == "start_child":
            asked = workers.child_spec(self.record, step["sup"], step["child"])
        else:
            asked = step.get("id")
        arguments = () if asked is None else (asked,)
        try:
            told = self.world.wait(getattr(requests, do)(target.ref, *arguments))
        except ChildError as error:
            return ["error", terms.term(error.reason)]
        if do in ("start_child", "restart_child"):
            return ["ok", "undefined" if told is None else "pid"]
        if do == "which_children":
            return [
                [key, "undefined" if ref is None else "alive", kind] for key, ref, kind, _ in told
            ]
        return told if do == "count_children" else "ok"

    def result(self, number: int, value: Any) -> None:
        """Note the result of a step."""
        self.record.note(event="result", step=number, value=value)

    def end(self) -> Any:
        """Say how the root is."""
        if self.not_started is not None:
            return self.not_started
        root = self.record.newest[self.root]
        return terms.term(root.exit_reason) if root._state == DEAD else "alive"
