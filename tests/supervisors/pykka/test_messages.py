"""Contract: Pykka's own messages sent directly, without a proxy, by ask and by tell."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pykka
import pytest
from pykka.messages import ProxyCall, ProxyGetAttr, ProxySetAttr

if TYPE_CHECKING:
    from types import TracebackType

    from tests.supervisors.pykka.runtime import Runtime


class Part:
    """What an attribute path leads to; no marker is needed for messages sent by hand."""

    def __init__(self) -> None:
        self.size = 1

    def grow(self, by: int = 1) -> int:
        self.size += by
        return self.size


class Machine(pykka.Actor):
    def __init__(self, failed: threading.Event | None = None) -> None:
        super().__init__()
        self.part = Part()
        self.name = "machine"
        self.failed = failed

    def greet(self, greeting: str, *, mark: str = ".") -> str:
        return f"{greeting}, {self.name}{mark}"

    def on_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self.failed is not None
        self.failed.set()


def call(*path: str, args: tuple[Any, ...] = (), **kwargs: Any) -> ProxyCall:
    return ProxyCall(attr_path=path, args=args, kwargs=kwargs)


def test_a_proxy_call_that_is_asked_gives_the_result(runtime: Runtime) -> None:
    ref = runtime.start(Machine)
    assert ref.ask(call("greet", args=("hello",), mark="!")) == "hello, machine!"


def test_a_proxy_call_that_is_told_runs_without_a_future(runtime: Runtime) -> None:
    ref = runtime.start(Machine)
    ref.tell(call("part", "grow", args=(4,)))
    assert ref.ask(ProxyGetAttr(attr_path=("part", "size"))) == 5


def test_a_path_leads_into_the_attributes_of_attributes(runtime: Runtime) -> None:
    ref = runtime.start(Machine)
    assert ref.ask(call("part", "grow")) == 2
    ref.ask(ProxySetAttr(attr_path=("part", "size"), value=9))
    assert ref.ask(ProxyGetAttr(attr_path=("part", "size"))) == 9


def test_an_attribute_is_read_and_set(runtime: Runtime) -> None:
    ref = runtime.start(Machine)
    assert ref.ask(ProxyGetAttr(attr_path=("name",))) == "machine"
    assert ref.ask(ProxySetAttr(attr_path=("name",), value="other")) is None
    assert ref.ask(ProxyGetAttr(attr_path=("name",))) == "other"


def test_an_attribute_that_is_told_to_be_set_is_set(runtime: Runtime) -> None:
    ref = runtime.start(Machine)
    ref.tell(ProxySetAttr(attr_path=("name",), value="told"))
    assert ref.ask(ProxyGetAttr(attr_path=("name",))) == "told"


def test_an_unknown_path_raises_attribute_error_to_the_asker(runtime: Runtime) -> None:
    ref = runtime.start(Machine)
    with pytest.raises(AttributeError):
        ref.ask(call("nothing"))
    with pytest.raises(AttributeError):
        ref.ask(ProxyGetAttr(attr_path=("part", "nothing")))
    assert ref.is_alive()


def test_an_unknown_path_that_was_told_stops_the_actor_by_on_failure(runtime: Runtime) -> None:
    failed = threading.Event()
    ref = runtime.start(Machine, failed)
    ref.tell(call("nothing"))
    runtime.settle(failed)
    ref.stop()
    assert not ref.is_alive()


def test_messages_by_hand_take_their_place_in_the_order(runtime: Runtime) -> None:
    ref = runtime.start(Machine)
    futures = [ref.ask(call("part", "grow"), block=False) for _ in range(20)]
    assert [future.get() for future in futures] == list(range(2, 22))


def test_messages_by_hand_to_a_dead_actor_fail(runtime: Runtime) -> None:
    ref = runtime.start(Machine)
    ref.stop()
    with pytest.raises(pykka.ActorDeadError):
        ref.ask(call("greet", args=("hello",)))
    with pytest.raises(pykka.ActorDeadError):
        ref.tell(call("greet", args=("hello",)))


def test_messages_are_values(runtime: Runtime) -> None:
    assert call("greet") == ProxyCall(attr_path=("greet",), args=(), kwargs={})
    assert ProxyGetAttr(("a",)).attr_path == ("a",)
    assert ProxySetAttr(("a",), 1).value == 1
