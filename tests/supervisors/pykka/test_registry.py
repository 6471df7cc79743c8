"""Contract: ActorRegistry over actors that are in it: stock ones by themselves, ours by choice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pykka
import pytest
from pykka import ActorRegistry

from supervisors.pykka_registry import register
from tests.supervisors.pykka.runtime import ProcessRuntime

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.supervisors.pykka.runtime import Runtime


class First(pykka.Actor):
    def __init__(self, log: list[Any] | None = None) -> None:
        super().__init__()
        self.log = log if log is not None else []

    def on_start(self) -> None:
        self.on_list = ActorRegistry.get_by_urn(self.actor_urn) is not None

    def on_stop(self) -> None:
        self.log.append(("stopped", self.actor_urn))

    def on_receive(self, message: Any) -> Any:
        if message == "raise":
            raise ValueError("asked for")
        self.log.append((message, self.actor_urn))
        return self.on_list


class Second(First):
    pass


class Started:
    """Starts actors and sees to it that they are in Pykka's registry."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.log: list[Any] = []
        self.classes = {base: runtime.actor(base) for base in (First, Second)}

    def start(self, base: Any) -> Any:
        ref = self.classes[base].start(self.log)
        if isinstance(self.runtime, ProcessRuntime):
            register(ref)
        ref.ask("settle")
        return ref


@pytest.fixture
def started(runtime: Runtime) -> Iterator[Started]:
    assert ActorRegistry.get_all() == []
    yield Started(runtime)
    ActorRegistry.stop_all()
    assert ActorRegistry.get_all() == []


def test_an_actor_is_in_the_registry_until_it_is_stopped(started: Started) -> None:
    ref = started.start(First)
    assert ActorRegistry.get_all() == [ref]
    ref.stop()
    assert ActorRegistry.get_all() == []


def test_an_actor_that_crashed_is_taken_out(started: Started) -> None:
    ref = started.start(First)
    ref.tell("raise")
    started.runtime.end(ref)
    assert ActorRegistry.get_all() == []


def by_class(actor_class: Any) -> list[Any]:
    """Look a class up that is abstract as it is written here."""
    return ActorRegistry.get_by_class(actor_class)


def test_an_actor_is_found_by_class_superclass_name_and_urn(started: Started) -> None:
    first, second = started.start(First), started.start(Second)
    assert by_class(First) == [first, second]
    assert by_class(Second) == [second]
    assert by_class(pykka.Actor) == [first, second]
    assert ActorRegistry.get_by_class_name("Second") == [second]
    assert ActorRegistry.get_by_urn(first.actor_urn) == first
    assert ActorRegistry.get_by_urn("urn:uuid:nobody") is None


def test_a_broadcast_reaches_all_or_those_of_a_class(started: Started) -> None:
    first, second = started.start(First), started.start(Second)
    started.log.clear()
    ActorRegistry.broadcast("all")
    ActorRegistry.broadcast("class", target_class=started.classes[Second])
    ActorRegistry.broadcast("name", target_class="First")
    first.ask("settle")
    second.ask("settle")
    got = {urn: [message for message, to in started.log if to == urn] for _, urn in started.log}
    assert got == {
        first.actor_urn: ["all", "name", "settle"],
        second.actor_urn: ["all", "class", "settle"],
    }


def test_stop_all_stops_the_last_started_first(started: Started) -> None:
    refs = [started.start(First) for _ in range(3)]
    started.log.clear()
    assert ActorRegistry.stop_all() == [True, True, True]
    assert started.log == [("stopped", ref.actor_urn) for ref in reversed(refs)]


def test_stop_all_without_blocking_gives_futures(started: Started) -> None:
    refs = [started.start(First) for _ in range(3)]
    futures = ActorRegistry.stop_all(block=False)
    assert pykka.get_all(futures) == [True, True, True]
    assert not any(ref.is_alive() for ref in refs)


def test_an_actor_may_be_taken_out_more_than_once(started: Started) -> None:
    ref = started.start(First)
    ActorRegistry.unregister(ref)
    ActorRegistry.unregister(ref)
    assert ActorRegistry.get_all() == []
    ref.stop()
