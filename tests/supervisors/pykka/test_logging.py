"""Contract: what is logged at which level; stock Pykka says it as "pykka", we as "supervisors".

The levels are Pykka's. The logger is ours, since the rest of what we log has nothing to do with
Pykka; what Pykka's own code says (its registry, its proxies) still comes from "pykka".
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pykka
import pytest

from tests.supervisors.pykka.runtime import ProcessRuntime

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.supervisors.pykka.runtime import Runtime


class Fails(pykka.Actor):
    def __init__(self, failing: str = "") -> None:
        super().__init__()
        self.failing = failing

    def fail_if(self, hook: str) -> None:
        if hook == self.failing:
            raise RuntimeError(f"{hook} failed")

    def on_start(self) -> None:
        self.fail_if("on_start")

    def on_stop(self) -> None:
        self.fail_if("on_stop")

    def on_failure(self, *exc_info: Any) -> None:
        self.fail_if("on_failure")

    def on_receive(self, message: Any) -> Any:
        if message == "raise":
            raise ValueError("foo")
        return super().on_receive(message)

    def method(self) -> Any:
        raise ValueError("foo")


@pytest.fixture
def records(runtime: Runtime, caplog: pytest.LogCaptureFixture) -> Iterator[Any]:
    """Give a function that lists what the runtime's own logger said at a level and above."""
    if isinstance(runtime, ProcessRuntime):
        runtime.world.node.reports._log = True

    def said(level: int) -> list[logging.LogRecord]:
        return [
            record
            for record in caplog.records
            if record.name == runtime.logger and record.levelno >= level
        ]

    with caplog.at_level(logging.DEBUG, runtime.logger):
        yield said


def test_a_message_nobody_handles_is_a_warning(runtime: Runtime, records: Any) -> None:
    ref = runtime.start(Fails)
    ref.ask({"unhandled": "message"})
    (record,) = records(logging.WARNING)
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        f"Unexpected message received by {ref}: {{'unhandled': 'message'}}"
    )


@pytest.mark.parametrize("ask", ["message", "method"])
def test_an_exception_that_went_to_the_asker_is_info(
    runtime: Runtime, records: Any, ask: str
) -> None:
    ref = runtime.start(Fails)
    future = ref.ask("raise", block=False) if ask == "message" else ref.proxy().method()
    with pytest.raises(ValueError, match="foo"):
        future.get()
    ref.stop()
    (record,) = records(logging.INFO)
    assert record.levelno == logging.INFO
    assert record.getMessage() == f"Exception returned from {ref} to caller:"
    assert record.exc_info[0] is ValueError
    assert str(record.exc_info[1]) == "foo"


def test_an_exception_nobody_asked_for_is_an_error(runtime: Runtime, records: Any) -> None:
    ref = runtime.start(Fails)
    ref.tell("raise")
    runtime.end(ref)
    (record,) = records(logging.INFO)
    assert record.levelno == logging.ERROR


@pytest.mark.parametrize("hook", ["on_start", "on_stop"])
def test_an_exception_in_a_hook_is_an_error(runtime: Runtime, records: Any, hook: str) -> None:
    ref = runtime.start(Fails, hook)
    if hook == "on_stop":
        ref.stop()
    runtime.end(ref)
    (record,) = records(logging.INFO)
    assert record.levelno == logging.ERROR


def test_an_exception_in_on_failure_is_a_second_error(runtime: Runtime, records: Any) -> None:
    ref = runtime.start(Fails, "on_failure")
    ref.tell("raise")
    runtime.end(ref)
    errors = records(logging.INFO)
    assert [record.levelno for record in errors] == [logging.ERROR] * 2


def test_starting_and_stopping_is_said_at_debug(runtime: Runtime, records: Any) -> None:
    ref = runtime.start(Fails)
    ref.stop()
    said = [record.getMessage() for record in records(logging.DEBUG)]
    assert f"Starting {ref}" in said
    assert any(text.startswith("Stop") and str(ref) in text for text in said)
    assert all(record.levelno == logging.DEBUG for record in records(logging.DEBUG))


def test_an_actor_that_does_its_work_says_nothing_above_debug(
    runtime: Runtime, records: Any
) -> None:
    class Quiet(pykka.Actor):
        def on_receive(self, message: Any) -> Any:
            return message

    ref = runtime.start(Quiet)
    assert ref.ask(1) == 1
    ref.tell(2)
    ref.stop()
    assert records(logging.INFO) == []
