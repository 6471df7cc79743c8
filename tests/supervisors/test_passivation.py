"""Passive processes: put away when idle, brought back by the next message to their name."""

from __future__ import annotations

import gc
import logging
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisors import Via
from supervisors.errors import CallExit, CallTimeout
from supervisors.passivator import Passivator
from tests.supervisors.passive_counter import Case, Counter, Memory, Slow
from tests.supervisors.world import SimulatedWorld

if TYPE_CHECKING:
    from tests.supervisors.world import World


@pytest.fixture
def case(world: World) -> Case:
    return Case(world)


# --- activation ----------------------------------------------------------------------------------


def test_the_first_message_to_a_name_starts_its_process(case: Case) -> None:
    assert case.active() == []
    case.table.ref("a").cast(3)
    assert case.call("a") == 3
    assert case.active() == ["a"]
    assert case.store.log == ["load a"]


def test_a_name_is_found_by_via_whether_active_or_not(case: Case) -> None:
    node = case.world.node
    name = Via(case.table, "a")
    found = node.whereis(name)
    assert found is not None
    assert found == case.table.ref("a") == node.address(name)
    found.cast(2)
    assert case.world.call(node.address(name), "count") == 2
    active = case.table.active("a")
    assert active is not None
    assert active.name == name


@pytest.mark.parametrize("verb", ["cast", "send", "tell", "call", "ask", "ask later"])
def test_every_verb_that_carries_a_message_activates(case: Case, verb: str) -> None:
    ref = case.table.ref("a")
    answers: dict[str, Any] = {
        "cast": lambda: ref.cast(1),
        "send": lambda: ref.send(1),
        "tell": lambda: ref.tell(1),
        "call": lambda: case.call("a"),
        "ask": lambda: ref.ask("count"),
        "ask later": lambda: case.world.wait(ref.ask("count", block=False)),
    }
    counts = {"cast": 1, "send": 100, "tell": 100}
    assert answers[verb]() == (None if verb in counts else 0)
    assert case.call("a") == counts.get(verb, 0)


def test_a_process_that_was_killed_is_not_kept_by_its_idle_time(case: Case) -> None:
    case.call("a")
    active = case.table.active("a")
    assert active is not None
    killed = weakref.ref(active._process)
    active.kill()
    case.world.settle()
    del active
    gc.collect()
    assert killed() is None


def test_each_name_has_a_process_and_a_state_of_its_own(case: Case) -> None:
    for number, name in enumerate("abc"):
        case.table.ref(name).cast(number)
    assert [case.call(name) for name in "abc"] == [0, 1, 2]
    assert case.active() == ["a", "b", "c"]


def test_messages_during_the_activation_arrive_once_and_in_order(world: World) -> None:
    case = Case(world, Slow)
    log: list[int] = []

    def note(number: int) -> Any:
        async def run(_: Any) -> int:
            log.append(number)
            return number

        return run

    ref = case.table.ref("a")
    futures = []
    for number in range(30):
        futures.append(ref.call(note(number), None))
        if number % 10 == 0:
            world.settle()
    assert [world.wait(future) for future in futures] == list(range(30))
    assert log == list(range(30))
    assert case.store.log == ["load a"]


def test_a_name_has_one_process_however_many_ask_at_once(world: World) -> None:
    case = Case(world, Slow)

    async def who(counter: Any) -> Any:
        return counter.pid

    futures = [case.table.ref("a").call(who, None) for _ in range(20)]
    assert len({world.wait(future) for future in futures}) == 1


def test_activations_of_different_names_do_not_wait_for_each_other(world: World) -> None:
    case = Case(world, Slow)
    futures = [case.table.ref(f"n{number}").call("count", None) for number in range(20)]
    assert [world.wait(future) for future in futures] == [0] * 20
    assert world.now_s() == pytest.approx(1.0, abs=0.1)


def test_the_timeout_of_a_call_covers_the_activation(world: World) -> None:
    case = Case(world, Slow)
    with pytest.raises(CallTimeout, match="passive Slow 'a'"):
        case.call("a", timeout_s=0.5)
    assert case.call("a") == 0


# --- passivation ---------------------------------------------------------------------------------


def test_an_idle_process_stores_its_state_and_ends(case: Case) -> None:
    case.table.ref("a").cast(7)
    case.world.advance(21.0)
    assert case.active() == []
    assert case.store.kept == {"a": b"7"}
    assert case.world.on_shard(case.world.node.shard.timers.next_live_s) is None


def test_the_next_message_brings_it_back_as_it_was(case: Case) -> None:
    ref = case.table.ref("a")
    ref.cast(7)
    for _ in range(3):
        case.world.advance(21.0)
        assert case.active() == []
        ref.cast(1)
        case.world.settle()
        assert case.active() == ["a"]
    assert case.call("a") == 10
    assert ref.is_alive()


def test_one_that_is_used_stays_active(case: Case) -> None:
    for _ in range(20):
        case.table.ref("a").cast(1)
        case.world.advance(8.0)
    assert case.store.log == ["load a"]
    assert case.call("a") == 20


def test_one_that_waits_in_a_handler_is_not_put_away(case: Case) -> None:
    waiting = case.table.ref("a").call("sleep", None)
    case.world.advance(50.0)
    assert case.active() == ["a"]
    assert case.world.wait(waiting) == "slept"


def test_a_process_puts_itself_away_when_it_wants(case: Case) -> None:
    assert case.call("a", "put away") == "as you wish"
    assert case.active() == []
    assert case.store.kept == {"a": b"0"}


