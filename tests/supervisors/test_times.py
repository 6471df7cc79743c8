"""Times that are no plain number of seconds: infinite, beyond what a clock can tell, or no number.

Whoever gives one has the error, or waits for ever; the node goes on.
"""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any

import pytest

from supervisors import Future, GenServer
from supervisors.state_machine import EventType, KeepState, SetTimeoutAt, StateMachine
from supervisors.timers import TimerWheel
from tests.supervisors.probe import Probe, do, seen
from tests.supervisors.world import REAL_PATIENCE_S

if TYPE_CHECKING:
    from tests.supervisors.world import World

NO_TIMES: tuple[Any, ...] = (math.nan, "5", [], 10**400)
FAR_S = (1e9, 1e12, 1e300, math.inf)


class Restless(GenServer):
    """Hibernates after an idle time that never ends."""

    hibernate_after_s = math.inf

    def handle_call(self, message: Any, caller: Any) -> Any:
        return message


@pytest.mark.parametrize("timeout_s", NO_TIMES)
def test_a_call_with_a_timeout_that_is_no_number_is_refused_and_the_node_goes_on(
    world: World, timeout_s: Any
) -> None:
    probe = world.start(Probe)
    with pytest.raises((ValueError, TypeError, OverflowError)):
        probe.call("never sent", timeout_s)
    assert world.call(probe, "still there") == "still there"


@pytest.mark.parametrize("timeout_s", NO_TIMES)
def test_a_start_with_a_timeout_that_is_no_number_leaves_nothing_behind(
    world: World, timeout_s: Any
) -> None:
    with pytest.raises(ValueError, match="no number of seconds"):
        world.node.start(Probe, name="never", timeout_s=timeout_s)
    world.settle()
    assert world.node.whereis("never") is None
    assert world.start(Probe, name="never").is_alive()


def test_an_infinite_timeout_waits_for_ever(world: World) -> None:
    probe = world.start(Probe, timeout_s=math.inf)
    assert world.call(probe, "now", math.inf) == "now"

    async def later(self: Any) -> str:
        await self.sleep(1_000)
        return "later"

    assert do(world, world.start(Probe), lambda _: probe.call(later, math.inf)) == "later"


@pytest.mark.parametrize("delay_s", FAR_S)
def test_a_timer_for_a_far_day_leaves_the_node_running(world: World, delay_s: float) -> None:
    probe = world.start(Probe)
    timer = do(world, probe, lambda self: self.send_after(delay_s, "one day"))
    world.advance(3_600)
    assert seen(world, probe) == []
    assert world.call(probe, "still there") == "still there"
    assert do(world, probe, lambda _: timer.cancel()) is True


@pytest.mark.parametrize("delay_s", [-1.0, -1e300, -math.inf])
def test_a_timer_for_a_day_long_gone_fires_at_once(world: World, delay_s: float) -> None:
    probe = world.start(Probe)
    do(world, probe, lambda self: self.send_after(delay_s, "late"))
    world.advance(0.001)
    assert seen(world, probe) == ["late"]


def test_a_server_that_hibernates_after_an_infinite_time_never_does(world: World) -> None:
    ref = world.start(Restless)
    world.advance(100_000)
    assert world.call(ref, "awake") == "awake"


def test_an_idle_time_that_is_no_number_is_refused_with_the_class() -> None:
    with pytest.raises(ValueError, match="hibernate_after_s"):
        type("Odd", (GenServer,), {"hibernate_after_s": math.nan})


class Bygone(StateMachine):
    """Sets a state timeout at a time before all times when it is cast to."""

    def init(self) -> Any:
        self.rang = 0
        return ("here",)

    def here(self, event_type: Any, content: Any) -> Any:
        if event_type is EventType.CAST:
            return KeepState(SetTimeoutAt(EventType.STATE_TIMEOUT, -math.inf))
        self.rang += event_type is EventType.STATE_TIMEOUT
        return None


def test_a_state_timeout_before_all_times_rings_at_once(world: World) -> None:
    machine = world.start(Bygone)
    machine.cast("set it")
    world.settle()
    world.advance(0.001)
    assert machine.is_alive()
    assert machine._process.rang == 1


def test_waiting_for_an_answer_without_end_takes_an_infinite_timeout(world: World) -> None:
    probe = world.start(Probe)

    async def later(self: Any) -> str:
        await self.sleep(0.001)
        return "later"

    answer = probe.call(later, None)
    world.advance(1)
    assert answer.get(timeout=math.inf) == "later"


def test_a_thread_may_wait_longer_than_the_system_can_count() -> None:
    future: Future[int] = Future()
    got: list[int] = []
    waiter = threading.Thread(target=lambda: got.append(future.get(timeout=1e300)))
    waiter.start()
    future.set(7)
    waiter.join(REAL_PATIENCE_S)
    assert got == [7]


def test_the_wheel_holds_nothing_for_infinity_and_refuses_what_is_no_time() -> None:
    wheel = TimerWheel(0.0)
    entry = type("Entry", (), {"_status": 0})()
    wheel.insert(math.inf, entry)
    assert len(wheel) == 0
    assert wheel.next_due_s() is None
    with pytest.raises(ValueError, match="NaN"):
        wheel.insert(math.nan, entry)
