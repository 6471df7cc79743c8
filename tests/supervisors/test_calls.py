"""Calls: what a caller gets, whatever becomes of the server, and the waits that are refused."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from supervisors import (
    ChildSpec,
    Continue,
    DynamicSupervisor,
    Flags,
    Future,
    GenServer,
    NoReply,
    Ref,
    Stop,
    Supervisor,
    gather,
    start_child,
    which_children,
)  # fmt: skip
from supervisors.errors import CallExit, CallTimeout, ChildError, StartError, WouldDeadlock
from supervisors.reasons import Crash
from tests.supervisors.probe import Probe, do, end, exit_reason, seen

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.supervisors.world import World


class Keeper(GenServer):
    """Keeps its callers, and answers when told to."""

    def init(self) -> None:
        self.callers: list[Any] = []

    def handle_call(self, message: Any, caller: Any) -> NoReply:
        self.callers.append(caller)
        return NoReply()

    def handle_cast(self, message: Any) -> Any:
        if callable(message):
            return message(self)
        for caller in self.callers:
            caller.reply(message)
        return None


def call_error(world: World, future: Future[Any]) -> Any:
    """Give the reason with which a call failed."""
    with pytest.raises(CallExit) as told:
        world.wait(future)
    return told.value.reason


# -- answers -------------------------------------------------------------------------------------


def test_callbacks_of_a_future_run_in_the_order_in_which_they_were_added(world: World) -> None:
    order: list[int] = []

    def note(number: int, _: Future[None]) -> None:
        order.append(number)

    future: Future[None] = Future(world.node.shard)
    for number in range(4):
        future.add_done_callback(partial(note, number))
    future.set()
    future.add_done_callback(partial(note, 4))
    assert order == [0, 1, 2, 3, 4]


def test_a_deferred_reply_reaches_its_caller(world: World) -> None:
    keeper = world.start(Keeper)
    asked = [keeper.call(number) for number in range(3)]
    world.settle()
    assert not any(one.done() for one in asked)
    keeper.cast("now")
    assert [world.wait(one) for one in asked] == ["now"] * 3


def test_only_the_first_reply_counts(world: World) -> None:
    keeper = world.start(Keeper)
    asked = keeper.call("question")
    keeper.cast("first")
    keeper.cast("second")
    world.settle()
    assert world.wait(asked) == "first"


def test_anyone_may_reply_another_process_or_another_thread(world: World) -> None:
    keeper, other = world.start(Keeper), world.start(Probe)
    first, second = keeper.call(1), keeper.call(2)
    world.settle()
    one, two = keeper._process.callers
    do(world, other, lambda _: one.reply("from a process"))
    two.reply("from outside")
    assert (world.wait(first), world.wait(second)) == ("from a process", "from outside")


def test_a_call_is_given_up_after_five_seconds_and_the_late_reply_is_dropped(
    world: World,
) -> None:
    keeper, asker = world.start(Keeper), world.start(Probe)

    async def ask(self: Probe) -> Any:
        try:
            return await keeper.call("question")
        except CallTimeout as error:
            return error.timeout_s

    assert do(world, asker, ask) == 5
    assert 5 <= world.now_s() < 5.1
    keeper.cast("late")
    assert seen(world, asker) == []
    assert asker.is_alive()
    assert keeper.is_alive()


def test_a_call_without_a_timeout_waits_for_as_long_as_it_takes(world: World) -> None:
    keeper = world.start(Keeper)
    asked = keeper.call("question", None)
    world.advance(100_000)
    assert not asked.done()
    keeper.cast("at last")
    assert world.wait(asked) == "at last"


def test_several_calls_are_awaited_together(world: World) -> None:
    servers = [world.start(Probe) for _ in range(3)]

    async def ask(self: Probe) -> Any:
        slow = [one.call(lambda self: self.sleep(2)) for one in servers]
        await gather(slow)
        return await gather([one.call(number) for number, one in enumerate(servers)])

    assert do(world, world.start(Probe), ask) == [0, 1, 2]
    assert 2 <= world.now_s() < 2.1


# -- the server ends -----------------------------------------------------------------------------


def fail(_: Any) -> None:
    raise ValueError("boom")


ENDS: dict[str, tuple[str, Any]] = {"kill": ("kill", "killed"), "signal": ("boom", "boom")}
"""How a server is ended from outside: the signal, and the reason the caller learns."""


def queued(world: World) -> tuple[Ref[Any], Future[Any]]:
    """Let a call wait in the mailbox of a server that is parked."""
    ref = world.start(Probe)
    ref.cast(lambda self: self.sleep(100))
    return ref, ref.call("question", None)


def parked(world: World) -> tuple[Ref[Any], Future[Any]]:
    """Let a call be served by a handler that awaits."""
    ref = world.start(Probe)
    return ref, ref.call(lambda self: self.sleep(100), None)


def deferred(world: World) -> tuple[Ref[Any], Future[Any]]:
    """Let a call wait for a later reply."""
    ref = world.start(Keeper)
    return ref, ref.call("question", None)


@pytest.mark.parametrize("point", [queued, parked, deferred])
@pytest.mark.parametrize("how", ["kill", "signal"])
def test_a_caller_learns_why_the_server_was_ended(
    world: World, point: Callable[[World], Any], how: str
) -> None:
    ref, asked = point(world)
    world.settle()
    assert not asked.done()
    signal, reason = ENDS[how]
    ref.exit(signal)
    assert call_error(world, asked) == reason
    assert world.now_s() == 0


@pytest.mark.parametrize("reason", ["normal", "shutdown", "boom"])
def test_the_caller_being_served_learns_why_the_server_stopped(world: World, reason: str) -> None:
    for answer in (lambda _: Stop(reason), lambda self: self.exit(reason)):
        ref = world.start(Probe)
        assert call_error(world, ref.call(answer)) == reason
        assert exit_reason(world, ref) == reason


def test_the_caller_being_served_learns_what_the_handler_raised(world: World) -> None:
    async def fail_later(self: Probe) -> None:
        await self.sleep(1)
        fail(self)

    for answer in (fail, fail_later):
        ref = world.start(Probe)
        reason = call_error(world, ref.call(answer))
        assert isinstance(reason, Crash)
        assert isinstance(reason.error, ValueError)
        assert exit_reason(world, ref) == reason


def test_a_caller_that_waits_learns_why_an_earlier_message_ended_the_server(
    world: World,
) -> None:
    async def stop_later(self: Probe) -> Stop:
        await self.sleep(1)
        return Stop("boom")

    busy = world.start(Probe)
    busy.cast(stop_later)
    assert call_error(world, busy.call("waits", None)) == "boom"
    keeper, asked = deferred(world)
    keeper.cast(lambda _: Stop("boom"))
    assert call_error(world, asked) == "boom"


def test_a_stop_with_a_reply_answers_the_caller(world: World) -> None:
    ref = world.start(Probe)
    assert do(world, ref, lambda _: Stop("boom", "bye")) == "bye"
    assert exit_reason(world, ref) == "boom"


def test_a_call_to_a_dead_process_or_an_unknown_name_is_noproc(world: World) -> None:
    ref = world.start(Probe)
    end(world, ref, "boom")
    assert call_error(world, ref.call("question")) == "noproc"
    with pytest.raises(CallExit) as told:
        which_children("nobody")
    assert told.value.reason == "noproc"


def test_a_cast_to_a_dead_process_is_a_dead_letter(world: World) -> None:
    ref = world.start(Probe)
    end(world, ref)
    ref.cast("cast")
    ref.send("sent")
    world.settle()
    letters = [(one.message, one.cause) for one in world.node.dead_letters.recent]
    assert letters == [("cast", "dead"), ("sent", "dead")]


def test_a_caller_that_does_not_catch_the_exit_ends_with_the_crash(world: World) -> None:
    ref, asker = world.start(Probe), world.start(Probe)

    async def ask(_: Any) -> None:
        await ref.call(lambda _: Stop("boom"))

    asker.cast(ask)
    reason = exit_reason(world, asker)
    assert isinstance(reason, Crash)
    assert isinstance(reason.error, CallExit)


# -- waits that could never end ------------------------------------------------------------------


def test_a_call_to_itself_raises(world: World) -> None:
    ref = world.start(Probe)

    async def ask(self: Probe) -> None:
        with pytest.raises(WouldDeadlock):
            await self.ref.call("question")

    do(world, ref, ask)
    assert ref.is_alive()


def test_a_blocking_get_in_a_handler_raises(world: World) -> None:
    ref, other = world.start(Probe), world.start(Probe)

    def ask(_: Any) -> None:
        with pytest.raises(WouldDeadlock):
            other.call("question").get()
        with pytest.raises(WouldDeadlock):
            other.ask("question")

    do(world, ref, ask)
    assert ref.is_alive()


class Asking(GenServer):
    """Asks in its init whoever it was given, by a plain or an async init."""

    def init(self, target: Any, ask: Any) -> Any:
        return ask(self, target)


def ask_plainly(self: GenServer, target: Any) -> None:
    which_children(target)


async def ask_first(self: GenServer, target: Any) -> None:
    await which_children(target)


async def ask_late(self: GenServer, target: Any) -> None:
    await self.sleep(1)
    await which_children(target)


@pytest.mark.parametrize("ask", [ask_plainly, ask_first, ask_late])
@pytest.mark.parametrize("kind", [Supervisor, DynamicSupervisor])
def test_a_call_of_the_supervisor_in_its_own_childs_init_raises(
    world: World, kind: Any, ask: Any
) -> None:
    spec = {"id": "asking", "start": (Asking, ("boss", ask))}
    specs = [spec] if kind is DynamicSupervisor else []
    boss = world.start(kind, Flags(), specs, name="boss")
    with pytest.raises(ChildError) as told:
        world.wait(start_child(boss, *([] if specs else [spec])))
    assert isinstance(told.value.reason.error, WouldDeadlock)
    assert boss.is_alive()
    assert world.now_s() < 2


@pytest.mark.parametrize("ask", [ask_plainly, ask_first, ask_late])
def test_a_call_of_the_supervisor_above_ones_own_in_an_init_raises(world: World, ask: Any) -> None:
    worker = ChildSpec("asking", (Asking, ("top", ask)))
    middle = ChildSpec("middle", (Supervisor, (Flags(), [worker])), type="supervisor")
    with pytest.raises(StartError) as told:
        world.wait(world.node.start(Supervisor, Flags(), [middle], name="top"))
    assert isinstance(told.value.reason.detail[2].detail[2].error, WouldDeadlock)


def test_a_call_of_the_supervisor_after_the_init_is_served(world: World) -> None:
    class Later(GenServer):
        def init(self) -> Any:
            return Continue()

        async def handle_continue(self, argument: Any) -> None:
            self.rows = await which_children("boss")

    boss = world.start(Supervisor, Flags(), [ChildSpec("later", (Later,))], name="boss")
    world.settle()
    ((_, child, _, _),) = world.wait(which_children(boss))
    assert [row[0] for row in child._process.rows] == ["later"]


def test_a_call_of_another_supervisor_in_an_init_is_served(world: World) -> None:
    other = world.start(Supervisor, Flags(), [])
    spec = ChildSpec("asking", (Asking, (other, ask_first)))
    boss = world.start(Supervisor, Flags(), [spec])
    assert boss.is_alive()
