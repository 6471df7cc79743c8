"""Where processes differ from stock actors on purpose; docs/supervisors.md lists the same."""

from __future__ import annotations

import asyncio
import queue
import threading
from typing import TYPE_CHECKING, Any

import pykka
import pytest
from pykka._envelope import Envelope

from supervisors import AsyncioHost, Crash, Future, GenServer, Process, Stop, ThreadHost
from supervisors.errors import CallExit, NotStarted, WouldDeadlock
from tests.supervisors.world import REAL_PATIENCE_S, SimulatedWorld

if TYPE_CHECKING:
    from tests.supervisors.world import World


class Worker(Process):
    def on_receive(self, message: Any) -> Any:
        if isinstance(message, BaseException):
            raise message
        return message


class Gives(Process):
    def on_receive(self, message: Any) -> Any:
        return message()


FATAL = [SystemExit(1), GeneratorExit(), asyncio.CancelledError(), BaseException("base")]


# --- a BaseException ends its own process and no other ------------------------------------------


@pytest.mark.parametrize("error", FATAL, ids=lambda error: type(error).__name__)
def test_a_base_exception_ends_its_own_process_and_no_other(
    world: World, error: BaseException
) -> None:
    doomed, bystander = Worker.start(), Worker.start()
    doomed.tell(error)
    world.settle()
    assert not doomed.is_alive()
    reason = doomed._process.exit_reason
    assert isinstance(reason, Crash)
    assert reason.error is error
    assert bystander.ask("alive?") == "alive?"


@pytest.mark.parametrize("error", FATAL, ids=lambda error: type(error).__name__)
def test_who_asked_a_process_that_died_of_a_base_exception_is_told(
    world: World, error: BaseException
) -> None:
    with pytest.raises(CallExit):
        Worker.start().ask(error)


