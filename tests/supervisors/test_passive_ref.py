"""The address of a passive process: what each verb does to one that is active or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pykka
import pytest

from supervisors import Via
from supervisors.errors import CallExit, SupervisorsError, WouldDeadlock
from supervisors.passivation import Passive, PassiveRegistry
from tests.supervisors.passive_counter import Case, Counter, Memory

if TYPE_CHECKING:
    from tests.supervisors.world import World


@pytest.fixture
def case(world: World) -> Case:
    return Case(world)


def test_stop_puts_an_active_process_away_and_does_not_wake_one_that_is_not(case: Case) -> None:
    ref = case.table.ref("a")
    assert ref.stop() is False
    assert case.active() == []
    ref.cast(2)
    case.world.settle()
    assert ref.stop() is True
    assert case.store.kept == {"a": b"2"}
    assert ref.stop(block=False).get() is False


def test_what_comes_behind_a_stop_is_for_the_next_life(case: Case) -> None:
    ref = case.table.ref("a")
    case.call("a")

    def stop_and_go_on() -> Any:
        stopped = ref.stop(block=False)
        ref.cast(4)
        return stopped

    assert case.world.wait(case.world.on_shard(stop_and_go_on)) is True
    assert case.call("a") == 4
    assert case.store.log == ["load a", "save a", "load a"]


def test_kill_and_exit_reach_an_active_process_and_wake_none(case: Case) -> None:
    ref = case.table.ref("a")
    ref.kill()
    ref.exit("boom")
    assert case.active() == []
    ref.cast(1)
    case.world.settle()
    ref.kill()
    assert case.active() == []
    assert case.store.kept == {}


def test_addresses_are_equal_by_registry_and_name(case: Case) -> None:
    assert case.table.ref("a") == case.table.ref("a")
    assert len({case.table.ref("a"), case.table.ref("a"), case.table.ref("b")}) == 2
    assert case.table.ref("a") != PassiveRegistry(Counter, case.store).ref("a")
    assert str(case.table.ref("a")) == "passive Counter 'a'"
    assert case.table.ref("a").actor_class is Counter


def test_pykkas_messages_reach_a_passive_process(case: Case) -> None:
    ref = case.table.ref("a")
    ref.tell(pykka.messages.ProxySetAttr(("count",), 9))
    assert ref.ask(pykka.messages.ProxyGetAttr(("count",))) == 9
    with pytest.raises(TypeError, match="has no proxy"):
        ref.proxy()


@pytest.mark.parametrize("verb", ["call", "ask"])
def test_a_passive_process_that_calls_itself_is_refused(case: Case, verb: str) -> None:
    async def call_myself(_: Any) -> Any:
        ref = case.table.ref("a")
        return await (ref.call("count") if verb == "call" else ref.ask("count", block=False))

    with pytest.raises(CallExit) as raised:
        case.call("a", call_myself)
    assert isinstance(raised.value.reason.error, WouldDeadlock)


def test_passive_processes_call_each_other(case: Case) -> None:
    async def call_other(_: Any) -> Any:
        return await case.table.ref("b").call("count")

    assert case.call("a", call_other) == 0
    assert case.active() == ["a", "b"]


def test_a_registry_without_a_passivator_says_what_to_start(world: World) -> None:
    table = PassiveRegistry(Counter, Memory())
    assert world.node.whereis(Via(table, "a")) is None
    with pytest.raises(SupervisorsError, match=r"start Passivator\(registry\)"):
        table.ref("a").cast(1)


def test_a_class_without_its_callbacks_names_what_is_missing(world: World) -> None:
    class Bare(Passive):
        pass

    with pytest.raises(CallExit, match=r"Bare has no init\(name, state\)"):
        Case(world, Bare).call("a")
