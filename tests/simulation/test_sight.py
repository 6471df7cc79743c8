"""What the fleet says of a host that its agent does not see, or that does not answer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fifo.agent import limits, names
from fifo.agent.orders import Order
from fifo.agent.sight import PROBE
from fifo.fleet import limits as fleet_limits
from fifo.fleet.hosts import session_name
from fifo.hypervisors.simulated.faults import EVENTS, Fault
from supervisors import Future
from tests.simulation.machine import HYPERVISOR, Machine
from tests.simulation.test_one_machine import bare_zone
from tests.workflows.stage import uid

if TYPE_CHECKING:
    from typing import Any

    import pytest


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


def look_again(machine: Machine, brands: tuple[str, ...]) -> Future[Any]:
    """Have a host that can do other things by now look at what it can do."""
    machine.hypervisor.settings = replace(machine.hypervisor.settings, brands=brands)
    answer: Future[Any] = Future()
    order = Order(PROBE, (), limits.TRIAL_DEADLINE_S, caller=answer)
    machine.node.address(names.driver(HYPERVISOR)).cast(order)
    machine.scheduler.advance(1.0)
    return answer


def brands(machine: Machine) -> tuple[str, ...]:
    status = machine.catalog.host_statuses.record(HYPERVISOR)
    assert status is not None
    assert status.probe is not None
    return status.probe.brands


def test_what_somebody_has_a_host_find_out_anew_counts_for_placement_and_for_whoever_takes_it() -> (
    None
):
    machine = Machine()
    assert look_again(machine, ("kvm",)).result().brands == ("kvm",)
    assert brands(machine) == ("kvm",)
    refused = machine.run("create_instance", (uid(1),), bare_zone())
    assert refused.failure is not None
    assert "brand 1" in refused.failure.what
    machine.node.address(session_name(HYPERVISOR)).kill()
    machine.scheduler.advance(30.0)
    assert (condition(machine), brands(machine)) == ("ready", ("kvm",))
    look_again(machine, ("lx",))
    assert machine.run("create_instance", (uid(2),), bare_zone(2)).state == "done"


def test_what_a_host_can_do_that_was_out_of_sight_for_a_moment_is_told_too() -> None:
    machine = Machine()
    machine.hypervisor.settings = replace(machine.hypervisor.settings, brands=("kvm",))
    machine.hypervisor.break_events("the keeper is gone", limits.BLIND_S / 2)
    machine.scheduler.advance(limits.BLIND_S)
    assert (condition(machine), brands(machine)) == ("ready", ("kvm",))


def test_a_probe_that_fails_changes_nothing() -> None:
    machine = Machine()
    before = brands(machine)
    machine.hypervisor.faults.add(Fault(PROBE, "error", times=1))
    look_again(machine, ("kvm",))
    assert brands(machine) == before
