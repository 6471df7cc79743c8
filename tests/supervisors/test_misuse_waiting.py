"""Waits that could never end are refused at once, with an error that says what to do instead."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pykka
import pytest

from supervisors import (
    ChildSpec,
    DynamicSupervisor,
    Flags,
    Future,
    GenServer,
    Process,
    Supervisor,
    gather,
    start_child,
    which_children,
)
from supervisors.errors import CallExit, WouldDeadlock
from supervisors.reasons import Crash

if TYPE_CHECKING:
    from collections.abc import Callable

    from supervisors import Ref
    from tests.supervisors.world import World


class Echo(GenServer):
    def handle_call(self, message: Any, caller: Any) -> Any:
        return message


class Does(GenServer):
    """Calls what it is sent, with itself: `plain` ones in a plain handler, others awaited."""

    def handle_call(self, message: Any, caller: Any) -> Any:
        return message(self)


def refusal(world: World, ref: Ref[Any], message: Any) -> str:
    """Give the text of the WouldDeadlock that a call meets in the handler and dies of."""
    with pytest.raises(CallExit) as raised:
        world.call(ref, message, None)
    reason = raised.value.reason
    assert isinstance(reason, Crash)
    assert isinstance(reason.error, WouldDeadlock), reason.error
    return str(reason.error)


# --- blocking in a handler -----------------------------------------------------------------------

BLOCKING: dict[str, Callable[[Any], Any]] = {
    "get of a call": lambda echo: echo.call("x").get(),
    "get with a timeout": lambda echo: echo.call("x").get(timeout=5),
    "get of a future by hand": lambda _: Future[Any]().get(),
    "get of a mapped future": lambda echo: echo.call("x").map(str).get(),
    "get of joined futures": lambda echo: gather([echo.call("x"), echo.call("y")]).get(),
    "pykka.get_all": lambda echo: pykka.get_all([echo.call("x")]),
    "ask": lambda echo: echo.ask("x"),
    "ask with a timeout": lambda echo: echo.ask("x", timeout=5),
    "stop": lambda echo: echo.stop(),
    "get of a proxied call": lambda echo: echo.proxy().handle_info("x").get(),
    "setting a proxied attribute": lambda echo: setattr(echo.proxy(), "value", 1),
    "waiting for an end": lambda echo: echo.actor_stopped.wait(1),
}


@pytest.mark.parametrize("how", sorted(BLOCKING))
def test_blocking_in_a_handler_is_refused(world: World, how: str) -> None:
    echo, does = world.start(Echo), world.start(Does)
    text = refusal(world, does, lambda _: BLOCKING[how](echo))
    assert "await" in text
    assert world.call(echo, "alive") == "alive"


@pytest.mark.parametrize("how", sorted(BLOCKING))
def test_blocking_in_an_async_handler_is_refused(world: World, how: str) -> None:
    echo, does = world.start(Echo), world.start(Does)

    async def later(does: Does) -> Any:
        await does.sleep(1)
        return BLOCKING[how](echo)

    assert "await" in refusal(world, does, later)


@pytest.mark.parametrize("hook", ["on_start", "on_receive", "on_stop", "on_failure"])
def test_blocking_in_a_hook_of_pykka_is_refused(world: World, hook: str) -> None:
    echo = world.start(Echo)
    caught: list[Exception] = []

    def block(*_: Any) -> None:
        try:
            echo.ask("x")
        except WouldDeadlock as error:
            caught.append(error)

    process_class: Any = type("Hooked", (Process,), {hook: block})
    ref = process_class.start()
    ref.tell("message")
    if hook == "on_failure":
        ref.tell(pykka.messages.ProxyCall(("nothing",), (), {}))
        world.settle()
    ref.stop()
    assert caught


def test_what_would_have_blocked_was_not_even_sent(world: World) -> None:
    echo, does = world.start(Echo), world.start(Does)
    refusal(world, does, lambda _: echo.stop())
    world.settle()
    assert echo.is_alive()


def test_a_settled_future_may_be_had_in_a_handler(world: World) -> None:
    future = Future[int]()
    future.set(3)
    assert world.call(world.start(Does), lambda _: future.get()) == 3
    assert world.call(world.start(Does), lambda _: future.map(str).get()) == "3"


def test_the_loops_own_thread_may_not_block_either() -> None:
    from supervisors import AsyncioHost  # noqa: PLC0415 - the one test that runs a loop itself

    async def main() -> None:
        host = AsyncioHost()
        with host.node(log_reports=False) as node:
            echo = await node.start(Echo)
            with pytest.raises(WouldDeadlock, match="use await"):
                echo.call("x").get()
            with pytest.raises(WouldDeadlock, match="use await"):
                echo.ask("x")
            assert await echo.call("x") == "x"
        host.close()

    asyncio.run(main())


# --- calling oneself -----------------------------------------------------------------------------


def test_calling_oneself_is_refused(world: World) -> None:
    text = refusal(world, world.start(Does), lambda does: does.ref.call("x"))
    assert "called itself" in text


@pytest.mark.parametrize("wrap", [lambda f: f, lambda f: f.map(str), lambda f: f.join()])
def test_awaiting_an_ask_of_oneself_is_refused(world: World, wrap: Any) -> None:
    async def ask_myself(does: Does) -> Any:
        return await wrap(does.ref.ask("x", block=False))

    assert "called itself" in refusal(world, world.start(Does), ask_myself)


def test_awaiting_ones_own_turn_is_refused(world: World) -> None:
    async def wait_for_my_turn(does: Does) -> Any:
        return await does.in_turn(list)

    assert "called itself" in refusal(world, world.start(Does), wait_for_my_turn)


def test_a_refused_await_can_be_caught_where_it_is_written(world: World) -> None:
    async def recovers(does: Does) -> Any:
        try:
            return await does.ref.ask("x", block=False)
        except WouldDeadlock:
            await does.sleep(1)
            return "recovered"

    assert world.call(world.start(Does), recovers) == "recovered"


def test_asking_oneself_without_waiting_is_fine(world: World) -> None:
    asked: list[Any] = []
    ref = world.start(Does)
    world.call(ref, lambda does: asked.append(does.ref.ask(lambda _: "later", block=False)))
    assert world.wait(asked[0]) == "later"


# --- calling the supervisor from its child's init ------------------------------------------------


class CallsInInit(GenServer):
    """Asks a supervisor for its children in its init, after `delay_s` if that is not None."""

    def init(self, errors: list[Any], path: tuple[str, ...], delay_s: float | None) -> Any:
        self.errors = errors
        if delay_s is None:
            target = self.node.whereis(path[-1])
            try:
                which_children(target)
            except WouldDeadlock as error:
                errors.append(error)
            return None
        return self.ask_later(path[-1], delay_s)

    async def ask_later(self, target: str, delay_s: float) -> None:
        await self.sleep(delay_s)
        try:
            await which_children(target)
        except WouldDeadlock as error:
            self.errors.append(error)


DELAYS = [None, 0.0, 1.0]
"""A plain init, one that awaits a tick, and one that is parked for a second."""


@pytest.mark.parametrize("delay_s", DELAYS)
def test_calling_the_supervisor_from_a_childs_init_is_refused(
    world: World, delay_s: float | None
) -> None:
    errors: list[Any] = []
    spec = ChildSpec("child", (CallsInInit, (errors, ("top",), delay_s)))
    world.start(Supervisor, Flags(), [spec], name="top")
    (error,) = errors
    assert "waits for the init of" in str(error)
    assert "handle_continue" in str(error)


@pytest.mark.parametrize("delay_s", DELAYS)
@pytest.mark.parametrize("depth", [1, 2, 5, 30])
def test_calling_a_supervisor_further_up_is_refused_as_well(
    world: World, delay_s: float | None, depth: int
) -> None:
    errors: list[Any] = []
    spec = ChildSpec("child", (CallsInInit, (errors, ("top",), delay_s)))
    for level in range(depth):
        spec = ChildSpec(level, (Supervisor, (Flags(), [spec])), type="supervisor")
    world.start(Supervisor, Flags(), [spec], name="top")
    (error,) = errors
    assert "waits for the init of" in str(error)


@pytest.mark.parametrize("delay_s", DELAYS)
def test_calling_the_supervisor_from_a_child_started_on_request_is_refused(
    world: World, delay_s: float | None
) -> None:
    errors: list[Any] = []
    spec = ChildSpec("child", (CallsInInit, (errors, ("top",), delay_s)))
    world.start(DynamicSupervisor, Flags(strategy="simple_one_for_one"), [spec], name="top")
    world.wait(start_child("top"))
    assert len(errors) == 1


@pytest.mark.parametrize("delay_s", DELAYS)
def test_calling_the_supervisor_from_a_restarted_childs_init_is_refused(
    world: World, delay_s: float | None
) -> None:
    errors: list[Any] = []
    spec = ChildSpec("child", (CallsInInit, (errors, ("top",), delay_s)), name="child")
    world.start(Supervisor, Flags(), [spec], name="top")
    child = world.node.whereis("child")
    assert child is not None
    child.kill()
    world.advance(5)
    assert len(errors) == 2


@pytest.mark.parametrize("delay_s", DELAYS)
def test_calling_a_supervisor_that_does_not_wait_is_fine(
    world: World, delay_s: float | None
) -> None:
    errors: list[Any] = []
    spec = ChildSpec("child", (CallsInInit, (errors, ("other",), delay_s)))
    world.start(Supervisor, Flags(), [], name="other")
    world.start(Supervisor, Flags(), [spec], name="top")
    assert errors == []


def test_calling_the_grandparent_of_a_started_supervisor_is_fine(world: World) -> None:
    errors: list[Any] = []
    middle = ChildSpec("middle", (Supervisor, (Flags(), [])), type="supervisor", name="middle")
    world.start(Supervisor, Flags(), [middle], name="top")
    spec = ChildSpec("child", (CallsInInit, (errors, ("top",), 1.0)))
    world.wait(start_child("middle", spec))
    assert errors == []


def test_awaiting_an_ask_of_the_supervisor_in_init_is_refused(world: World) -> None:
    errors: list[Any] = []

    class Asks(GenServer):
        async def init(self) -> None:
            top = self.node.address("top")
            try:
                await top.ask(("which_children",), block=False)
            except WouldDeadlock as error:
                errors.append(error)

    world.start(Supervisor, Flags(), [ChildSpec("child", (Asks,))], name="top")
    assert len(errors) == 1


def test_calling_the_starter_from_a_linked_init_is_refused(world: World) -> None:
    class Starter(GenServer):
        async def handle_call(self, message: Any, caller: Any) -> Any:
            return await self.start_link(Calls, self.ref)

    class Calls(GenServer):
        async def init(self, starter: Ref[Any]) -> None:
            await self.sleep(1)
            await starter.call("x")

    with pytest.raises(CallExit) as raised:
        world.call(world.start(Starter), "start", None)
    assert "waits for the init of" in str(raised.value.reason)


# --- starting in a handler -----------------------------------------------------------------------


class AsyncInit(GenServer):
    async def init(self, log: list[str]) -> None:
        log.append("began")
        await self.sleep(1)
        log.append("done")


def test_start_of_an_init_that_awaits_is_refused_in_a_handler(world: World) -> None:
    log: list[str] = []
    text = refusal(world, world.start(Does), lambda _: AsyncInit.start(log))
    assert "AsyncInit awaits" in text
    assert "await self.node.start" in text


def test_a_refused_start_leaves_nothing_running(world: World) -> None:
    log: list[str] = []

    def try_it(_: Any) -> str:
        try:
            AsyncInit.start(log)
        except WouldDeadlock:
            return "refused"
        return "started"

    assert world.call(world.start(Does), try_it) == "refused"
    world.advance(5)
    assert log == ["began"]
    assert len(world.node.shard.processes) == 1


def test_start_of_a_plain_init_works_in_a_handler(world: World) -> None:
    started = world.call(world.start(Does), lambda _: Echo.start())
    assert world.call(started, "x") == "x"


def test_node_start_of_an_init_that_awaits_can_be_awaited_in_a_handler(world: World) -> None:
    log: list[str] = []

    async def start(does: Does) -> Any:
        return await does.node.start(AsyncInit, log)

    assert world.call(world.start(Does), start).is_alive()
    assert log == ["began", "done"]
