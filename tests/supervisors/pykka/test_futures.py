"""Contract: futures by hand: set, get, exceptions, get hooks, and await."""

from __future__ import annotations

import asyncio
import queue
import sys
import threading
import traceback
import types
from typing import TYPE_CHECKING, Any

import pykka
import pytest

from tests.supervisors.pykka.runtime import Calls
from tests.supervisors.world import REAL_PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.supervisors.pykka.runtime import Runtime


def set_by_handler(future: Any) -> None:
    """Set an exception on a future while it is being handled."""
    try:
        int("foo")
    except ValueError:
        future.set_exception()


# --- set and get ---------------------------------------------------------------------------------


def test_get_gives_the_value_that_was_set(runtime: Runtime) -> None:
    future = runtime.future()
    future.set("value")
    assert future.get() == "value"


def test_set_without_a_value_sets_none(runtime: Runtime) -> None:
    future = runtime.future()
    future.set()
    assert future.get() is None


def test_a_value_can_be_had_any_number_of_times(runtime: Runtime) -> None:
    future = runtime.future()
    value = object()
    future.set(value)
    assert [future.get() for _ in range(3)] == [value] * 3


def test_the_value_is_not_copied(runtime: Runtime) -> None:
    future = runtime.future()
    value: list[int] = []
    future.set(value)
    assert future.get() is value


def test_get_of_a_future_that_is_not_set_raises_timeout(runtime: Runtime) -> None:
    with pytest.raises(pykka.Timeout):
        runtime.future().get(timeout=0)


def test_a_future_may_be_set_after_a_get_timed_out(runtime: Runtime) -> None:
    future = runtime.future()
    with pytest.raises(pykka.Timeout):
        future.get(timeout=0)
    future.set(3)
    assert future.get(timeout=0) == 3


def test_a_second_set_raises_full_and_changes_nothing(runtime: Runtime) -> None:
    future = runtime.future()
    future.set(1)
    with pytest.raises(queue.Full):
        future.set(2)
    with pytest.raises(queue.Full):
        future.set_exception((ValueError, ValueError("late"), None))
    assert future.get() == 1


def test_a_value_may_be_a_future(runtime: Runtime) -> None:
    inner, outer = runtime.future(), runtime.future()
    outer.set(inner)
    inner.set("inside")
    assert outer.get().get() == "inside"


def test_get_waits_for_another_thread_to_set(runtime: Runtime) -> None:
    future = runtime.future()
    waits = threading.Event()

    def set_it() -> None:
        assert waits.wait(REAL_PATIENCE_S)
        future.set("from a thread")

    setter = threading.Thread(target=set_it)
    setter.start()
    waits.set()
    assert future.get(timeout=REAL_PATIENCE_S) == "from a thread"
    setter.join()


def test_any_number_of_threads_may_wait_for_one_future(runtime: Runtime) -> None:
    future = runtime.future()
    told: queue.Queue[Any] = queue.Queue()
    waiters = [
        threading.Thread(target=lambda: told.put(future.get(timeout=REAL_PATIENCE_S)))
        for _ in range(4)
    ]
    for waiter in waiters:
        waiter.start()
    future.set("all")
    for waiter in waiters:
        waiter.join()
    assert [told.get() for _ in waiters] == ["all"] * 4


# --- exceptions ----------------------------------------------------------------------------------


def test_set_exception_takes_the_exception_being_handled(runtime: Runtime) -> None:
    future = runtime.future()
    set_by_handler(future)
    with pytest.raises(ValueError, match="foo"):
        future.get()


def test_set_exception_takes_what_sys_exc_info_gave(runtime: Runtime) -> None:
    future = runtime.future()
    error = KeyError("key")
    future.set_exception((KeyError, error, None))
    with pytest.raises(KeyError) as raised:
        future.get()
    assert raised.value is error


def test_set_exception_makes_the_exception_of_a_class_alone(runtime: Runtime) -> None:
    future = runtime.future()
    future.set_exception((KeyError, None, None))
    with pytest.raises(KeyError):
        future.get()


def test_get_raises_with_the_whole_traceback_of_where_it_was_raised(runtime: Runtime) -> None:
    future = runtime.future()

    def deep() -> None:
        raise NameError("foo")

    try:
        deep()
    except NameError:
        future.set_exception()
        frames = traceback.extract_tb(sys.exc_info()[2])
    with pytest.raises(NameError) as raised:
        future.get()
    names = [frame.name for frame in traceback.extract_tb(raised.tb)]
    assert names[-len(frames) :] == [frame.name for frame in frames]