def test_an_interrupt_ends_its_process_and_reaches_who_runs_the_simulated_host() -> None:
    world = SimulatedWorld()
    with world.node:
        doomed, bystander = Worker.start(), Worker.start()
        doomed.tell(KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            world.settle()
        assert not doomed.is_alive()
        assert bystander.ask("alive?") == "alive?"


def test_an_interrupt_ends_its_process_and_reaches_who_runs_the_loop() -> None:
    seen: list[Any] = []

    async def main() -> None:
        with AsyncioHost().node(log_reports=False) as node:
            doomed, bystander = Worker.start(), Worker.start()
            doomed.tell(KeyboardInterrupt())
            try:
                await asyncio.Event().wait()
            finally:
                seen.append((doomed.is_alive(), await bystander.ask("alive?", block=False)))
                node.shard.host.close()  # type: ignore[attr-defined]  # The asyncio host's own.

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    assert seen == [(False, "alive?")]


def test_an_interrupt_on_the_thread_host_ends_its_process_and_not_the_thread() -> None:
    host = ThreadHost()
    with host.node(log_reports=False):
        doomed, bystander = Worker.start(), Worker.start()
        doomed.tell(KeyboardInterrupt())
        assert doomed.actor_stopped.wait(REAL_PATIENCE_S)
        assert bystander.ask("alive?", timeout=REAL_PATIENCE_S) == "alive?"
    host.close()


# --- objects of a process class exist by start alone --------------------------------------------


def test_a_process_made_by_hand_raises_not_started(world: World) -> None:
    with pytest.raises(NotStarted, match="use its start"):
        Worker()
    with pytest.raises(NotStarted, match="use its start"):
        GenServer()


def test_an_object_that_skipped_the_constructor_has_no_ref(world: World) -> None:
    class Careless(Process):
        def __init__(self) -> None:
            pass

    by_hand = Careless()
    assert str(by_hand) == "Careless (never started)"
    with pytest.raises(NotStarted):
        _ = by_hand.actor_ref
    with pytest.raises(NotStarted):
        by_hand.stop()


def test_a_started_process_may_leave_the_call_of_the_constructor_out(world: World) -> None:
    class Forgetful(Process):
        def __init__(self) -> None:
            self.value = 3

        def on_receive(self, message: Any) -> Any:
            return self.value

    assert Forgetful.start().ask("value") == 3


# --- blocking in a handler is refused, awaiting parks the process --------------------------------


def test_a_handler_that_awaits_an_answer_leaves_the_others_running(world: World) -> None:
    class Asks(Process):
        async def on_receive(self, message: Any) -> Any:
            return await message.ask("answer", block=False)

    assert Asks.start().ask(Worker.start()) == "answer"


def test_setting_an_attribute_of_another_process_would_block_and_is_refused(world: World) -> None:
    class Sets(Process):
        def on_receive(self, message: Any) -> Any:
            message.value = 3

    proxy = Worker.start().proxy()
    with pytest.raises(WouldDeadlock):
        Sets.start().ask(proxy)


def test_hooks_may_be_async(world: World) -> None:
    log: list[str] = []

    class Async(Process):
        async def on_start(self) -> None:  # type: ignore[override]  # Pykka types it as plain.
            await self.sleep(1)
            log.append("on_start")

        async def on_receive(self, message: Any) -> Any:
            await self.sleep(1)
            log.append("on_receive")
            return message

        async def on_stop(self) -> None:  # type: ignore[override]  # The same.
            await self.sleep(1)
            log.append("on_stop")

    ref = Async.start()
    asked, stopped = ref.ask("hello", block=False), ref.stop(block=False)
    assert world.wait(asked) == "hello"
    assert world.wait(stopped) is True
    assert log == ["on_start", "on_receive", "on_stop"]


def test_an_async_method_is_called_by_a_proxy_and_its_result_is_what_it_returned(
    world: World,
) -> None:
    class Slow(Process):
        async def double(self, number: int) -> int:
            await self.sleep(1)
            return 2 * number

    proxy = Slow.start().proxy()
    assert world.wait(proxy.double(4)) == 8


def test_an_async_method_that_raises_gives_its_exception_to_the_asker(world: World) -> None:
    class Slow(Process):
        async def fails(self) -> None:
            await self.sleep(1)
            raise LookupError("lost")

    ref = Slow.start()
    with pytest.raises(LookupError, match="lost"):
        world.wait(ref.proxy().fails())
    assert ref.is_alive()


def test_messages_wait_while_a_handler_awaits(world: World) -> None:
    log: list[Any] = []

    class Slow(Process):
        async def on_receive(self, message: Any) -> Any:
            log.append(("begins", message))
            await self.sleep(1)
            log.append(("ends", message))

    ref = Slow.start()
    first, second = ref.ask(1, block=False), ref.ask(2, block=False)
    world.wait(first.join(second))
    assert log == [("begins", 1), ("ends", 1), ("begins", 2), ("ends", 2)]


# --- the rest ------------------------------------------------------------------------------------


def test_a_process_that_is_stopping_is_alive_until_its_hook_has_run(world: World) -> None:
    alive: list[bool] = []

    class Looks(Process):
        def on_stop(self) -> None:
            alive.append(self.ref.is_alive())

    ref = Looks.start()
    ref.stop()
    assert alive == [True]
    assert not ref.is_alive()


def test_the_urn_is_the_pid(world: World) -> None:
    ref = Worker.start()
    assert ref.actor_urn == f"urn:pid:{ref.pid}"


def test_an_attribute_may_hold_what_a_handler_would_mean_something_by(world: World) -> None:
    class Holds(Process):
        def __init__(self) -> None:
            super().__init__()
            self.verdict = Stop("held, not returned")

    ref = Holds.start()
    assert ref.proxy().verdict.get() == Stop("held, not returned")
    assert ref.is_alive()


def test_set_exception_without_an_exception_says_so_at_once(world: World) -> None:
    with pytest.raises(TypeError, match="needs an exception"):
        Future[Any]().set_exception()


def test_the_inbox_takes_an_envelope_and_answers_its_future(world: World) -> None:
    ref = Worker.start()
    waiting = pykka.ThreadingFuture[Any]()
    ref.actor_inbox.put(Envelope("asked", reply_to=waiting))
    ref.actor_inbox.put(Envelope("told"))
    world.settle()
    assert waiting.get(timeout=REAL_PATIENCE_S) == "asked"


def test_a_thread_that_waits_already_gets_the_answer_of_an_envelope(world: World) -> None:
    ref = Worker.start()
    waiting = pykka.ThreadingFuture[Any]()
    told: queue.Queue[Any] = queue.Queue()
    waiter = threading.Thread(target=lambda: told.put(waiting.get(timeout=REAL_PATIENCE_S)))
    waiter.start()
    ref.actor_inbox.put(Envelope("asked", reply_to=waiting))
    world.settle()
    waiter.join()
    assert told.get() == "asked"


def test_only_the_scheduler_takes_messages_out_of_a_mailbox(world: World) -> None:
    with pytest.raises(NotImplementedError):
        Worker.start().actor_inbox.get()
