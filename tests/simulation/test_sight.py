"""What the fleet says of a host that its agent does not see, or that does not answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fifo.agent import limits, names
from fifo.fleet import limits as fleet_limits
from fifo.hypervisors.simulated.faults import EVENTS, Fault
from tests.simulation.machine import HYPERVISOR, Machine
from tests.simulation.test_one_machine import bare_zone
from tests.workflows.stage import uid

if TYPE_CHECKING:
    from typing import Any

    import pytest

    from supervisors import Future


def condition(machine: Machine) -> str:
    status = machine.catalog.host_statuses.record(HYPERVISOR)
    assert status is not None
    return status.condition


def wait_for(machine: Machine, wanted: str, patience_s: float) -> float:
    """Let time pass until the host is told of as wanted; gives how long that took."""
    began_s = machine.scheduler.now_s
    while condition(machine) != wanted:
        assert machine.scheduler.now_s - began_s < patience_s, condition(machine)
        machine.scheduler.advance(0.1)
    return machine.scheduler.now_s - began_s


def lose_sight(machine: Machine, lasts_s: float) -> None:
    machine.hypervisor.faults.add(Fault(EVENTS, "broken", lasts_s=lasts_s))
    machine.hypervisor.break_events("the keeper is gone", lasts_s)


def test_a_host_out_of_sight_for_long_is_unreachable_until_it_is_seen_again() -> None:
    machine = Machine()
    machine.run("create_instance", (uid(1),), bare_zone())
    lose_sight(machine, 60.0)
    assert wait_for(machine, "unreachable", 20.0) >= limits.BLIND_S - 0.1
    machine.hypervisor.faults.clear()
    wait_for(machine, "ready", 120.0)
    instance = machine.catalog.statuses.record(uid(1))
    assert instance is not None
    assert (instance.state, instance.start_id) == ("running", 1), "nothing was done to it"
    assert machine.run("delete_instance", (uid(1),)).state == "done"


def test_a_moment_out_of_sight_is_no_news() -> None:
    machine = Machine()
    machine.hypervisor.break_events("the keeper is gone", limits.BLIND_S / 2)
    for _ in range(200):
        machine.scheduler.advance(0.1)
        assert condition(machine) == "ready"


def test_a_driver_that_cannot_say_what_is_there_has_lost_sight_of_its_host() -> None:
    machine = Machine()
    machine.hypervisor.faults.add(Fault("inventory", "hang"))
    machine.hypervisor.faults.add(Fault("probe", "hang"))
    most_s = limits.ROUND_S + limits.LOOK_DEADLINE_S + limits.BLIND_S
    wait_for(machine, "unreachable", most_s + 1.0)
    machine.hypervisor.faults.clear()
    wait_for(machine, "ready", 120.0)


def test_a_driver_that_says_so_by_events_alone_is_not_believed() -> None:
    machine = Machine()
    machine.hypervisor.faults.add(Fault("inventory", "hang"))
    most_s = limits.ROUND_S + limits.LOOK_DEADLINE_S + limits.BLIND_S
    wait_for(machine, "unreachable", most_s + 1.0)
    for _ in range(600):
        machine.scheduler.advance(0.5)
        assert condition(machine) == "unreachable"
    machine.hypervisor.faults.clear()
    wait_for(machine, "ready", 120.0)


def test_one_look_that_fails_is_no_news() -> None:
    machine = Machine()
    machine.hypervisor.faults.add(Fault("inventory", "error", times=1))
    for _ in range(200):
        machine.scheduler.advance(0.5)
        assert condition(machine) == "ready"
    assert machine.run("create_instance", (uid(1),), bare_zone()).state == "done"


def test_an_agent_that_does_not_answer_is_told_as_unreachable_and_greeted_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine()
    front = machine.node.address(names.gateway(HYPERVISOR))._process
    answer = front.handle_call

    async def hang(message: Any, caller: Future[Any]) -> Any:
        del message, caller
        await front.sleep(30.0)
        return None

    monkeypatch.setattr(front, "handle_call", hang)
    most_s = 2 * fleet_limits.HEARTBEAT_S + fleet_limits.GREET_S
    wait_for(machine, "unreachable", most_s + 1.0)
    monkeypatch.setattr(front, "handle_call", answer)
    wait_for(machine, "ready", 120.0)
