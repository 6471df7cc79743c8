"""Contract: tell, ask, stop and what a ref says of its actor, on stock Pykka and on processes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pykka
import pytest

if TYPE_CHECKING:
    from tests.supervisors.pykka.runtime import Runtime


class Echo(pykka.Actor):
    def __init__(self, log: list[Any] | None = None) -> None:
        super().__init__()
        self.log = log if log is not None else []

    def on_receive(self, message: Any) -> Any:
        self.log.append(message)
        match message:
            case "nothing":
                return None
            case "raise":
                raise ValueError("asked for")
            case "ask myself":
                return self.actor_ref.ask("by myself", block=False)
            case "stop me, then ask":
                return (
                    self.actor_ref.ask("before", block=False),
                    self.actor_ref.stop(block=False),
                    self.actor_ref.ask("after", block=False),
                    self.actor_ref.stop(block=False),
                )
            case "stop twice":
                self.stop()
                self.stop()
                return "stopping"
            case "tell myself, then stop":
                self.actor_ref.tell("told before the stop")
                self.stop()
                return "stopping"
            case _:
                return ("echo", message)


def test_an_ask_blocks_until_the_handler_has_returned_its_answer(runtime: Runtime) -> None:
    ref = runtime.start(Echo)
    assert ref.ask("hello") == ("echo", "hello")


def test_an_ask_that_does_not_block_gives_a_future(runtime: Runtime) -> None:
    ref = runtime.start(Echo)
    future = ref.ask("hello", block=False)
    assert isinstance(future, pykka.Future)
    assert future.get() == ("echo", "hello")


def test_returning_nothing_answers_none(runtime: Runtime) -> None:
    assert runtime.start(Echo).ask("nothing") is None


def test_an_ask_with_a_timeout_raises_timeout_when_it_runs_out(runtime: Runtime) -> None:
    started = threading.Event()

    class Waits(pykka.Actor):
        def on_receive(self, message: Any) -> Any:
            # Answers with a future of its own that nobody has set: get() of that one times out.
            started.set()
            return runtime.future()

    ref = runtime.start(Waits)
    with pytest.raises(pykka.Timeout):
        ref.ask("hello").get(timeout=0)
    assert started.is_set()


def test_an_exception_comes_back_to_who_asked_and_the_actor_lives_on(runtime: Runtime) -> None:
    ref = runtime.start(Echo)
    with pytest.raises(ValueError, match="asked for"):
        ref.ask("raise")
    assert ref.is_alive()
    assert ref.ask("hello") == ("echo", "hello")


def test_an_exception_that_nobody_asked_for_stops_the_actor(runtime: Runtime) -> None:
    ref = runtime.start(Echo)
    ref.tell("raise")
    with pytest.raises(pykka.ActorDeadError):
        ref.ask("hello")
    assert not ref.is_alive()


@pytest.mark.parametrize("message", ["text", 7, None, ("a", 1), {"a": 1}, [1], object(), print])
def test_any_object_can_be_a_message(runtime: Runtime, message: Any) -> None:
    log: list[Any] = []
    ref = runtime.start(Echo, log)
    ref.tell(message)
    ref.ask("nothing")
    assert log[0] is message


def test_messages_of_one_sender_are_handled_in_the_order_they_were_sent(runtime: Runtime) -> None:
    log: list[Any] = []
    ref = runtime.start(Echo, log)
    for number in range(200):
        ref.tell(number)
    ref.ask("nothing")
    assert log == [*range(200), "nothing"]


def test_an_actor_may_ask_itself_and_hand_the_future_out(runtime: Runtime) -> None:
    inner = runtime.start(Echo).ask("ask myself")
    assert inner.get() == ("echo", "by myself")


def test_stop_returns_true_once_the_actor_has_stopped(runtime: Runtime) -> None:
    ref = runtime.start(Echo)
    assert ref.is_alive()
    assert ref.stop() is True
    assert not ref.is_alive()


def test_stop_without_blocking_gives_a_future_of_the_same(runtime: Runtime) -> None:
    ref = runtime.start(Echo)
    assert ref.stop(block=False).get() is True
    assert not ref.is_alive()


def test_stop_of_an_actor_that_is_dead_returns_false(runtime: Runtime) -> None:
    ref = runtime.start(Echo)
    ref.stop()
    assert ref.stop() is False
    assert ref.stop(block=False).get() is False


def test_messages_before_the_stop_are_handled_and_later_ones_get_actor_dead_error(
    runtime: Runtime,
) -> None:
    log: list[Any] = []
    ref = runtime.start(Echo, log)
    before, stopped, after, stopped_again = ref.ask("stop me, then ask")
    assert before.get() == ("echo", "before")
    assert stopped.get() is True
    with pytest.raises(pykka.ActorDeadError, match="stopped before handling the message"):
        after.get()
    assert stopped_again.get() is True
    assert log == ["stop me, then ask", "before"]


def test_an_actor_may_stop_itself_more_than_once(runtime: Runtime) -> None:
    ref = runtime.start(Echo)
    assert ref.ask("stop twice") == "stopping"
    ref.stop()
    assert not ref.is_alive()


def test_an_actor_that_stops_itself_handles_its_mailbox_first(runtime: Runtime) -> None:
    log: list[Any] = []
    ref = runtime.start(Echo, log)
    ref.ask("tell myself, then stop")
    runtime.end(ref)
    assert log == ["tell myself, then stop", "told before the stop"]


def test_telling_a_dead_actor_raises_actor_dead_error(runtime: Runtime) -> None:
    ref = runtime.start(Echo)
    ref.stop()
    with pytest.raises(pykka.ActorDeadError, match="not found"):
        ref.tell("hello")


def test_asking_a_dead_actor_raises_actor_dead_error(runtime: Runtime) -> None:
    ref = runtime.start(Echo)
    ref.stop()
    with pytest.raises(pykka.ActorDeadError, match="not found"):
        ref.ask("hello")


def test_asking_a_dead_actor_without_blocking_fails_the_future(runtime: Runtime) -> None:
    ref = runtime.start(Echo)
    ref.stop()
    future = ref.ask("hello", block=False)
    with pytest.raises(pykka.ActorDeadError, match="not found"):
        future.get()


def test_a_stopped_class_starts_again_only_as_a_new_actor(runtime: Runtime) -> None:
    actor_class = runtime.actor(Echo)
    first = actor_class.start()
    first.stop()
    second = actor_class.start()
    assert second.ask("hello") == ("echo", "hello")
    assert not first.is_alive()
    assert first.actor_urn != second.actor_urn


def test_actor_stopped_tells_whether_the_actor_has_stopped_and_waits_for_it(
    runtime: Runtime,
) -> None:
    ref = runtime.start(Echo)
    assert ref.actor_stopped.is_set() is False
    assert ref.actor_stopped.wait(timeout=0) is False
    ref.stop(block=False)
    assert ref.actor_stopped.wait(timeout=5) is True
    assert ref.actor_stopped.is_set() is True
    assert ref.actor_stopped.wait() is True


def test_a_ref_knows_the_class_and_the_urn_of_its_actor(runtime: Runtime) -> None:
    actor_class = runtime.actor(Echo)
    ref = actor_class.start()
    assert ref.actor_class is actor_class
    assert ref.actor_urn.startswith("urn:")


def test_each_actor_has_a_urn_of_its_own(runtime: Runtime) -> None:
    urns = {runtime.start(Echo).actor_urn for _ in range(10)}
    assert len(urns) == 10


def test_the_actor_and_its_ref_agree_on_urn_inbox_and_stopped(runtime: Runtime) -> None:
    class Shows(pykka.Actor):
        def on_receive(self, message: Any) -> Any:
            return self.actor_urn, self.actor_ref, self.actor_stopped.is_set()

    ref = runtime.start(Shows)
    urn, own_ref, stopped = ref.ask("show")
    assert urn == ref.actor_urn
    assert own_ref.actor_urn == ref.actor_urn
    assert stopped is False
    assert ref.actor_inbox.empty() is True


def test_the_text_of_a_ref_names_class_and_urn(runtime: Runtime) -> None:
    ref = runtime.start(Echo)
    assert str(ref) == f"Echo ({ref.actor_urn})"
    assert repr(ref).startswith("<")
    assert "Ref" in repr(ref)
    assert "Echo" in repr(ref)
    assert ref.actor_urn in repr(ref)
    assert repr(ref).endswith(">")


def test_the_text_of_an_actor_is_that_of_its_ref(runtime: Runtime) -> None:
    class Text(pykka.Actor):
        def on_receive(self, message: Any) -> str:
            return str(self)

    ref = runtime.start(Text)
    assert ref.ask("text") == str(ref)


def test_processes_are_pykka_actors_and_their_refs_actor_refs(runtime: Runtime) -> None:
    class Is(pykka.Actor):
        def on_receive(self, message: Any) -> bool:
            return isinstance(self, pykka.Actor)

    ref = runtime.start(Is)
    assert isinstance(ref, pykka.ActorRef)
    assert ref.ask("are you?") is True
    assert issubclass(ref.actor_class, pykka.Actor)