def test_the_traceback_does_not_grow_with_each_get(runtime: Runtime) -> None:
    future = runtime.future()
    set_by_handler(future)
    lengths = []
    for _ in range(4):
        with pytest.raises(ValueError, match="foo") as raised:
            future.get()
        lengths.append(len(traceback.extract_tb(raised.tb)))
    assert len(set(lengths)) == 1


def test_the_exception_of_an_actor_comes_with_the_traceback_of_its_handler(
    runtime: Runtime,
) -> None:
    class Fails(pykka.Actor):
        def on_receive(self, message: Any) -> Any:
            return self.deep()

        def deep(self) -> Any:
            raise ValueError("deep down")

    future = runtime.start(Fails).ask("go", block=False)
    with pytest.raises(ValueError, match="deep down") as raised:
        future.get()
    names = [frame.name for frame in traceback.extract_tb(raised.tb)]
    assert names[-2:] == ["on_receive", "deep"]


# --- get hooks -----------------------------------------------------------------------------------


def test_a_get_hook_is_called_with_the_timeout_and_gives_the_value(runtime: Runtime) -> None:
    future = runtime.future()
    future.set_get_hook(lambda timeout: ("computed", timeout))
    assert future.get(timeout=1.5) == ("computed", 1.5)


def test_a_get_hook_is_called_once_even_if_it_gives_none(runtime: Runtime) -> None:
    hook = Calls(lambda _: None)
    future = runtime.future()
    future.set_get_hook(hook)
    assert [future.get(), future.get()] == [None, None]
    assert hook.count == 1


def test_a_get_hook_that_raised_is_called_again(runtime: Runtime) -> None:
    values = iter([None, "second"])

    def compute(_: float | None) -> Any:
        value = next(values)
        if value is None:
            raise LookupError
        return value

    hook = Calls(compute)
    future = runtime.future()
    future.set_get_hook(hook)
    with pytest.raises(LookupError):
        future.get()
    assert future.get() == "second"
    assert hook.count == 2


def test_a_future_with_a_get_hook_cannot_be_set(runtime: Runtime) -> None:
    future = runtime.future()
    future.set_get_hook(lambda _: "computed")
    with pytest.raises(queue.Full):
        future.set("value")
    with pytest.raises(queue.Full):
        future.set_exception((ValueError, ValueError(), None))
    assert future.get() == "computed"


def test_a_future_that_is_set_takes_no_get_hook(runtime: Runtime) -> None:
    future = runtime.future()
    future.set("value")
    with pytest.raises(queue.Full):
        future.set_get_hook(lambda _: "computed")
    assert future.get() == "value"


# --- await ---------------------------------------------------------------------------------------


def test_a_future_can_be_awaited_under_asyncio(runtime: Runtime) -> None:
    future = runtime.future()
    future.set(1)

    async def wait() -> Any:
        return await future

    assert asyncio.run(wait()) == 1


def test_await_raises_the_exception(runtime: Runtime) -> None:
    future = runtime.future()
    future.set_exception((LookupError, LookupError("lost"), None))

    async def wait() -> Any:
        return await future

    with pytest.raises(LookupError, match="lost"):
        asyncio.run(wait())


def test_a_future_supports_yield_from(runtime: Runtime) -> None:
    future = runtime.future()
    future.set(1)

    @types.coroutine
    def wait() -> Generator[Any, None, Any]:
        return (yield from future)

    async def main() -> Any:
        return await wait()

    assert asyncio.run(main()) == 1


def test_a_mapped_future_can_be_awaited_under_asyncio(runtime: Runtime) -> None:
    future = runtime.future()
    mapped = future.map(lambda x: x + 1)
    future.set(1)

    async def wait() -> Any:
        return await mapped

    assert asyncio.run(wait()) == 2


def test_a_future_can_be_awaited_more_than_once(runtime: Runtime) -> None:
    future = runtime.future()
    future.set(1)

    async def wait() -> Any:
        return [await future, await future]

    assert asyncio.run(wait()) == [1, 1]


def test_the_text_of_a_future_says_what_it_is(runtime: Runtime) -> None:
    assert "Future" in repr(runtime.future())