def test_a_process_is_put_away_out_of_hibernation(world: World) -> None:
    class Sleepy(Counter):
        hibernate_after_s = 2.0

        def on_hibernate(self) -> None:
            self.packed = str(self.count)
            del self.count

        def on_wake(self) -> None:
            self.count = int(self.packed)

    case = Case(world, Sleepy)
    case.table.ref("a").cast(5)
    world.advance(5.0)
    assert not hasattr(case.table.processes["a"], "count")
    world.advance(30.0)
    assert case.active() == []
    assert case.store.kept == {"a": b"5"}


def test_a_message_that_comes_while_the_state_is_stored_keeps_the_process(world: World) -> None:
    class SlowStore(Memory):
        def save(self, name: str, state: bytes) -> Any:
            super().save(name, state)
            return slow.table.processes[name].sleep(3.0)

    store = SlowStore()
    case = slow = Case(world)
    case.table.store = store
    case.table.ref("a").cast(1)
    world.advance(11.0)
    while not store.log.count("save a"):
        world.advance(1.0)
    pid = case.table.processes["a"].pid
    case.table.ref("a").cast(1)
    world.advance(4.0)
    assert case.active() == ["a"]
    assert case.table.processes["a"].pid == pid
    assert case.call("a") == 2
    world.advance(30.0)
    assert case.active() == []
    assert store.kept == {"a": b"2"}


def test_a_message_to_one_that_is_ending_waits_for_the_next_life(world: World) -> None:
    class SlowEnd(Counter):
        async def terminate(self, reason: Any) -> None:
            await super().terminate(reason)
            await self.sleep(2.0)

    case = Case(world, SlowEnd)
    case.table.ref("a").cast(4)
    world.settle()
    stopped = case.table.ref("a").stop(block=False)
    world.settle()
    answer = case.table.ref("a").call("count", None)
    assert world.wait(stopped) is True
    assert world.wait(answer) == 4
    assert case.store.log == ["load a", "save a", "load a"]


# --- when something fails ------------------------------------------------------------------------


def test_one_that_crashes_comes_back_from_what_it_stored_last(case: Case) -> None:
    ref = case.table.ref("a")
    ref.cast(5)
    case.call("a", lambda counter: counter.save())
    ref.cast(1)
    ref.cast("no number")
    case.world.settle()
    assert case.active() == []
    assert case.call("a") == 5
    assert case.passivator.is_alive()


def test_a_store_that_cannot_load_fails_the_messages_and_the_next_try_is_free(
    case: Case,
) -> None:
    case.store.broken = {"load"}
    with pytest.raises(CallExit, match="disk lost"):
        case.call("a")
    assert case.active() == []
    case.store.broken = set()
    assert case.call("a") == 0


def test_a_store_that_cannot_save_keeps_the_process_and_is_tried_again(
    case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    case.table.ref("a").cast(5)
    case.store.broken = {"save"}
    with caplog.at_level(logging.ERROR, "supervisors"):
        case.world.advance(50.0)
    assert case.active() == ["a"]
    assert "its state could not be stored" in caplog.text
    case.store.broken = set()
    case.world.advance(21.0)
    assert case.active() == []
    assert case.store.kept == {"a": b"5"}


@pytest.mark.parametrize(("name", "reason"), [("unwanted", "normal"), ("stops", "not today")])
def test_an_init_that_does_not_want_to_fails_the_messages(
    case: Case, name: str, reason: str
) -> None:
    with pytest.raises(CallExit, match=reason):
        case.call(name)
    assert case.active() == []
    assert case.store.kept == {}


def test_an_orderly_end_of_the_tree_stores_every_state(case: Case) -> None:
    for number, name in enumerate("abc"):
        case.table.ref(name).cast(number)
    case.world.settle()
    case.passivator.stop()
    assert case.active() == []
    assert case.store.kept == {"a": b"0", "b": b"1", "c": b"2"}


def test_names_come_back_under_the_next_passivator(case: Case) -> None:
    ref = case.table.ref("a")
    ref.cast(3)
    case.world.settle()
    case.passivator.stop()
    assert not ref.is_alive()
    assert case.world.node.whereis(Via(case.table, "a")) is None
    with pytest.raises(CallExit):
        case.call("a")
    case.world.start(Passivator, case.table)
    assert case.call("a") == 3


@pytest.mark.parametrize("part", ["directory", "activator"])
def test_a_killed_part_takes_the_other_along_and_names_go_on(case: Case, part: str) -> None:
    case.table.ref("a").cast(3)
    case.world.settle()
    parts: dict[str, Any] = {
        "directory": case.table.directory.ref,
        "activator": case.table.activator,
    }
    parts[part].kill()
    case.world.settle()
    assert case.call("a") == (3 if part == "directory" else 0)


# --- whatever the timing -------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from(["cast", "stop", "wait"]), st.floats(0, 30)),
    max_size=25,
)


class Lazy(Slow):
    """Takes its time at both ends of its life."""

    async def save(self) -> None:
        await self.sleep(2.0)
        await super().save()


@settings(deadline=None)
@given(steps=STEPS, seed=st.integers(0, 10_000))
def test_no_message_is_lost_or_handled_twice_whatever_the_timing(
    steps: list[tuple[str, str, float]], seed: int
) -> None:
    world = SimulatedWorld(seed=seed)
    with world.node:
        case = Case(world, Lazy)
        sent = dict.fromkeys("ab", 0)
        for name, verb, number in steps:
            if verb == "cast":
                sent[name] += int(number)
                case.table.ref(name).cast(int(number))
            elif verb == "stop":
                case.world.settle()
                case.call(name)
                case.table.ref(name).stop(block=False)
            else:
                world.advance(number)
        assert {name: case.call(name, timeout_s=None) for name in "ab"} == sent
        world.advance(100.0)
        assert case.active() == []
        assert {name: int(case.store.kept[name]) for name in "ab"} == sent
