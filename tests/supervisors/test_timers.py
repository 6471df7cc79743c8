"""The timer wheel against a sorted list, and timers as processes use them."""

from __future__ import annotations

import gc
import time
import weakref
from math import ceil
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from supervisors import Timeout, limits
from supervisors.state_machine import EventType, SetTimeout, StateMachine
from supervisors.timers import TimerWheel
from tests.supervisors.probe import Probe, do, end, seen

if TYPE_CHECKING:
    from supervisors import Process
    from tests.supervisors.world import SimulatedWorld, World

TURN_S = limits.TIMER_SLOTS * limits.TIMER_TICK_S


class Entry:
    """What the wheel holds, with a number to tell it by."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._status = 0


delays_s = st.one_of(
    st.floats(0, 0.01),
    st.floats(0, 3 * TURN_S),
    st.sampled_from([0.0, 0.001, TURN_S - 0.001, TURN_S, TURN_S + 0.001, 5.0, 60.0, 3600.0]),
    st.floats(0, 100_000),
)


class Wheel(RuleBasedStateMachine):
    """Drives a wheel beside a plain list of (due tick, order of arming, entry)."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1000.0
        self.wheel = TimerWheel(self.now_s)
        self.model: list[tuple[int, int, Entry]] = []
        self.armed = 0

    def tick(self) -> int:
        return int(self.now_s * 1000 + 1e-6)

    @rule(delay_s=delays_s)
    def arm(self, delay_s: float) -> None:
        due_s = self.now_s + delay_s
        entry = Entry(self.armed)
        self.wheel.insert(due_s, entry)
        due = max(ceil(due_s * 1000 - 1e-6), self.tick() + 1)
        self.model.append((due, self.armed, entry))
        self.armed += 1

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        row = data.draw(st.sampled_from(self.model))
        self.model.remove(row)
        row[2]._status = 1
        self.wheel.stale += 1

    @rule(duration_s=delays_s)
    def advance(self, duration_s: float) -> None:
        self.now_s += duration_s
        self.wheel.advance(self.now_s)
        fired = [entry for entries in self.wheel.due for entry in entries if not entry._status]
        self.wheel.due.clear()
        expected = sorted(row[:2] for row in self.model if row[0] <= self.tick())
        assert [entry.number for entry in fired] == [number for _, number in expected]
        self.model = [row for row in self.model if row[0] > self.tick()]

    @rule()
    def look(self) -> None:
        """See the very time of the next entry, and that asking for it loses none."""
        live_s = self.wheel.next_live_s()
        if self.model:
            assert live_s == min(row[0] for row in self.model) / 1000
        else:
            assert live_s is None

    @invariant()
    def the_next_look_is_not_too_late(self) -> None:
        due_s = self.wheel.next_due_s()
        if self.model:
            assert due_s is not None
            assert due_s <= min(row[0] for row in self.model) / 1000
        assert len(self.wheel) >= len(self.model)


TestWheel = Wheel.TestCase
TestWheel.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)


@given(st.lists(delays_s, max_size=50), st.lists(st.floats(0, TURN_S), min_size=1, max_size=20))
def test_no_entry_fires_early_nor_more_than_once_nor_a_tick_late(
    dues_s: list[float], steps_s: list[float]
) -> None:
    wheel = TimerWheel(0.0)
    for number, due_s in enumerate(dues_s):
        wheel.insert(due_s, Entry(number))
    fired: list[int] = []
    now_s = 0.0
    for step_s in [*steps_s, 200_000.0]:
        before_s, now_s = now_s, now_s + step_s
        wheel.advance(now_s)
        for entry in [entry for entries in wheel.due for entry in entries]:
            fired.append(entry.number)
            assert dues_s[entry.number] <= now_s + 1e-6
            assert dues_s[entry.number] >= before_s - 2 * limits.TIMER_TICK_S
        wheel.due.clear()
    assert sorted(fired) == list(range(len(dues_s)))
    assert len(wheel) == 0
    assert wheel.next_due_s() is None


def test_cancelled_entries_are_swept_when_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "TIMER_STALE_ENTRIES", 10)
    wheel = TimerWheel(0.0)
    entries = [Entry(number) for number in range(100)]
    for number, entry in enumerate(entries):
        wheel.insert(5.0 if number % 2 else 100.0, entry)
    for entry in entries[:90]:
        entry._status = 1
        wheel.stale += 1
    wheel.advance(0.001)
    assert len(wheel) == 10
    wheel.advance(200.0)
    fired = [entry.number for entries in wheel.due for entry in entries]
    assert sorted(fired) == list(range(90, 100))


def test_looking_for_the_next_entry_does_not_walk_them_all(simulated: SimulatedWorld) -> None:
    """Ten thousand timers at times of their own pass in time that is linear, not quadratic."""
    ref = simulated.start(Probe)
    for number in range(10_000):
        ref._process.send_after(number * 0.001 + 1, number)
    began_s = time.process_time()
    simulated.advance(100)
    assert time.process_time() - began_s < 5
    assert seen(simulated, ref) == list(range(10_000))


