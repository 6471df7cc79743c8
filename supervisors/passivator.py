"""What brings passive processes back: a supervisor with a directory and an activator.

    Passivator (one_for_all)
    |- Activator    a dynamic supervisor of the processes that are active, each temporary
    `- Directory    knows who is active, passes messages on, has each activated at most once

A message to a passive process takes one hop more than to any other. Those that come while it is
being started wait in the directory, in their order.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from supervisors import limits, signals, turns
from supervisors._pykka import ActorStop
from supervisors.child import (
    ONE_FOR_ALL,
    SIMPLE_ONE_FOR_ONE,
    SUPERVISOR,
    TEMPORARY,
    ChildSpec,
    Flags,
)
from supervisors.dynamic_supervisor import DynamicSupervisor
from supervisors.errors import CallExit, MailboxFull
from supervisors.future import ERROR, EndFuture, Future
from supervisors.gen_server import GenServer
from supervisors.messages import ASK, CALL, CAST, INFO, PYKKA, TERMINATE
from supervisors.passivation import Parcel
from supervisors.process import DEAD, DOOMED, PARKED
from supervisors.reasons import NOPROC, Crash
from supervisors.registry import Via
from supervisors.requests import start_child
from supervisors.results import NoReply
from supervisors.supervisor import Supervisor

if TYPE_CHECKING:
    from supervisors.passivation import Passive, PassiveRegistry
    from supervisors.process import Process


MESSAGE_KINDS: Final = frozenset({ASK, CALL, CAST, INFO, PYKKA})
"""Kinds that carry what somebody sent to a name; the others are the runtime's own."""


class Activate(NamedTuple):
    """What the directory tells itself when the process that has a name has ended."""

    name: str


class Activated(NamedTuple):
    """What the directory tells itself when a start was answered."""

    name: str
    started: Future[Any]


class Directory(GenServer):
    """Passes messages on to active processes and keeps those for a name that is being activated."""

    def init(self, table: PassiveRegistry) -> None:
        """Take the place of the registry's directory."""
        self.table = table
        self.waiting: dict[str, deque[tuple[int, Any, Any]]] = {}
        self.trap_exit = True
        table.take_directory(self)

    def handle_cast(self, message: Any) -> None:
        """Pass a cast on, or go on with a name that is being activated."""
        if isinstance(message, Activated):
            self._activated(*message)
        elif isinstance(message, Activate):
            self._activate(message.name)
        else:
            self._pass_on(message, None)

    def handle_info(self, message: Any) -> None:
        """Pass a plain message on."""
        if isinstance(message, Parcel):
            self._pass_on(message, None)
        else:
            super().handle_info(message)

    def handle_call(self, message: Any, caller: Any) -> NoReply:
        """Pass a request on; who has the name answers it."""
        self._pass_on(message, caller)
        return NoReply()

    def terminate(self, reason: Any) -> None:
        """Fail what still waits."""
        for name in tuple(self.waiting):
            self._fail(name, reason)

    def _pass_on(self, parcel: Parcel, future: Any) -> None:
        name, kind, message = parcel
        queue = self.waiting.get(name)
        process = self.table.processes.get(name)
        if queue is None and process is not None and not _is_ending(process):
            self._post(process, kind, message, future)
            return
        if queue is None:
            queue = self.waiting[name] = deque()
            self._begin(name, process)
        if len(queue) < limits.ACTIVATION_MESSAGES:
            queue.append((kind, message, future))
        elif future is not None:
            ref = self.table.ref(name)
            future.resolve(ERROR, MailboxFull(ref, limits.ACTIVATION_MESSAGES))
        else:
            self.node.dead_letters.record(self, message, "mailbox full")

    def _begin(self, name: str, ending: Process | None) -> None:
        """Activate a name, after the end of its process if that is just ending."""
        if ending is None:
            self._activate(name)
            return
        ref, ended = self.ref, EndFuture(self._shard)
        ended.add_done_callback(lambda _: ref.cast(Activate(name)))
        signals.watch_end(ending, ended)

    def _activate(self, name: str) -> None:
        assert self.table.activator is not None
        ref = self.ref
        started = start_child(self.table.activator, self.table, name)
        started.add_done_callback(lambda told: ref.cast(Activated(name, told)))

    def _activated(self, name: str, started: Future[Any]) -> None:
        if name not in self.waiting:
            return
        try:
            started.result()
        except Exception as error:  # noqa: BLE001 - whoever waits is told, in the same words
            self._fail(name, getattr(error, "reason", Crash.of(error)))
        else:
            self._fail(name, NOPROC)

    def hand_over(self, name: str, process: Process) -> None:
        """Put what waits for a name into the mailbox of its process; called when that is named.

        So each message is in the hands of the process before its first step, and whoever waits
        learns the reason when that fails.
        """
        for item in self.waiting.pop(name, ()):
            self._post(process, *item)

    def take_back(self, process: Passive) -> None:
        """Keep the messages that a process ending in order will not handle for its next life."""
        queue, process._queue = process._queue, None
        kept = []
        for item in queue or ():
            if item[0] in MESSAGE_KINDS and item[1].__class__ is not ActorStop:
                kept.append(item)
            else:
                turns.hold_back(process, *item)
        name = process.passive_name
        if kept and name not in self.waiting:
            self.waiting[name] = deque()
            self._begin(name, process)
        if kept:
            self.waiting[name].extendleft(reversed(kept))

    def _post(self, process: Process, kind: int, message: Any, future: Any) -> None:
        try:
            self._shard.post(process, kind, message, future)
        except MailboxFull:  # Counted already; its sender is not here to be told.
            self.node.dead_letters.record(process, message, "mailbox full")

    def _fail(self, name: str, reason: Any) -> None:
        ref = self.table.ref(name)
        for _, message, future in self.waiting.pop(name):
            if future is not None:
                future.resolve(ERROR, CallExit(ref, reason))
            else:
                self.node.dead_letters.record(self, message, "not activated")


def _is_ending(process: Process) -> bool:
    state = process._state
    if state == PARKED:
        return bool(process._ext.kind == TERMINATE)
    return state in (DOOMED, DEAD)


class Activator(DynamicSupervisor):
    """Supervises the active processes of one registry."""

    def init(self, table: PassiveRegistry) -> Any:  # type: ignore[override]  # Its own arguments.
        """Give the spec of all of them; their names are their arguments."""
        table.activator = self.ref
        spec = ChildSpec("passive", (table.process_class,), restart=TEMPORARY, name=Via)
        return Flags(strategy=SIMPLE_ONE_FOR_ONE), [spec]


class Passivator(Supervisor):
    """Supervises the activator and the directory of one registry, which is its one argument."""

    def init(self, table: PassiveRegistry) -> Any:  # type: ignore[override]  # Its own arguments.
        """Give both children; one without the other is of no use."""
        return Flags(strategy=ONE_FOR_ALL), [
            ChildSpec("activator", (Activator, (table,)), type=SUPERVISOR),
            ChildSpec("directory", (Directory, (table,))),
        ]
