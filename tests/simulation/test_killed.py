"""What goes on when a node is killed is done by the node that is started after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fifo.fleet.hosts import session_name
from fifo.fleet.ownership import Ownership
from fifo.hypervisors.simulated.faults import Fault
from supervisors import Future
from tests.simulation.machine import HYPERVISOR, Machine
from tests.simulation.test_one_machine import bare_zone
from tests.workflows.stage import uid

if TYPE_CHECKING:
    from fifo.model.operation import Operation

ASKED: dict[str, tuple[str, Any]] = {
    "create_snapshot": ("snapshot", {"snapshot": "before"}),
    "delete_instance": ("delete", None),
}


def under_way(machine: Machine, kind: str) -> Operation:
    """Have an operation wait for its host, which hangs in it."""
    machine.run("create_instance", (uid(1),), bare_zone())
    verb, asked = ASKED[kind]
    machine.hypervisor.faults.add(Fault(verb, "hang", times=1))
    operation = machine.submit(kind, (uid(1),), asked)
    machine.scheduler.advance(1.0)
    return operation


@pytest.mark.parametrize("kind", ASKED)
@pytest.mark.parametrize("seed", range(4))
def test_what_was_ordered_is_ordered_anew_when_the_host_is_owned_again(
    seed: int, kind: str
) -> None:
    # By the seed the runner goes on before the session owns the host, or after.
    machine = Machine(seed)
    operation = under_way(machine, kind)
    machine.kill()
    machine.hypervisor.faults.clear()
    machine.start()
    ended = machine.finish(operation)
    assert (ended.state, ended.failures) == ("done", {})


def test_an_order_by_the_fence_of_a_session_that_was_killed_is_made_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine()
    machine.run("create_instance", (uid(1),), bare_zone())
    held: Future[None] = Future()
    take = Ownership.take

    async def taken_later(ownership: Ownership, node: str) -> None:
        await held
        await take(ownership, node)

    monkeypatch.setattr(Ownership, "take", taken_later)
    machine.node.address(session_name(HYPERVISOR)).kill()
    machine.scheduler.advance(1.0)
    # One that is killed takes nothing back: until the next owns the host, its fence stands.
    operation = machine.submit("delete_instance", (uid(1),))
    machine.scheduler.advance(1.0)
    held.set()
    ended = machine.finish(operation)
    assert (ended.state, ended.failures) == ("done", {})
