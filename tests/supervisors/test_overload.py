"""What an overloaded process owes: true answers to who is turned away, and a way to be stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from supervisors import Future, GenServer
from supervisors.errors import MailboxFull
from supervisors.mailbox import DROP_OLD

if TYPE_CHECKING:
    from tests.supervisors.world import World


class Narrow(GenServer):
    """Takes one message at a time and keeps one waiting."""

    mailbox_limit = 1

    def init(self, gate: Future[None]) -> None:
        self.gate = gate

    async def handle_cast(self, message: Any) -> None:
        await self.gate

    def handle_call(self, message: Any, caller: Any) -> Any:
        return message


class Forgetful(Narrow):
    mailbox_policy = DROP_OLD


def test_a_waiting_call_that_is_dropped_fails_with_the_true_cause(world: World) -> None:
    gate: Future[None] = Future()
    ref = world.start(Forgetful, gate)
    ref.cast("work")
    world.settle()
    waiting = ref.call("first")
    ref.cast("second")
    with pytest.raises(MailboxFull):
        world.wait(waiting)
    gate.set()
    world.settle()
    assert ref.is_alive()


def test_a_process_with_a_full_mailbox_can_be_stopped_in_order(world: World) -> None:
    gate: Future[None] = Future()
    ref = world.start(Narrow, gate)
    ref.cast("work")
    world.settle()
    ref.cast("waits")
    stopped = ref.stop(block=False)
    gate.set()
    assert world.wait(stopped) is True
    assert ref.exit_reason == "normal"
