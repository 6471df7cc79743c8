"""Contract: proxies: attributes, methods, defer, traversable attributes, proxies to oneself."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import pykka
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from tests.supervisors.pykka.runtime import Runtime


class Inner:
    """An object behind a traversable attribute."""

    pykka_traversable = True

    def __init__(self, depth: int = 0) -> None:
        self.depth = depth
        if depth < 2:
            self.inner = Inner(depth + 1)

    def double(self, number: int) -> int:
        return 2 * number


class Plain:
    """An object behind an attribute that is not traversable."""

    value = "plain"


class Proxied(pykka.Actor):
    text = "text"
    plain = Plain()
    inner = Inner()
    marked = pykka.traversable(Plain())
    _private = "secret"

    def __init__(self, failed: threading.Event | None = None) -> None:
        super().__init__()
        self.number = 1
        self.failed = failed
        self._hidden = 2
        self._later = self.actor_ref.proxy()

    @property
    def read_only(self) -> str:
        return f"read {self.number}"

    @property
    def settable(self) -> int:
        return self._hidden

    @settable.setter
    def settable(self, value: int) -> None:
        if value < 0:
            raise ValueError("below zero")
        self._hidden = value

    @property
    def costly(self) -> Any:
        raise AssertionError("making a proxy must not read properties")

    def add(self, number: int, *, times: int = 1) -> int:
        self.number += number * times
        return self.number

    def fails(self) -> Any:
        raise LookupError("lost")

    def on_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self.failed is not None
        self.failed.set()

    def grow(self, name: str) -> None:
        setattr(self, name, lambda: f"grown {name}")

    def use_grown(self) -> Any:
        return self.actor_ref.proxy().leaf()

    def count_down(self, number: int, seen: list[int]) -> None:
        seen.append(number)
        if number:
            self._later.count_down(number - 1, seen)

    def on_receive(self, message: Any) -> Any:
        return ("received", message)


@pytest.fixture
def proxy(runtime: Runtime) -> Any:
    return runtime.start(Proxied).proxy()


# --- attributes ----------------------------------------------------------------------------------


def test_an_attribute_is_read_as_a_future(proxy: Any) -> None:
    assert isinstance(proxy.text, pykka.Future)
    assert proxy.text.get() == "text"
    assert proxy.number.get() == 1


def test_an_attribute_is_set_by_assignment(proxy: Any) -> None:
    proxy.text = "other"
    assert proxy.text.get() == "other"


def test_assignment_waits_until_the_attribute_is_set(runtime: Runtime) -> None:
    ref = runtime.start(Proxied)
    ref.proxy().number = 41
    assert ref.proxy().add(1).get() == 42


def test_a_new_attribute_can_be_set_and_read(proxy: Any) -> None:
    proxy.fresh = "fresh"
    assert proxy.fresh.get() == "fresh"


def test_a_property_is_read_and_set_in_the_actor(proxy: Any) -> None:
    assert proxy.read_only.get() == "read 1"
    proxy.settable = 5
    assert proxy.settable.get() == 5


def test_an_exception_of_a_setter_is_raised_by_the_assignment(proxy: Any) -> None:
    with pytest.raises(ValueError, match="below zero"):
        proxy.settable = -1
    assert proxy.settable.get() == 2


def test_a_read_only_property_cannot_be_set(proxy: Any) -> None:
    with pytest.raises(AttributeError):
        proxy.read_only = "x"


def test_a_property_is_not_read_when_a_proxy_is_made(proxy: Any) -> None:
    with pytest.raises(AssertionError):
        proxy.costly.get()
    assert proxy.text.get() == "text"


@pytest.mark.parametrize("name", ["missing", "_private", "_hidden", "_nothing"])
def test_an_unknown_or_private_attribute_raises_attribute_error(proxy: Any, name: str) -> None:
    with pytest.raises(AttributeError, match=f"has no attribute '{name}'"):
        getattr(proxy, name)


# --- methods -------------------------------------------------------------------------------------


def test_a_method_call_gives_a_future_of_its_result(proxy: Any) -> None:
    future = proxy.add(2, times=3)
    assert isinstance(future, pykka.Future)
    assert future.get() == 7


def test_calls_are_made_in_order_whether_or_not_their_results_are_wanted(proxy: Any) -> None:
    proxy.add(1)
    proxy.add.defer(10)
    assert proxy.add(100).get() == 112


def test_a_deferred_call_returns_nothing(proxy: Any) -> None:
    assert proxy.add.defer(1) is None
    assert proxy.number.get() == 2


def test_a_method_that_is_not_called_is_a_callable_proxy(proxy: Any) -> None:
    assert isinstance(proxy.add, pykka.CallableProxy)
    assert callable(proxy.add)


def test_an_exception_of_a_method_is_raised_by_its_future(proxy: Any) -> None:
    future = proxy.fails()
    with pytest.raises(LookupError, match="lost"):
        future.get()
    assert proxy.text.get() == "text"


def test_an_exception_whose_future_is_not_used_does_not_stop_the_actor(runtime: Runtime) -> None:
    ref = runtime.start(Proxied)
    proxy = ref.proxy()
    proxy.fails()
    assert proxy.text.get() == "text"
    assert ref.is_alive()


def test_an_exception_of_a_deferred_call_stops_the_actor_by_on_failure(runtime: Runtime) -> None:
    failed = threading.Event()
    ref = runtime.start(Proxied, failed)
    ref.proxy().fails.defer()
    runtime.settle(failed)
    ref.stop()
    assert not ref.is_alive()


@pytest.mark.parametrize("wrong", [{"unknown": 1}, {}])
def test_wrong_arguments_raise_type_error(proxy: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        proxy.add(**wrong).get()


def test_an_unknown_method_raises_attribute_error_before_it_is_called(proxy: Any) -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        proxy.nothing()
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        proxy.nothing.defer()


def test_a_method_that_was_added_later_can_be_called(proxy: Any) -> None:
    proxy.grow("leaf").get()
    assert proxy.leaf().get() == "grown leaf"


def test_an_actor_uses_a_method_that_was_added_later_by_a_proxy_to_itself(proxy: Any) -> None:
    proxy.grow("leaf")
    assert proxy.use_grown().get().get() == "grown leaf"


def test_the_hooks_and_on_receive_can_be_called_like_any_method(proxy: Any) -> None:
    assert proxy.on_receive("message").get() == ("received", "message")


def test_an_actor_is_stopped_by_its_proxy(runtime: Runtime) -> None:
    ref = runtime.start(Proxied)
    ref.proxy().stop().get()
    runtime.end(ref)


# --- proxies to oneself --------------------------------------------------------------------------


def test_a_proxy_to_oneself_puts_work_behind_what_waits_already(runtime: Runtime) -> None:
    ref = runtime.start(Proxied)
    seen: list[int] = []
    proxy = ref.proxy()
    proxy.count_down(3, seen).get()
    for _ in range(3):
        ref.ask("let the others go first")
    assert seen == [3, 2, 1, 0]


def test_a_public_proxy_to_oneself_is_left_out_with_a_warning(
    runtime: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    class Careless(pykka.Actor):
        def __init__(self) -> None:
            super().__init__()
            self.myself = self.actor_ref.proxy()

        def hello(self) -> str:
            return "hello"

    with caplog.at_level(logging.WARNING, "pykka"):
        proxy = runtime.start(Careless).proxy()
    assert "attribute 'myself' is a proxy to itself" in caplog.text
    assert "renaming it to '_myself'" in caplog.text
    assert proxy.hello().get() == "hello"
    with pytest.raises(AttributeError, match="has no attribute 'myself'"):
        _ = proxy.myself


# --- traversable ---------------------------------------------------------------------------------


def test_an_object_without_the_marker_is_handed_out_whole(proxy: Any) -> None:
    assert isinstance(proxy.plain.get(), Plain)
    with pytest.raises(AttributeError):
        _ = proxy.plain.value


def test_a_traversable_attribute_is_a_proxy(proxy: Any) -> None:
    assert isinstance(proxy.inner, pykka.ActorProxy)
    assert proxy.inner.depth.get() == 0
    assert proxy.inner.double(4).get() == 8


def test_traversable_attributes_nest(proxy: Any) -> None:
    assert proxy.inner.inner.inner.depth.get() == 2
    proxy.inner.inner.depth = 7
    assert proxy.inner.inner.depth.get() == 7
    proxy.inner.inner.depth = 1


def test_the_marker_function_makes_an_attribute_traversable(proxy: Any) -> None:
    assert proxy.marked.value.get() == "plain"


def test_an_object_with_slots_cannot_be_marked(runtime: Runtime) -> None:
    class Slotted:
        __slots__ = ()

    with pytest.raises(ValueError, match="slots"):
        pykka.traversable(Slotted())


# --- the proxy itself ----------------------------------------------------------------------------


def test_a_proxy_of_a_dead_actor_cannot_be_made(runtime: Runtime) -> None:
    ref = runtime.start(Proxied)
    ref.stop()
    with pytest.raises(pykka.ActorDeadError, match="not found"):
        ref.proxy()
    with pytest.raises(pykka.ActorDeadError, match="not found"):
        pykka.ActorProxy(actor_ref=ref)


USES: dict[str, Callable[[Any], Any]] = {
    "read": lambda proxy: proxy.text.get(),
    "call": lambda proxy: proxy.add(1).get(),
    "defer": lambda proxy: proxy.add.defer(1),
    "set": lambda proxy: setattr(proxy, "text", "x"),
}


@pytest.mark.parametrize("use", sorted(USES))
def test_a_proxy_whose_actor_died_raises_actor_dead_error(runtime: Runtime, use: str) -> None:
    ref = runtime.start(Proxied)
    proxy = ref.proxy()
    ref.stop()
    assert proxy.actor_ref == ref
    with pytest.raises(pykka.ActorDeadError):
        USES[use](proxy)


def test_proxies_are_equal_when_they_stand_for_the_same_thing(runtime: Runtime) -> None:
    ref, other = runtime.start(Proxied), runtime.start(Proxied)
    assert ref.proxy() == ref.proxy()
    assert hash(ref.proxy()) == hash(ref.proxy())
    assert ref.proxy() != other.proxy()
    assert ref.proxy() != ref.proxy().inner
    assert ref.proxy() != ref


def test_the_text_of_a_proxy_names_class_urn_and_path(runtime: Runtime) -> None:
    ref = runtime.start(Proxied)
    assert repr(ref.proxy()) == f"<ActorProxy for {ref}, attr_path=()>"
    assert str(ref.proxy().inner) == f"<ActorProxy for {ref}, attr_path=('inner',)>"


def test_dir_lists_what_the_actor_offers(proxy: Any) -> None:
    names = dir(proxy)
    assert {"text", "number", "add", "inner", "on_receive", "stop"} <= set(names)
    assert "_private" not in names
    assert {"__class__", "actor_ref", "_attr_path"} <= set(names)
