"""What cannot work is refused at once, by an error that says what is wrong and what to do."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import queue
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pykka
import pytest

from supervisors import (
    AsyncioHost,
    ChildSpec,
    DynamicSupervisor,
    Flags,
    Future,
    GenServer,
    Hibernate,
    NoReply,
    Process,
    Supervisor,
    Via,
    start_child,
)
from supervisors.errors import CallExit, ChildError, NoNode, SpecError, StartError
from supervisors.reasons import Crash

if TYPE_CHECKING:
    from collections.abc import Callable

    from supervisors import Ref
    from tests.supervisors.world import World


class Worker(GenServer):
    def handle_call(self, message: Any, caller: Any) -> Any:
        return message(self) if callable(message) else message


# --- specifications ------------------------------------------------------------------------------

BAD_SPECS: list[tuple[dict[str, Any], str, str]] = [
    ({"start": Worker}, "missing_id", ""),
    ({"id": "a"}, "missing_start", ""),
    ({"id": ["a"], "start": Worker}, "invalid_id", "['a']"),
    ({"id": "a", "start": "Worker"}, "invalid_mfa", "'Worker'"),
    ({"id": "a", "start": (Worker, "args")}, "invalid_mfa", "'args'"),
    ({"id": "a", "start": (Worker, (), [])}, "invalid_mfa", "[]"),
    ({"id": "a", "start": Worker, "restart": "sometimes"}, "invalid_restart_type", "'sometimes'"),
    ({"id": "a", "start": Worker, "shutdown": -1}, "invalid_shutdown", "-1"),
    ({"id": "a", "start": Worker, "shutdown": "soon"}, "invalid_shutdown", "'soon'"),
    ({"id": "a", "start": Worker, "shutdown": 0.5}, "invalid_shutdown", "0.5"),
    ({"id": "a", "start": Worker, "shutdown": True}, "invalid_shutdown", "True"),
    ({"id": "a", "start": Worker, "type": "boss"}, "invalid_child_type", "'boss'"),
    ({"id": "a", "start": Worker, "significant": 1}, "invalid_significant", "1"),
    ({"id": "a", "start": Worker, "significant": True}, "bad_combination", "'significant'"),
    ({"id": "a", "start": Worker, "modules": "all"}, "invalid_modules", "'all'"),
    ({"id": "a", "start": Worker, "modules": [3]}, "invalid_module", "3"),
    ({"id": "a", "start": Worker, "backoff": 3}, "invalid_backoff", "3"),
    ({"id": "a", "start": Worker, "name": ["a"]}, "invalid_name", "['a']"),
]


def spec_id(case: Any) -> str | None:
    return case if isinstance(case, str) and case else None


@pytest.mark.parametrize(("spec", "key", "value"), BAD_SPECS, ids=spec_id)
def test_a_bad_child_spec_names_the_key_and_the_value(
    world: World, spec: dict[str, Any], key: str, value: str
) -> None:
    supervisor = world.start(Supervisor, Flags(), [])
    with pytest.raises(SpecError) as asked:
        world.wait(start_child(supervisor, spec))
    assert key in str(asked.value)
    assert value in str(asked.value)
    with pytest.raises(StartError) as started:
        world.start(Supervisor, Flags(), [spec])
    assert key in str(started.value)
    assert value in str(started.value)
    with pytest.raises(StartError) as dynamic:
        world.start(DynamicSupervisor, Flags(strategy="simple_one_for_one"), [spec])
    assert key in str(dynamic.value)


@pytest.mark.parametrize(
    ("flags", "key", "value"),
    [
        ({"strategy": "one_for_none"}, "invalid_strategy", "one_for_none"),
        ({"intensity": -1}, "invalid_intensity", "-1"),
        ({"intensity": 0.5}, "invalid_intensity", "0.5"),
        ({"period": 0}, "invalid_period", "0"),
        ({"auto_shutdown": "yes"}, "invalid_auto_shutdown", "yes"),
        ("flags", "invalid_type", "flags"),
    ],
)
def test_bad_supervisor_flags_name_the_key_and_the_value(
    world: World, flags: Any, key: str, value: str
) -> None:
    with pytest.raises(StartError) as raised:
        world.start(Supervisor, flags, [])
    assert "supervisor_data" in str(raised.value)
    assert key in str(raised.value)
    assert value in str(raised.value)


def test_two_children_with_one_id_are_refused_by_that_id(world: World) -> None:
    with pytest.raises(StartError, match=r"duplicate_child_name.*'twin'"):
        world.start(Supervisor, Flags(), [ChildSpec("twin", (Worker,))] * 2)


@pytest.mark.parametrize("name", [lambda _: ["unhashable"], lambda _: 1 // 0, lambda: "no args"])
def test_a_name_function_that_fails_fails_the_start_and_not_the_supervisor(
    world: World, name: Any
) -> None:
    spec = ChildSpec("child", (Worker,), name=name)
    supervisor = world.start(DynamicSupervisor, Flags(strategy="simple_one_for_one"), [spec])
    with pytest.raises(ChildError, match="Error"):
        world.wait(start_child(supervisor, 1))
    assert supervisor.is_alive()


def test_any_callable_may_start_a_child(world: World) -> None:
    async def start(supervisor: Supervisor, value: int) -> Any:
        assert value == 3
        return await supervisor.start_link(Worker)

    spec = ChildSpec("child", (functools.partial(start, value=3),))
    assert world.start(Supervisor, Flags(), [spec]).is_alive()


# --- starting ------------------------------------------------------------------------------------


@pytest.mark.parametrize("process_class", [Process, Worker, Supervisor])
def test_starting_without_a_node_says_what_to_do(process_class: type[Process]) -> None:
    with pytest.raises(NoNode, match=rf"start {process_class.__name__} inside `with node:`"):
        contextvars.Context().run(process_class.start)


@pytest.mark.parametrize("wrong", [dict, pykka.ThreadingActor, Worker.start, "Worker", None])
def test_only_process_classes_can_be_started(world: World, wrong: Any) -> None:
    with pytest.raises(TypeError, match="no Process class"):
        world.node.start(wrong)


@pytest.mark.parametrize("name", [[], {}, {"a"}])
def test_a_name_that_no_table_can_hold_is_refused_and_nothing_starts(
    world: World, name: Any
) -> None:
    with pytest.raises(TypeError, match="unhashable"):
        world.start(Worker, name=name)
    assert not world.node.shard.processes
    assert world.start(Worker).is_alive()


def test_a_name_table_that_fails_leaves_nothing_behind(world: World) -> None:
    class Broken:
        def register_name(self, name: Any, ref: Ref[Any]) -> bool:
            raise LookupError("table lost")

        def unregister_name(self, name: Any) -> None:
            raise AssertionError("never registered")

        def whereis_name(self, name: Any) -> None:
            return None

    with pytest.raises(StartError, match="table lost"):
        world.start(Worker, name=Via(Broken(), "x"))
    assert not world.node.shard.processes


# --- results -------------------------------------------------------------------------------------


def test_an_init_that_returns_something_unknown_names_it(world: World) -> None:
    class Odd(GenServer):
        def init(self) -> Any:
            return "ready"

    with pytest.raises(StartError, match=r"bad_return_value.*'ready'"):
        world.start(Odd)


def test_a_failing_on_hibernate_of_an_init_fails_the_start(world: World) -> None:
    class Sleepless(GenServer):
        def init(self) -> Any:
            return Hibernate()

        def on_hibernate(self) -> None:
            raise LookupError("cannot sleep")

    with pytest.raises(StartError, match="cannot sleep"):
        world.start(Sleepless)
    assert not world.node.shard.processes


@pytest.mark.parametrize("where", ["init", "call"])
def test_an_async_on_hibernate_is_refused_by_name(world: World, where: str) -> None:
    class Dreams(GenServer):
        def init(self) -> Any:
            return Hibernate() if where == "init" else None

        def handle_cast(self, message: Any) -> Any:
            return Hibernate()

        async def on_hibernate(self) -> None:
            await self.sleep(1)

    if where == "init":
        with pytest.raises(StartError, match="on_hibernate of Dreams"):
            world.start(Dreams)
    else:
        ref = world.start(Dreams)
        ref.cast("sleep")
        world.settle()
        assert "on_hibernate of Dreams" in str(ref._process.exit_reason)


@pytest.mark.parametrize("verb", ["call", "cast"])
def test_a_server_without_a_handler_says_which_message_it_cannot_serve(
    world: World, verb: str
) -> None:
    ref = world.start(GenServer)
    if verb == "call":
        with pytest.raises(CallExit, match="no handler for: 'hello'"):
            world.call(ref, "hello")
    else:
        ref.cast("hello")
        world.settle()
        assert "no handler for: 'hello'" in str(ref._process.exit_reason)


# --- futures -------------------------------------------------------------------------------------


def test_setting_a_future_twice_raises_full(world: World) -> None:
    future = Future[int]()
    future.set(1)
    with pytest.raises(queue.Full):
        future.set(2)
    assert future.get() == 1


def test_a_second_reply_is_dropped_without_an_error(world: World) -> None:
    class Twice(GenServer):
        def handle_call(self, message: Any, caller: Any) -> Any:
            caller.reply("first")
            caller.reply("second")
            caller.fail(ValueError("third"))
            return "fourth"

    assert world.call(world.start(Twice), "x") == "first"


@pytest.mark.parametrize(
    "derive", [lambda f: f.map(str), lambda f: f.join(), lambda f: f.filter(str)]
)
def test_calling_back_from_a_derived_future_is_refused(world: World, derive: Any) -> None:
    with pytest.raises(TypeError, match="call back from its source"):
        derive(Future[Any]()).add_done_callback(print)


# --- handlers -------------------------------------------------------------------------------------


def test_a_reply_that_is_never_given_fails_when_the_server_ends(world: World) -> None:
    class Forgets(GenServer):
        def handle_call(self, message: Any, caller: Any) -> Any:
            return NoReply()

    ref = world.start(Forgets)
    waiting = ref.call("x", None)
    world.settle()
    ref.exit("boom")
    with pytest.raises(CallExit, match="boom"):
        world.wait(waiting)


CRASHES: dict[str, Callable[[Any], Any]] = {
    "link to what is no ref": lambda self: self.link("name"),
    "unlink of what is no ref": lambda self: self.unlink(3),
    "send_after of no number": lambda self: self.send_after("soon", "x"),
}


@pytest.mark.parametrize("how", sorted(CRASHES))
def test_wrong_arguments_in_a_handler_cost_that_process_alone(world: World, how: str) -> None:
    ref, bystander = world.start(Worker), world.start(Worker)
    with pytest.raises(CallExit) as raised:
        world.call(ref, CRASHES[how])
    assert isinstance(raised.value.reason, Crash)
    assert world.call(bystander, "alive") == "alive"


def test_a_message_after_the_host_was_closed_stays_where_it_is() -> None:
    made: list[Any] = []

    async def main() -> None:
        host = AsyncioHost()
        node = host.node(log_reports=False)
        made.append(await node.start(Worker))
        host.close()

    asyncio.run(main())
    with ThreadPoolExecutor(1) as other_thread:
        other_thread.submit(made[0].cast, "late").result()
    assert made[0].is_alive()
