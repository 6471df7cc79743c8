"""The test harness itself, and the shortest path through the runtime on each host."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from supervisors import ChildSpec, Flags, GenServer, SimulatedHost, Supervisor, which_children

if TYPE_CHECKING:
    from tests.supervisors.world import World


class Counter(GenServer):
    def init(self, value: int = 0) -> None:
        self.value = value

    def handle_cast(self, message: Any) -> None:
        self.value += message

    async def handle_call(self, message: Any, caller: Any) -> Any:
        if message == "later":
            await self.sleep(3600)
        return self.value


@pytest.mark.parametrize("duration_s", [-3, -math.inf, math.inf, math.nan])
def test_simulated_time_neither_goes_back_nor_ends(duration_s: float) -> None:
    host = SimulatedHost(start_s=5)
    with pytest.raises(ValueError, match="time goes on from 5 s"):
        host.advance(duration_s)
    assert host.now_s == 5


def test_a_cast_is_seen_by_the_call_after_it(world: World) -> None:
    ref = world.start(Counter, 5)
    ref.cast(3)
    assert world.call(ref, "get") == 8


def test_waiting_for_an_hour_costs_no_time(world: World) -> None:
    ref = world.start(Counter)
    assert world.call(ref, "later", None) == 0
    assert world.now_s() >= 3600


def test_a_killed_child_is_restarted_under_its_name(world: World) -> None:
    spec = ChildSpec("counter", (Counter, (1,)), name="counter")
    supervisor = world.start(Supervisor, Flags(), [spec])
    first = world.node.whereis("counter")
    assert first is not None
    first.cast(41)
    first.kill()
    world.settle()
    second = world.node.whereis("counter")
    assert second is not None
    assert second != first
    assert world.call(second, "get") == 1
    ((_, ref, _, _),) = world.wait(which_children(supervisor))
    assert ref == second
    assert [context for context, _, _ in world.supervisor_reports()] == ["child_terminated"]