# -- as processes use them -----------------------------------------------------------------------


def test_a_timer_sends_its_message_when_it_is_due_and_not_before(world: World) -> None:
    ref = world.start(Probe)
    do(world, ref, lambda self: self.send_after(3, "due") and None)
    world.advance(2.998)
    assert seen(world, ref) == []
    world.advance(0.003)
    assert seen(world, ref) == ["due"]
    world.advance(100)
    assert seen(world, ref) == ["due"]


def test_timers_come_in_order_of_time_and_then_of_arming(world: World) -> None:
    ref = world.start(Probe)

    def arm(self: Probe) -> None:
        for delay_s, message in ((3, "c"), (1, "a"), (3, "d"), (2, "b"), (20, "f"), (10, "e")):
            self.send_after(delay_s, message)

    do(world, ref, arm)
    world.advance(15)
    do(world, ref, lambda self: self.send_after(5, "g") and None)
    world.advance(10)
    assert seen(world, ref) == list("abcdefg")


def test_a_cancelled_timer_sends_nothing_and_says_whether_it_was_in_time(world: World) -> None:
    ref = world.start(Probe)
    timer = do(world, ref, lambda self: self.send_after(3, "due"))
    assert world.on_shard(timer.cancel) is True
    assert world.on_shard(timer.cancel) is False
    late = do(world, ref, lambda self: self.send_after(3, "late"))
    world.advance(10)
    assert world.on_shard(late.cancel) is False
    assert seen(world, ref) == ["late"]


def test_a_timer_ends_with_its_process(world: World) -> None:
    ref = world.start(Probe)
    do(world, ref, lambda self: self.send_after(3, "due") and None)
    end(world, ref)
    world.advance(10)
    assert not world.node.dead_letters.causes


def test_the_clock_does_not_stop_for_a_timer_of_a_dead_process(simulated: SimulatedWorld) -> None:
    ref = simulated.start(Probe)
    do(simulated, ref, lambda self: self.send_after(3, "due") and self.send_after(3_000, "due"))
    end(simulated, ref)
    assert simulated.host.next_due_s() is None


def test_timers_of_dead_processes_are_swept_when_there_are_too_many(
    simulated: SimulatedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "TIMER_STALE_ENTRIES", 10)
    for delay_s in (3, 3_000):
        for _ in range(20):
            ref = simulated.start(Probe)
            do(simulated, ref, lambda self: self.send_after(delay_s, "due") and None)  # noqa: B023
            end(simulated, ref)
    simulated.start(Probe).cast("run a slice")
    simulated.settle()
    assert len(simulated.node.shard.timers) <= 20


class Asleep(Probe):
    """Hibernates when it has been idle for a day."""

    hibernate_after_s = 86_400


class Waiting(StateMachine):
    """Waits for the end of the day."""

    def init(self) -> Any:
        return ("waiting", SetTimeout(EventType.STATE_TIMEOUT, 86_400))

    def waiting(self, event_type: Any, content: Any) -> None:
        """Do nothing."""


class Timing(Probe):
    """Waits a day for a message, and for a timer of its own."""

    def init(self, *_: Any, trap: bool = False) -> Any:
        super().init(trap=trap)
        self.send_after(86_400, "due")
        return Timeout(86_400)


@pytest.mark.parametrize("process_class", [Asleep, Waiting, Timing])
def test_nothing_that_waits_in_the_wheel_keeps_a_dead_process(
    world: World, process_class: type[Process]
) -> None:
    def dead() -> weakref.ref[Any]:
        ref = world.start(process_class)
        ref.kill()
        world.settle()
        assert not ref.is_alive()
        return weakref.ref(ref._process)

    kept = dead()
    gc.collect()
    assert kept() is None


def test_a_timer_wakes_a_parked_process_only_after_what_it_awaits(world: World) -> None:
    ref = world.start(Probe)

    async def wait(self: Probe) -> None:
        self.send_after(1, "due")
        await self.sleep(5)
        self.seen.append("awake")

    ref.cast(wait)
    world.advance(4)
    assert seen(world, ref) == []
    world.advance(2)
    assert seen(world, ref) == ["awake", "due"]


def test_many_timers_due_at_once_let_others_run_between(simulated: SimulatedWorld) -> None:
    """No more than `limits.TIMERS_PER_TURN` fire before the run queue gets its turn."""
    total = 3 * limits.TIMERS_PER_TURN
    noted: list[int] = []
    ref = simulated.start(Probe)

    class Watching(Probe):
        def handle_info(self, message: Any) -> None:
            noted.append(ref._process.mailbox_length)

    simulated.start(Watching)._process.send_after(1, "look")
    for number in range(total):
        ref._process.send_after(1, number)
    simulated.advance(2)
    assert seen(simulated, ref) == list(range(total))
    assert noted[0] < limits.TIMERS_PER_TURN
