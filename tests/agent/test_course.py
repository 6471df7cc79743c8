"""The rules of an instance's actor, as functions of values."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fifo.agent import course
from fifo.agent.intent import Intent
from fifo.hypervisors.driver import Observed
from fifo.model.instance import Exit, RestartPolicy
from fifo.model.instance_states import NEXT, STATES
from fifo.model.restart import Memory
from tests.agent.world import claim_of, spec_of

UID = spec_of(1).uid
HAPPENINGS = {
    "create": "created",
    "start": "start",
    "stop": "stop",
    "delete": "delete",
    "settle": "stop",
}
"""What a step makes happen in the table; an update and a rest make nothing happen."""

generations = st.integers(1, 4)
states = st.sampled_from(sorted(set(STATES) - {"deleted"}))
intents = st.builds(
    lambda generation, wanted, boot, removing, unasked: Intent(
        spec=spec_of(
            1, generation=generation, wanted=wanted, boot_generation=boot, unasked=unasked
        ),
        claim=claim_of(spec_of(1)),
        removing=removing,
    ),
    generations,
    st.sampled_from(("running", "stopped")),
    generations,
    st.booleans(),
    st.integers(0, 4),
)
memories = st.builds(
    Memory,
    uid=st.just(UID),
    start_id=st.integers(0, 3),
    ended=st.integers(0, 3),
    boot_generation=st.integers(0, 4),
    stayed_down=st.integers(0, 4),
    generation=st.integers(0, 4),
    back_at=st.sampled_from((0.0, 50.0)),
    crash_loop=st.sampled_from(("", "too often")),
)


def intent_of(**more: Any) -> Intent:
    """Make an intent."""
    removing = more.pop("removing", False)
    spec = spec_of(1, **more)
    return Intent(spec=spec, claim=claim_of(spec), removing=removing)


@given(states, intents, memories, st.booleans(), st.booleans())
def test_every_step_is_legal_where_it_is_taken(
    state: Any, intent: Intent, memory: Memory, stale: bool, due: bool
) -> None:
    step = course.next_step(state, intent, memory, stale=stale, due=due)
    assert step in get_args(course.Step)
    happening = HAPPENINGS.get(step)
    if happening is not None and (state, step) != ("deleting", "delete"):
        assert (state, happening) in NEXT


@given(states, intents, memories, st.booleans(), st.booleans())
def test_what_is_to_go_is_only_ever_deleted(
    state: Any, intent: Intent, memory: Memory, stale: bool, due: bool
) -> None:
    going = msgspec.structs.replace(intent, removing=True)
    assert course.next_step(state, going, memory, stale=stale, due=due) == "delete"


@given(states, intents, memories, st.booleans(), st.booleans())
def test_what_is_wanted_stopped_is_never_started(
    state: Any, intent: Intent, memory: Memory, stale: bool, due: bool
) -> None:
    if intent.spec.wanted == "stopped":
        assert course.next_step(state, intent, memory, stale=stale, due=due) != "start"


@pytest.mark.parametrize(
    ("state", "memory", "step"),
    [
        ("stopped", {}, "start"),
        ("stopped", {"stayed_down": 2}, "rest"),
        ("stopped", {"stayed_down": 1}, "start"),
        ("failed", {"stayed_down": 2}, "rest"),
        ("failed", {"stayed_down": 1}, "start"),
        ("running", {"boot_generation": 1}, "rest"),
        ("running", {"boot_generation": 0}, "stop"),
        ("backing_off", {"generation": 2}, "rest"),
        ("backing_off", {"generation": 1}, "start"),
        ("starting", {}, "rest"),
        ("stopping", {}, "rest"),
    ],
)
def test_what_is_wanted_running_comes_to_run(state: Any, memory: Any, step: str) -> None:
    intent = intent_of(generation=2)
    assert course.next_step(state, intent, Memory(uid=UID, **memory)) == step


@pytest.mark.parametrize("state", ["stopped", "failed"])
@given(memories)
def test_what_stays_down_is_started_by_no_generation_that_nobody_asked_for(
    state: Any, memory: Memory
) -> None:
    down = msgspec.structs.replace(memory, stayed_down=2, generation=2)
    for generation in (3, 4):
        unasked = intent_of(generation=generation, unasked=generation)
        assert course.next_step(state, unasked, down) == "rest"
        down = course.reached(unasked, down)
        assert down.generation == generation
    assert course.next_step(state, intent_of(generation=5, unasked=4), down) == "start"


@given(intents, memories, st.none() | st.integers(0, 5))
def test_every_start_has_a_number_of_its_own(
    intent: Intent, memory: Memory, on_host: int | None
) -> None:
    observed = None if on_host is None else Observed(UID, "stopped", on_host)
    after = course.before_start(intent, memory, observed, "boot")
    assert after.start_id > max(memory.start_id, on_host or 0)
    assert after.start_id > after.ended or memory.ended > memory.start_id
    assert (after.crash_loop, after.back_at, after.boot_id) == ("", 0.0, "boot")
    again = course.before_start(intent, after, observed, "boot")
    assert again.start_id == after.start_id + 1


@given(st.lists(st.floats(0.0, 20.0), min_size=1, max_size=40), st.integers(1, 8))
def test_a_crash_loop_is_given_up_after_as_many_ends_as_the_policy_has(
    gaps_s: list[float], attempts: int
) -> None:
    policy = RestartPolicy(when="always", attempts=attempts, window_s=60.0)
    intent = intent_of(restart=policy)
    memory, now = Memory(uid=UID), 1_000.0
    ends: list[float] = []
    for number, gap_s in enumerate(gaps_s, 1):
        now += gap_s
        ends = [at for at in ends if now - at <= 60.0]
        memory, decision = course.after_end(intent, memory, number, Exit(at=now, code=1), 0.5)
        assert (decision.what == "give_up") == (len(ends) + 1 >= attempts)
        if decision.what == "give_up":
            assert memory.crash_loop
            assert memory.stayed_down == intent.spec.generation
            return
        assert memory.back_at > now
        assert len(memory.ends) <= attempts
        ends.append(now)


def test_an_end_that_was_asked_for_counts_for_nothing() -> None:
    before = Memory(uid=UID, start_id=3, ends=(1.0,), restarts=1)
    after = course.after_stop(before, 3, Exit(at=5.0, code=0))
    assert (after.ends, after.restarts, after.ended) == ((1.0,), 1, 3)


@pytest.mark.parametrize(("autoboot", "stayed_down"), [(True, 0), (False, 2)])
def test_a_reboot_is_nobodys_fault(autoboot: bool, stayed_down: int) -> None:
    intent = intent_of(generation=2, autoboot=autoboot)
    before = Memory(uid=UID, start_id=3, boot_id="a", back_at=7.0, ends=(1.0,))
    after = course.after_reboot(intent, before, "b")
    assert (after.ended, after.back_at, after.boot_id) == (3, 0.0, "b")
    assert (after.ends, after.stayed_down) == ((1.0,), stayed_down)


@pytest.mark.parametrize(
    ("back_at", "back_s", "utc", "wait_s"),
    [
        (110.0, 20.0, 100.0, 10.0),
        (90.0, 20.0, 100.0, 0.0),
        (90.0, 20.0, -1e9, 20.0),
        (1e12, 0.1, 100.0, 0.1),
        (1e12, 0.0, 100.0, 72.0),
    ],
)
def test_a_clock_that_was_set_back_makes_no_wait_endless(
    back_at: float, back_s: float, utc: float, wait_s: float
) -> None:
    memory = Memory(uid=UID, back_at=back_at, back_s=back_s)
    assert course.wait_s(memory, intent_of(), utc) == wait_s


@pytest.mark.parametrize(
    ("intent", "memory", "state"),
    [
        ({}, {}, "provisioning"),
        ({}, {"start_id": 1}, "starting"),
        ({}, {"start_id": 1, "ended": 1}, "provisioning"),
        ({}, {"back_at": 5.0}, "backing_off"),
        ({}, {"crash_loop": "too often", "back_at": 5.0}, "failed"),
        ({"removing": True}, {"crash_loop": "too often"}, "deleting"),
    ],
)
def test_an_actor_is_who_its_memory_says(intent: Any, memory: Any, state: str) -> None:
    assert course.before(intent_of(**intent), Memory(uid=UID, **memory)) == state


@pytest.mark.parametrize(
    ("changes", "stale"),
    [
        ({"generation": 2}, False),
        ({"generation": 2, "wanted": "stopped", "boot_generation": 9}, False),
        ({"generation": 2, "unasked": 2}, False),
        ({"generation": 2, "autoboot": False, "restart": RestartPolicy(when="never")}, False),
        ({"generation": 2, "quota": 99}, True),
        ({"generation": 2, "alias": "a name"}, True),
    ],
)
def test_the_host_hears_only_of_what_is_its_business(changes: Any, stale: bool) -> None:
    wanted = msgspec.structs.replace(spec_of(1), **changes)
    assert course.is_stale(spec_of(1), wanted, Memory(uid=UID, generation=1)) == stale
    assert course.is_stale(None, wanted, Memory(uid=UID, generation=1))
