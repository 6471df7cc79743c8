"""Contract: on_start, on_receive, on_stop and on_failure: which of them run, and in which order."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

import pykka
import pytest

if TYPE_CHECKING:
    from types import TracebackType

    from tests.supervisors.pykka.runtime import Runtime


class Hooks(pykka.Actor):
    """Writes down which hook ran; `failing` names those that raise."""

    def __init__(self, log: list[Any], failing: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.log = log
        self.failing = failing
        self.ran("init")

    def ran(self, hook: str) -> None:
        self.log.append(hook)
        if hook in self.failing:
            raise RuntimeError(f"{hook} failed")

    def on_start(self) -> None:
        self.ran("on_start")

    def on_stop(self) -> None:
        self.ran("on_stop")

    def on_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.failure = (exception_type, exception_value, traceback)
        self.log.append((exception_type, str(exception_value)))
        self.ran("on_failure")

    def on_receive(self, message: Any) -> Any:
        self.ran(message)
        return message


def test_the_hooks_run_in_order_in_the_life_of_an_actor(runtime: Runtime) -> None:
    log: list[Any] = []
    ref = runtime.start(Hooks, log)
    ref.ask("first")
    ref.tell("second")
    ref.stop()
    assert log == ["init", "on_start", "first", "second", "on_stop"]


def test_start_hands_its_arguments_to_the_constructor(runtime: Runtime) -> None:
    log: list[Any] = []
    runtime.start(Hooks, log=log, failing=()).stop()
    assert log[0] == "init"


def test_the_constructor_runs_before_start_returns(runtime: Runtime) -> None:
    log: list[Any] = []
    runtime.start(Hooks, log)
    assert log[0] == "init"


def test_an_exception_in_the_constructor_is_raised_by_start(runtime: Runtime) -> None:
    log: list[Any] = []
    with pytest.raises(RuntimeError, match="init failed"):
        runtime.start(Hooks, log, ("init",))
    assert log == ["init"]


def test_an_exception_in_on_start_stops_the_actor_without_any_other_hook(
    runtime: Runtime,
) -> None:
    log: list[Any] = []
    ref = runtime.start(Hooks, log, ("on_start",))
    runtime.end(ref)
    assert not ref.is_alive()
    assert log == ["init", "on_start"]


def test_messages_to_an_actor_whose_on_start_failed_get_actor_dead_error(runtime: Runtime) -> None:
    ref = runtime.start(Hooks, [], ("on_start",))
    with pytest.raises(pykka.ActorDeadError):
        ref.ask("hello")


def test_an_actor_may_stop_itself_in_on_start(runtime: Runtime) -> None:
    log: list[Any] = []

    class StopsAtOnce(Hooks):
        def on_start(self) -> None:
            super().on_start()
            self.stop()

    ref = runtime.start(StopsAtOnce, log)
    runtime.end(ref)
    assert log == ["init", "on_start", "on_stop"]


def test_an_exception_nobody_asked_for_calls_on_failure_and_not_on_stop(runtime: Runtime) -> None:
    log: list[Any] = []
    ref = runtime.start(Hooks, log, ("bad",))
    ref.tell("bad")
    runtime.end(ref)
    with pytest.raises(pykka.ActorDeadError):
        ref.ask("hello")
    assert log == ["init", "on_start", "bad", (RuntimeError, "bad failed"), "on_failure"]


def test_an_exception_that_went_to_the_asker_calls_no_hook(runtime: Runtime) -> None:
    log: list[Any] = []
    ref = runtime.start(Hooks, log, ("bad",))
    with pytest.raises(RuntimeError, match="bad failed"):
        ref.ask("bad")
    ref.stop()
    assert log == ["init", "on_start", "bad", "on_stop"]


def test_on_failure_gets_what_sys_exc_info_gives(runtime: Runtime) -> None:
    told: list[Any] = []

    class Tells(Hooks):
        def on_failure(
            self,
            exception_type: type[BaseException] | None,
            exception_value: BaseException | None,
            traceback: TracebackType | None,
        ) -> None:
            told.append((exception_type, exception_value, traceback))

    ref = runtime.start(Tells, [], ("bad",))
    ref.tell("bad")
    runtime.end(ref)
    ((kind, value, trace),) = told
    assert kind is RuntimeError
    assert str(value) == "bad failed"
    assert [frame.name for frame in traceback.extract_tb(trace)][-2:] == ["on_receive", "ran"]


def test_an_exception_in_on_stop_still_stops_the_actor(runtime: Runtime) -> None:
    log: list[Any] = []
    ref = runtime.start(Hooks, log, ("on_stop",))
    assert ref.stop() is True
    assert not ref.is_alive()
    assert log == ["init", "on_start", "on_stop"]


def test_an_exception_in_on_failure_still_stops_the_actor(runtime: Runtime) -> None:
    log: list[Any] = []
    ref = runtime.start(Hooks, log, ("bad", "on_failure"))
    ref.tell("bad")
    runtime.end(ref)
    assert not ref.is_alive()
    assert log[-1] == "on_failure"


def test_messages_waiting_behind_a_failure_get_actor_dead_error(runtime: Runtime) -> None:
    class AsksFirst(Hooks):
        def on_receive(self, message: Any) -> Any:
            if message == "go":
                self.actor_ref.tell("bad")
                return self.actor_ref.ask("later", block=False)
            return super().on_receive(message)

    log: list[Any] = []
    later = runtime.start(AsksFirst, log, ("bad",)).ask("go")
    with pytest.raises(pykka.ActorDeadError, match="stopped before handling the message"):
        later.get()
    assert "later" not in log


def test_the_default_on_receive_answers_none(runtime: Runtime) -> None:
    class Silent(pykka.Actor):
        pass

    assert runtime.start(Silent).ask("anything") is None


def test_an_actor_started_in_a_handler_of_another_one_runs(runtime: Runtime) -> None:
    log: list[Any] = []

    class Starts(pykka.Actor):
        def on_receive(self, message: Any) -> Any:
            return runtime.start(Hooks, log)

    child = runtime.start(Starts).ask("start one")
    assert child.ask("hello") == "hello"
    assert log == ["init", "on_start", "hello"]
