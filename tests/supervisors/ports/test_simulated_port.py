"""The double: virtual time, seeded faults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from supervisors import SimulatedHost
from supervisors.errors import PortCrashed, PortError, PortOverload, PortTimeout
from supervisors.ports.simulated_port import Faults, SimulatedPort, never
from tests.supervisors.ports.functions import Log

if TYPE_CHECKING:
    from tests.supervisors.ports.rig import Rig
    from tests.supervisors.world import SimulatedWorld


def test_a_job_takes_its_latency_of_virtual_time(simulation: Rig) -> None:
    port = simulation.open(workers=1, latency_s=(2.0, 2.0))
    first, second = port.call("echo", 1), port.call("echo", 2)
    simulation.wait(first)
    assert simulation.world.now_s() == pytest.approx(2.0, abs=0.01)
    simulation.wait(second)
    assert simulation.world.now_s() == pytest.approx(4.0, abs=0.01)


def test_a_deadline_of_an_hour_costs_no_time(simulation: Rig) -> None:
    port = simulation.open()
    with pytest.raises(PortTimeout):
        simulation.wait(port.call("never", deadline_s=3600.0))
    assert simulation.world.now_s() == pytest.approx(3600.0, abs=0.01)


def test_a_job_that_is_done_leaves_no_timer_behind(simulation: Rig) -> None:
    port = simulation.open()
    simulation.wait(port.call("echo", 1, deadline_s=1_000_000.0))
    due_s = simulation.world.on_shard(simulation.world.node.shard.timers.next_live_s)
    assert due_s is None


def test_a_closed_port_leaves_no_timer_behind(simulation: Rig) -> None:
    port = simulation.open(workers=1)
    port.call("leave")
    port.call("never")
    port.call("echo", 1)
    simulation.world.advance(0.030)
    simulation.wait(port.close())
    assert simulation.world.on_shard(simulation.world.node.shard.timers.next_live_s) is None


@pytest.mark.parametrize(
    ("faults", "error"),
    [
        (Faults(timeout=1.0), PortTimeout),
        (Faults(crash=1.0), PortCrashed),
        (Faults(overload=1.0), PortOverload),
    ],
)
def test_a_fault_that_is_certain_happens(
    simulation: Rig, faults: Faults, error: type[PortError]
) -> None:
    port = simulation.open(faults=faults)
    for _ in range(3):
        with pytest.raises(error):
            simulation.wait(port.call("echo", 1))


def outcomes(seed: int) -> tuple[list[Any], list[Any]]:
    host = SimulatedHost(seed=seed)
    log = Log()
    port = SimulatedPort(
        "disk",
        host.node(),
        {"write": log.note, "never": never},
        workers=2,
        faults=Faults(timeout=0.2, crash=0.2, overload=0.1),
    )
    jobs = [port.call("write", number, deadline_s=0.5) for number in range(60)]
    told: list[Any] = []
    for job in jobs:
        try:
            told.append(len(job.get()))
        except PortError as error:
            told.append(f"{type(error).__name__} at {host.now_s:.3f}")
    return told, log.entries


def test_a_seed_replays_every_latency_and_every_fault() -> None:
    assert outcomes(7) == outcomes(7)
    assert outcomes(7) != outcomes(8)


def test_work_whose_answer_is_lost_is_done_in_some_cases_and_not_in_others() -> None:
    told, written = outcomes(7)
    lost = [number for number, outcome in enumerate(told) if isinstance(outcome, str)]
    assert set(lost) & set(written)
    assert set(lost) - set(written)
    assert len(written) == len(set(written))


def test_a_call_outside_of_any_handler_waits_in_virtual_time(simulated: SimulatedWorld) -> None:
    port = SimulatedPort("disk", simulated.node, {"echo": str}, latency_s=(5.0, 5.0))
    assert port.call("echo", 1).get() == "1"
    assert simulated.now_s() == pytest.approx(5.0, abs=0.01)
