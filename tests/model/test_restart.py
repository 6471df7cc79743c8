from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fifo.model.instance import Exit, Restart, RestartPolicy
from fifo.model.restart import decide, describe, within

TIMES = st.floats(0.0, 1e10)
JITTERS = st.floats(0.0, 1.0, exclude_max=True)
ENDS = st.lists(TIMES, max_size=30).map(sorted).map(tuple)
EXITS = st.builds(
    Exit, at=TIMES, code=st.none() | st.integers(0, 255), signal=st.none() | st.integers(1, 64)
)
POLICIES = st.builds(
    RestartPolicy,
    when=st.sampled_from(["never", "on_failure", "always"]),
    first_s=st.floats(0.0, 3600.0),
    most_s=st.floats(0.0, 86_400.0),
    factor=st.floats(1.0, 100.0),
    attempts=st.integers(1, 1000),
    window_s=st.floats(1.0, 86_400.0),
)
FAILED = Exit(at=1000.0, code=1)
DONE = Exit(at=1000.0, code=0)


@pytest.mark.parametrize(("when", "what"), [("always", "give_up"), ("never", "stay_down")])
def test_a_guest_that_resets_itself_for_ever_is_a_crash_loop_at_once(
    when: Restart, what: str
) -> None:
    made = decide(RestartPolicy(when=when), (), Exit(at=1000.0, signal=9, resets=7), 0.0)
    assert (made.what, made.reason) == (
        what, "its guest started anew 7 times in a row: most likely it panics"
    )  # fmt: skip


@given(POLICIES, ENDS, EXITS, JITTERS)
def test_a_decision_is_one_of_three_and_says_how_it_ended(
    policy: RestartPolicy, ends: tuple[float, ...], end: Exit, jitter: float
) -> None:
    made = decide(policy, ends, end, jitter)
    assert describe(end) in made.reason
    assert (made.after_s == 0.0) or made.what == "restart"
    assert 0.0 <= made.after_s <= policy.most_s * 1.2 + 1e-9
    if policy.when == "never":
        assert made.what == "stay_down"
    if policy.when == "on_failure":
        assert (made.what == "stay_down") is end.orderly
    if policy.when == "always":
        assert made.what != "stay_down"


@pytest.mark.parametrize(
    ("when", "end", "what"),
    [
        ("never", FAILED, "stay_down"),
        ("never", DONE, "stay_down"),
        ("on_failure", DONE, "stay_down"),
        ("on_failure", FAILED, "restart"),
        ("on_failure", Exit(at=0.0, signal=9), "restart"),
        ("on_failure", Exit(at=0.0, code=0, signal=15), "restart"),
        # Nobody saw it: that counts as a failure.
        ("on_failure", Exit(at=0.0), "restart"),
        ("always", DONE, "restart"),
    ],
)
def test_the_policy_decides_by_how_it_ended(when: str, end: Exit, what: str) -> None:
    assert decide(RestartPolicy(when=when), (), end, 0.0).what == what  # type: ignore[arg-type]


def test_the_wait_grows_by_the_factor_and_is_capped() -> None:
    policy = RestartPolicy(first_s=0.5, factor=3.0, most_s=10.0, attempts=100)
    ends = [1000.0 - n for n in range(6, 0, -1)]
    waits = [decide(policy, tuple(ends[:n]), FAILED, 0.0).after_s for n in range(6)]
    assert waits == [0.5, 1.5, 4.5, 10.0, 10.0, 10.0]


@given(POLICIES, st.integers(0, 300))
def test_one_end_more_never_shortens_the_wait(policy: RestartPolicy, count: int) -> None:
    assume(count + 2 < policy.attempts)
    fewer = decide(policy, (1000.0,) * count, FAILED, 0.0)
    more = decide(policy, (1000.0,) * (count + 1), FAILED, 0.0)
    assert more.after_s >= fewer.after_s or policy.when == "never"


def test_the_largest_policy_that_is_legal_is_decided_too() -> None:
    policy = RestartPolicy(factor=100.0, attempts=1000)
    assert decide(policy, (1000.0,) * 998, FAILED, 0.0).after_s == policy.most_s


def test_jitter_lengthens_a_wait_by_a_fifth_at_most() -> None:
    policy = RestartPolicy(first_s=10.0)
    assert decide(policy, (), FAILED, 0.5).after_s == pytest.approx(11.0)


@pytest.mark.parametrize("attempts", [1, 2, 10])
def test_a_crash_loop_is_exactly_as_many_ends_as_the_policy_says(attempts: int) -> None:
    policy = RestartPolicy(attempts=attempts, window_s=300.0)
    for count in range(attempts + 2):
        ends = tuple(1000.0 - 299.0 + n for n in range(count))
        made = decide(policy, ends, FAILED, 0.0)
        assert (made.what == "give_up") is (count + 1 >= attempts)
        if count + 1 == attempts:
            assert f"{attempts} ends within 300 s" in made.reason


@given(st.integers(2, 20), TIMES)
def test_ends_before_the_window_do_not_count(attempts: int, now: float) -> None:
    policy = RestartPolicy(attempts=attempts, window_s=300.0)
    ends = (now - 400.0,) * 50
    assert decide(policy, ends, Exit(at=now, code=1), 0.0).what == "restart"


@given(ENDS, TIMES, POLICIES)
def test_no_more_ends_are_kept_than_the_policy_counts(
    ends: tuple[float, ...], now: float, policy: RestartPolicy
) -> None:
    kept = within(policy, ends, now)
    assert len(kept) <= policy.attempts
    assert all(abs(now - at) <= policy.window_s for at in kept)
    # The latest are kept, in their order.
    assert (
        kept == tuple(own for own in ends if abs(now - own) <= policy.window_s)[-policy.attempts :]
    )


def test_a_clock_that_is_set_back_a_day_makes_no_crash_loop() -> None:
    """Nine ends within five minutes, then the clock goes back a day: the tenth end is the first."""
    policy = RestartPolicy(attempts=10, window_s=300.0)
    ends = tuple(86_400.0 + n for n in range(9))
    assert decide(policy, ends, Exit(at=100.0, code=1), 0.0).what == "restart"
    # A second back is no reason to forget them.
    assert decide(policy, ends, Exit(at=86_407.0, code=1), 0.0).what == "give_up"


def test_an_end_is_told_in_words() -> None:
    assert describe(Exit(at=0.0, signal=9)) == "killed by signal 9"
    starved = Exit(at=0.0, signal=9, out_of_memory=True, memory_limit_bytes=64 * 1024**2)
    assert describe(starved) == "killed: out of memory (64 MiB)"
    assert describe(Exit(at=0.0, signal=9, out_of_memory=True)) == "killed: out of memory"
    assert describe(Exit(at=0.0, code=3)) == "exit code 3"
    assert describe(Exit(at=0.0)) == "its end was not seen"
