"""Restart intensity: how many in how much time, against the rule written out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisors import ChildSpec, Flags, GenServer, Supervisor, replace_specs
from supervisors.intensity import RestartIntensity

if TYPE_CHECKING:
    from tests.supervisors.world import SimulatedWorld, World


def allowed(times_s: list[float], intensity: int, period_s: int) -> list[bool]:
    """Apply OTP's rule as it is written: a list of whole-second stamps, walked every time."""
    stamps: list[int] = []
    answers = []
    for now_s in times_s:
        now = int(now_s)
        stamps = [stamp for stamp in stamps if stamp >= now - period_s] + [now]
        answers.append(len(stamps) <= intensity)
    return answers


gaps_s = st.lists(st.floats(0, 20, allow_nan=False), max_size=60)


@given(gaps_s, st.integers(0, 5), st.integers(1, 10))
def test_the_window_is_that_of_the_rule(gaps_s: list[float], intensity: int, period_s: int) -> None:
    times_s = [sum(gaps_s[: number + 1]) for number in range(len(gaps_s))]
    counter = RestartIntensity(intensity, period_s)
    assert [counter.allow(now_s) for now_s in times_s] == allowed(times_s, intensity, period_s)


def test_n_restarts_are_allowed_and_one_more_is_not() -> None:
    for intensity in range(5):
        counter = RestartIntensity(intensity, 5)
        answers = [counter.allow(0.0) for _ in range(intensity + 1)]
        assert answers == [True] * intensity + [False]


@pytest.mark.parametrize(
    ("times_s", "second"),
    [((0.0, 1.2), False), ((0.0, 1.99), False), ((0.0, 2.0), True), ((0.99, 2.0), True)],
)
def test_a_stamp_is_a_whole_second_and_is_kept_for_the_period_and_up_to_one_more(
    times_s: tuple[float, float], second: bool
) -> None:
    counter = RestartIntensity(1, 1)
    assert [counter.allow(now_s) for now_s in times_s] == [True, second]


def test_what_is_used_is_told_without_counting() -> None:
    counter = RestartIntensity(9, 5)
    for now_s in (0.0, 1.0, 6.0):
        counter.allow(now_s)
    assert [counter.used(now_s) for now_s in (6.0, 6.0, 7.0, 100.0)] == [2, 2, 1, 0]


def test_a_burst_costs_the_same_for_each_restart() -> None:
    """OTP walks its list of stamps at every restart; here 100,000 in one window are quick."""
    counter = RestartIntensity(200_000, 3600)
    began_s = time.process_time()
    for _ in range(100_000):
        counter.allow(1.0)
    assert time.process_time() - began_s < 2
    assert counter.used(1.0) == 100_000


def test_a_supervisor_counts_all_its_children_together(world: World) -> None:
    specs = [ChildSpec(one, (GenServer,), name=one) for one in ("a", "b", "c")]
    supervisor = world.start(Supervisor, Flags(intensity=2, period=5), specs)
    for one in ("a", "b"):
        world.node.address(one).kill()
        world.settle()
    assert supervisor.is_alive()
    world.node.address("c").kill()
    world.settle()
    assert not supervisor.is_alive()


def test_restarts_count_on_after_the_flags_were_replaced(simulated: SimulatedWorld) -> None:
    spec = ChildSpec("a", (GenServer,), name="a")
    supervisor = simulated.start(Supervisor, Flags(intensity=5, period=5), [spec])
    for _ in range(2):
        simulated.node.address("a").kill()
        simulated.settle()
    simulated.wait(replace_specs(supervisor, Flags(intensity=2, period=5), [spec]))
    simulated.node.address("a").kill()
    simulated.settle()
    assert not supervisor.is_alive()
