"""Hibernation: an idle process drops what it can make again, when it says so or by itself."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from supervisors import Continue, GenServer, Hibernate, NoReply, Process, Reply, Timeout
from supervisors.process import HIBERNATED, STATE_NAMES
from supervisors.reasons import Crash

if TYPE_CHECKING:
    from collections.abc import Callable

    from supervisors import Ref
    from tests.supervisors.world import World


class Record(GenServer):
    """Keeps a record; while it hibernates as compact bytes, without the index made from it."""

    def init(self, log: list[str], then: Any = None) -> Any:
        self.log = log
        self.record: dict[str, Any] | None = {"disks": [{"size": 10, "id": n} for n in range(50)]}
        self.packed = b""
        self.make_index()
        return then

    def make_index(self) -> None:
        assert self.record is not None
        self.index: dict[int, Any] | None = {disk["id"]: disk for disk in self.record["disks"]}

    def on_hibernate(self) -> None:
        self.log.append("hibernate")
        self.packed = zlib.compress(json.dumps(self.record).encode())
        self.record = self.index = None

    def on_wake(self) -> Any:
        self.log.append("wake")
        self.record = json.loads(zlib.decompress(self.packed))
        self.packed = b""
        self.make_index()

    def handle_call(self, message: Any, caller: Any) -> Any:
        assert self.index is not None
        self.log.append(f"call {message}")
        return Reply(self.index[message]["size"], then=Hibernate())

    def handle_cast(self, message: Any) -> Any:
        self.log.append(f"cast {message}")
        return message if isinstance(message, Hibernate) else None

    def handle_info(self, message: Any) -> Any:
        self.log.append(f"info {message}")


class Sleepy(Record):
    hibernate_after_s = 10.0

    def handle_call(self, message: Any, caller: Any) -> Any:
        self.log.append(f"call {message}")
        if message == "park":
            return self.park()
        return self.trap_exit

    async def park(self) -> str:
        await self.sleep(60.0)
        return "parked"


def state(world: World, ref: Ref[Any]) -> str:
    return STATE_NAMES[world.on_shard(lambda: ref._process._state)]


def hibernated(world: World, ref: Ref[Any]) -> bool:
    return bool(world.on_shard(lambda: ref._process._state) == HIBERNATED)


# --- by a result ---------------------------------------------------------------------------------


def test_a_result_makes_a_process_hibernate_and_the_next_message_wakes_it(world: World) -> None:
    log: list[str] = []
    ref = world.start(Record, log)
    assert world.call(ref, 7) == 10
    world.settle()
    assert hibernated(world, ref)
    assert log == ["call 7", "hibernate"]
    assert world.call(ref, 8) == 10
    assert log == ["call 7", "hibernate", "wake", "call 8", "hibernate"]


def test_what_can_be_made_again_is_let_go_and_the_rest_is_compact(world: World) -> None:
    ref = world.start(Record, [])
    process = ref._process
    before = len(json.dumps(process.record))
    ref.cast(Hibernate())
    world.settle()
    assert process.record is None
    assert process.index is None
    assert 0 < len(process.packed) < before / 4
    assert world.call(ref, 3) == 10


def test_an_init_may_hibernate(world: World) -> None:
    log: list[str] = []
    ref = world.start(Record, log, Hibernate())
    assert hibernated(world, ref)
    assert world.call(ref, 1) == 10
    assert log[:3] == ["hibernate", "wake", "call 1"]


@pytest.mark.parametrize(
    "result", [Hibernate(), Reply("x", then=Hibernate()), NoReply(then=Hibernate())]
)
def test_every_result_that_can_hibernate_does(world: World, result: Any) -> None:
    class Answers(GenServer):
        def handle_call(self, message: Any, caller: Any) -> Any:
            caller.reply("x")
            return result

    ref = world.start(Answers)
    assert world.call(ref, "go") == "x"
    world.settle()
    assert hibernated(world, ref)


def test_a_process_with_messages_waiting_does_not_hibernate(world: World) -> None:
    log: list[str] = []
    ref = world.start(Record, log)

    def cast_both() -> None:
        ref.cast(Hibernate())
        ref.cast("more")

    world.on_shard(cast_both)
    world.settle()
    assert not hibernated(world, ref)
    assert log == ["cast Hibernate()", "cast more"]


@pytest.mark.parametrize("how", ["cast", "send", "timer", "in turn", "exit"])
def test_whatever_reaches_it_wakes_it_first(world: World, how: str) -> None:
    log: list[str] = []
    ref = world.start(Record, log)
    process = ref._process
    process.trap_exit = True
    if how == "timer":
        world.on_shard(lambda: process.send_after(5.0, "tick"))
    ref.cast(Hibernate())
    world.settle()
    assert hibernated(world, ref)
    reach: dict[str, Callable[[], Any]] = {
        "cast": lambda: ref.cast("x"),
        "send": lambda: ref.send("x"),
        "timer": lambda: world.advance(6.0),
        "in turn": lambda: world.wait(process.in_turn(lambda: log.append("turn"))),
        "exit": lambda: ref.exit("boom"),
    }
    reach[how]()
    world.settle()
    assert log[1:3] == ["hibernate", "wake"]
    assert len(log) == 4


@pytest.mark.parametrize("reason", ["kill", "boom"])
def test_a_hibernated_process_ends_without_waking(world: World, reason: str) -> None:
    log: list[str] = []
    ref = world.start(Record, log)
    ref.cast(Hibernate())
    world.settle()
    ref.exit(reason)
    world.settle()
    assert not ref.is_alive()
    assert "wake" not in log


def test_a_hibernated_process_is_woken_to_stop_in_order(world: World) -> None:
    log: list[str] = []
    ref = world.start(Record, log)
    ref.cast(Hibernate())
    world.settle()
    assert ref.stop() is True
    assert log[1:] == ["hibernate", "wake"]


def test_waking_may_await_and_the_message_waits_for_it(world: World) -> None:
    log: list[str] = []

    class Slow(GenServer):
        def handle_cast(self, message: Any) -> Any:
            log.append(message)
            return Hibernate()

        async def on_wake(self) -> None:
            await self.sleep(2.0)
            log.append("awake")

    ref = world.start(Slow)
    ref.cast("one")
    world.settle()
    ref.cast("two")
    world.advance(3.0)
    assert log == ["one", "awake", "two"]


def test_a_failing_on_wake_ends_the_process(world: World) -> None:
    class Fails(Record):
        def on_wake(self) -> None:
            raise LookupError("lost")

    ref = world.start(Fails, [], Hibernate())
    ref.cast("x")
    world.settle()
    reason = ref._process.exit_reason
    assert isinstance(reason, Crash)
    assert str(reason) == "LookupError: lost"


def test_a_plain_process_hibernates_as_well(world: World) -> None:
    log: list[str] = []

    class Plain(Process):
        def on_receive(self, message: Any) -> Any:
            log.append(message)
            return Hibernate()

        def on_hibernate(self) -> None:
            log.append("hibernate")

    ref = Plain.start()
    ref.tell("one")
    world.settle()
    assert hibernated(world, ref)
    assert log == ["one", "hibernate"]


# --- by itself -----------------------------------------------------------------------------------


def test_an_idle_process_of_such_a_class_hibernates_by_itself(world: World) -> None:
    log: list[str] = []
    ref = world.start(Sleepy, log)
    world.advance(9.0)
    assert not hibernated(world, ref)
    world.advance(11.0)
    assert hibernated(world, ref)
    assert log == ["hibernate"]


def test_one_that_is_used_stays_awake(world: World) -> None:
    log: list[str] = []
    ref = world.start(Sleepy, log)
    for _ in range(20):
        world.advance(8.0)
        ref.cast("used")
        world.settle()
    assert "hibernate" not in log
    world.advance(21.0)
    assert hibernated(world, ref)


def test_it_hibernates_again_after_it_was_woken(world: World) -> None:
    log: list[str] = []
    ref = world.start(Sleepy, log)
    for _ in range(3):
        world.advance(21.0)
        assert hibernated(world, ref)
        ref.cast("x")
        world.settle()
        assert not hibernated(world, ref)
    assert log == ["hibernate", "wake", "cast x"] * 3


def test_one_that_hibernated_by_its_own_wish_is_watched_again_after_it_woke(world: World) -> None:
    log: list[str] = []
    ref = world.start(Sleepy, log)
    ref.cast(Hibernate())
    world.advance(50.0)
    ref.cast("x")
    world.settle()
    assert not hibernated(world, ref)
    world.advance(21.0)
    assert hibernated(world, ref)
    assert log.count("hibernate") == 2


def test_a_sleeping_process_has_no_timer(world: World) -> None:
    world.start(Sleepy, [])
    assert world.on_shard(world.node.shard.timers.next_live_s) is not None
    world.advance(21.0)
    assert world.on_shard(world.node.shard.timers.next_live_s) is None


def test_one_that_waits_in_a_handler_is_not_idle(world: World) -> None:
    log: list[str] = []
    ref = world.start(Sleepy, log)
    waiting = ref.call("park", None)
    world.advance(30.0)
    assert state(world, ref) == "parked"
    assert world.wait(waiting) == "parked"
    world.advance(21.0)
    assert hibernated(world, ref)


@pytest.mark.parametrize("then", [Continue("go"), Timeout(5.0), Hibernate(), None])
def test_however_its_init_ended_it_is_watched(world: World, then: Any) -> None:
    class Starts(Sleepy):
        def handle_continue(self, argument: Any) -> None:
            self.log.append("continued")

    ref = world.start(Starts, [], then)
    world.advance(40.0)
    assert hibernated(world, ref)


def test_a_process_that_was_started_as_pykka_does_is_watched_too(world: World) -> None:
    class Plain(Process):
        hibernate_after_s = 10.0

    ref = Plain.start()
    world.settle()
    world.advance(21.0)
    assert hibernated(world, ref)


def test_one_that_ended_meanwhile_is_left_alone(world: World) -> None:
    log: list[str] = []
    ref = world.start(Sleepy, log)
    ref.kill()
    world.advance(30.0)
    assert log == []
    assert world.on_shard(world.node.shard.timers.next_live_s) is None


def test_classes_that_do_not_ask_for_it_pay_nothing(world: World) -> None:
    ref = world.start(GenServer)
    assert world.on_shard(world.node.shard.timers.next_live_s) is None
    assert getattr(ref._process._ext, "idle", None) is None


@pytest.mark.parametrize("time_s", [0.0, -1.0])
def test_a_class_whose_time_is_no_time_is_refused(time_s: float) -> None:
    with pytest.raises(ValueError, match="hibernate_after_s must be above 0"):

        class Wrong(GenServer):
            hibernate_after_s = time_s


def test_a_process_that_ends_in_its_step_is_gone(world: World) -> None:
    class Ends(Sleepy):
        def on_hibernate(self) -> None:
            raise LookupError("cannot sleep")

    ref = world.start(Ends, [])
    world.advance(21.0)
    assert not ref.is_alive()
