"""What the cases of gen_statem_SUITE have in common: a parent that traps exits and keeps notes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from supervisors import Future, GenServer, NoReply, Ref, system
from supervisors.errors import CallExit, StartError
from supervisors.process import STATE_NAMES

if TYPE_CHECKING:
    from supervisors import Process
    from tests.supervisors.world import World


class Parent(GenServer):
    """Does what it is told, and notes ("exit", reason) of each linked process that ends."""

    def init(self, notes: list[Any]) -> None:
        self.trap_exit = True
        self.notes = notes

    async def handle_call(self, message: Any, caller: Any) -> Any:
        try:
            return await message(self)
        except StartError as error:
            caller.fail(error)
            return NoReply()

    def handle_cast(self, message: Any) -> None:
        message(self)

    def handle_exit(self, sender: Any, reason: Any) -> None:
        self.notes.append(("exit", reason))


class Stage:
    """A world with a parent in it; `notes` get, in order, all that machines and parent note."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.notes: list[Any] = []
        self.parent = world.start(Parent, self.notes)

    def start_link(self, process_class: type[Process], *args: Any, **options: Any) -> Ref[Any]:
        """Start a process linked to the parent; raises StartError."""
        ref: Ref[Any] = self.world.wait(
            self.parent.call(
                lambda parent: parent.start_link(process_class, *args, **options), None
            )
        )
        return ref

    def start(self, process_class: type[Process], *args: Any, **options: Any) -> Ref[Any]:
        """Start a process that nobody is linked to."""
        return self.world.start(process_class, *args, **options)

    def start_error(self, start: Any, *args: Any, **options: Any) -> StartError:
        """Give the error of a start that fails."""
        with pytest.raises(StartError) as caught:
            start(*args, **options)
        return caught.value

    def call(self, ref: Ref[Any], message: Any) -> Any:
        """Call a machine and wait for its answer, however long it takes."""
        return self.world.call(ref, message, None)

    def call_reason(self, ref: Ref[Any], message: Any) -> Any:
        """Give the exit reason that a call fails with."""
        with pytest.raises(CallExit) as caught:
            self.call(ref, message)
        return caught.value.reason

    def cast(self, ref: Ref[Any], *messages: Any) -> None:
        """Cast some messages and let everything run."""
        for message in messages:
            ref.cast(message)
        self.world.settle()

    def caller(self) -> Future[Any]:
        """Make something to reply to; the reply is noted when it is sent."""
        future: Future[Any] = Future()
        future.add_done_callback(lambda settled: self.notes.append(settled.result()))
        return future

    def taken(self) -> list[Any]:
        """Let everything run and give the notes since the last time."""
        self.world.settle()
        notes = self.notes[:]
        self.notes.clear()
        return notes

    def ended(self, ref: Ref[Any]) -> Any:
        """See that a process has ended; gives its reason."""
        self.world.settle()
        assert not ref.is_alive()
        return ref._process.exit_reason

    def scheduler_state(self, ref: Ref[Any]) -> str:
        """Name what the scheduler has a process down for: idle, hibernated, suspended ..."""
        self.world.settle()
        return STATE_NAMES[self.world.on_shard(lambda: ref._process._state)]

    def get_state(self, machine: Any) -> Any:
        """Give a machine's state and data."""
        return self.world.wait(system.get_state(machine))
