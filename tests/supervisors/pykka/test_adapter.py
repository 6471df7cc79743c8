"""What the adapter takes for granted of Pykka's private names: a new Pykka that differs fails here.

Only `supervisors/_pykka.py` may use these names; pyproject.toml pins Pykka to `>=4.5,<5`.
"""

from __future__ import annotations

import importlib.metadata
import inspect
from typing import Any

import pykka
import pytest
from pykka import messages
from pykka._envelope import Envelope

from supervisors import _pykka


class Plain(pykka.ThreadingActor):
    def __init__(self) -> None:
        super().__init__()
        self.value = 1

    def method(self, number: int) -> int:
        return number + self.value

    def on_receive(self, message: Any) -> Any:
        return ("received", message)


@pytest.fixture
def actor() -> Plain:
    """An actor that is not running; its parts are what is looked at."""
    return Plain()


def test_pykka_is_of_the_pinned_range() -> None:
    major, minor = importlib.metadata.version("pykka").split(".")[:2]
    assert (int(major), int(minor)) >= (4, 5)
    assert int(major) == 4


def test_stop_tells_the_stop_message_and_nothing_else(actor: Plain) -> None:
    actor.stop()
    assert actor.actor_inbox.get().message.__class__ is _pykka.ActorStop


def test_stop_of_a_ref_asks_the_stop_message(actor: Plain) -> None:
    actor.actor_ref.stop(block=False)
    envelope = actor.actor_inbox.get()
    assert envelope.message.__class__ is _pykka.ActorStop
    assert envelope.reply_to is not None


def test_the_actors_own_receive_serves_proxy_messages(actor: Plain) -> None:
    serve = actor._handle_receive
    assert serve(messages.ProxyCall(("method",), (2,), {})) == 3
    assert serve(messages.ProxyGetAttr(("value",))) == 1
    serve(messages.ProxySetAttr(("value",), 5))
    assert actor.value == 5
    assert serve("message") == ("received", "message")


def test_these_are_all_messages_pykka_sends() -> None:
    defined = {
        value
        for value in vars(messages).values()
        if inspect.isclass(value) and issubclass(value, tuple)
    } - {messages.NamedTuple}  # type: ignore[attr-defined]  # Imported there, not exported.
    assert defined == _pykka.PYKKA_MESSAGES


def test_a_proxy_finds_its_actor_by_calling_the_weakref_of_the_ref(actor: Plain) -> None:
    class Ref(pykka.ActorRef[Plain]):
        def __init__(self) -> None:
            self.called = 0

        def is_alive(self) -> bool:
            return True

        def _actor_weakref(self) -> Any:  # type: ignore[override]  # A method will do.
            self.called += 1
            return actor

    ref = Ref()
    assert isinstance(pykka.ActorProxy(actor_ref=ref), pykka.ActorProxy)
    assert ref.called == 1


def test_an_actor_gives_its_ref_by_the_private_attribute(actor: Plain) -> None:
    assert actor.actor_ref is actor._actor_ref


def test_a_get_hook_is_kept_where_the_adapter_looks_for_it() -> None:
    future = pykka.ThreadingFuture[int]()
    assert future._get_hook is None

    def hook(timeout: float | None) -> int:
        return 3

    pykka.Future.set_get_hook(future, hook)
    assert future._get_hook is hook


def test_an_envelope_is_a_message_with_a_future() -> None:
    future = pykka.ThreadingFuture[Any]()
    envelope = Envelope("message", reply_to=future)
    assert (envelope.message, envelope.reply_to) == ("message", future)
    assert Envelope("message").reply_to is None


def test_what_an_actor_must_implement_is_what_the_adapter_implements() -> None:
    assert pykka.Actor.__abstractmethods__ == {
        "_create_actor_inbox",
        "_create_future",
        "_start_actor_loop",
    }
    assert not _pykka.LeanActor.__abstractmethods__


def test_the_attributes_of_a_stock_ref_are_those_the_lean_one_computes(actor: Plain) -> None:
    stock = vars(actor.actor_ref)
    assert set(stock) == {
        "_actor_weakref",
        "actor_class",
        "actor_urn",
        "actor_inbox",
        "actor_stopped",
    }
    assert all(hasattr(_pykka.LeanRef, name) for name in stock)
