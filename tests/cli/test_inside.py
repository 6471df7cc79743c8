"""What is piped into a console: all of it is sent, and it is left when it has answered."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from fifo.cli import inside
from fifo.cli.inside import Input

if TYPE_CHECKING:
    from collections.abc import Iterator

SHORT_S = 0.05


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Have a pipe as standard input; gives its writing end, which the test closes."""
    reading, writing = os.pipe()
    with os.fdopen(reading) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield writing


def started(at_end: Any = None) -> Input:
    made = Input("open", bytes.decode, at_end, detaches=True)
    made.start()
    return made


def test_a_console_is_left_when_it_has_said_nothing_for_a_while(
    monkeypatch: pytest.MonkeyPatch, pipe: int
) -> None:
    monkeypatch.setattr(inside, "QUIET_S", SHORT_S)
    os.write(pipe, b"date\n")
    os.close(pipe)
    began_s = time.monotonic()
    assert list(started()) == ["open", "date\n"]
    assert time.monotonic() - began_s >= SHORT_S


def test_what_it_says_meanwhile_keeps_it_until_its_time_is_over(
    monkeypatch: pytest.MonkeyPatch, pipe: int
) -> None:
    monkeypatch.setattr(inside, "QUIET_S", SHORT_S)
    monkeypatch.setattr(inside, "ANSWER_MOST_S", 4 * SHORT_S)
    os.write(pipe, b"yes\n")
    os.close(pipe)
    typed, ended = started(), threading.Event()

    def speak() -> None:
        while not ended.wait(SHORT_S / 10):
            typed.heard()

    speaking = threading.Thread(target=speak)
    began_s = time.monotonic()
    speaking.start()
    try:
        assert list(typed) == ["open", "yes\n"]
    finally:
        ended.set()
        speaking.join()
    assert time.monotonic() - began_s >= 4 * SHORT_S


@pytest.mark.parametrize(("written", "at_end"), [(b"", None), (b"", "\x04"), (b"ls\n", "\x04")])
def test_who_types_nothing_leaves_at_once_and_a_shell_is_told_of_the_end_at_once(
    pipe: int, written: bytes, at_end: Any
) -> None:
    os.write(pipe, written)
    os.close(pipe)
    typed = started(at_end)
    sent = iter(typed)
    wanted = ["open", *([written.decode()] if written else []), *([at_end] if at_end else [])]
    began_s = time.monotonic()
    assert [next(sent) for _ in wanted] == wanted
    typed.close()
    assert list(sent) == []
    assert time.monotonic() - began_s < inside.QUIET_S


def test_a_console_that_ends_is_waited_for_no_longer(pipe: int) -> None:
    os.write(pipe, b"poweroff\n")
    os.close(pipe)
    typed = started()
    sent = iter(typed)
    assert [next(sent), next(sent)] == ["open", "poweroff\n"]
    began_s = time.monotonic()
    typed.close()
    assert list(sent) == []
    assert time.monotonic() - began_s < inside.QUIET_S
