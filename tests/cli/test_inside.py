"""What is piped into a console: all of it is sent, and it is left when it has answered."""

from __future__ import annotations

import os
import pty
import subprocess
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
    before = set(threading.enumerate())
    with os.fdopen(reading) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield writing
        for reader in set(threading.enumerate()) - before:
            reader.join(10)


def started(at_end: Any = None) -> Input:
    made = Input("open", bytes.decode, at_end, detaches=True, insists=at_end is not None)
    made.start()
    return made


def test_who_has_ended_waits_for_nobody_to_take_what_was_typed() -> None:
    typed = Input("open", bytes.decode, None, detaches=True)
    for _ in range(inside.FRAMES - 1):
        typed.put("resize")
    typed.close()
    assert list(typed)[-1] == "resize"


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


CHILD = """
import os, tty
tty.setcbreak(0)
os.write(1, b"ready")
while os.read(0, 1) != b"\\x04":
    pass
"""
"""Ends as a shell with an editor of lines does: it has the terminal in a mode of its own."""


def test_a_shell_that_had_no_terminal_yet_when_it_was_told_of_the_end_is_told_again(
    monkeypatch: pytest.MonkeyPatch, pipe: int
) -> None:
    monkeypatch.setattr(inside, "END_AGAIN_S", SHORT_S)
    os.close(pipe)
    ours, its = pty.openpty()
    typed = started("\x04")
    sent = iter(typed)
    assert [next(sent), next(sent)] == ["open", "\x04"]
    os.write(ours, b"\x04")
    # The kernel drops what it was told when it changes the mode.
    shell = subprocess.Popen([sys.executable, "-c", CHILD], stdin=its, stdout=its)
    try:
        assert os.read(ours, 100).endswith(b"ready")
        os.write(ours, next(sent).encode())
        assert shell.wait(timeout=10) == 0
    finally:
        shell.kill()
        shell.wait()
        typed.close()
        os.close(ours)
        os.close(its)
    assert not typed.gave_up


def test_a_shell_that_does_not_end_is_left_when_it_has_been_silent_for_long(
    monkeypatch: pytest.MonkeyPatch, pipe: int
) -> None:
    monkeypatch.setattr(inside, "END_AGAIN_S", SHORT_S)
    monkeypatch.setattr(inside, "END_MOST_S", 10 * SHORT_S)
    os.write(pipe, b"set -o ignoreeof\n")
    os.close(pipe)
    typed = started("\x04")
    began_s = time.monotonic()
    opened, written, *ends = typed
    assert (opened, written, set(ends)) == ("open", "set -o ignoreeof\n", {"\x04"})
    assert 1 < len(ends) <= 11
    assert time.monotonic() - began_s >= 10 * SHORT_S
    assert typed.gave_up


def test_a_shell_that_still_says_something_is_not_left_but_told_no_more(
    monkeypatch: pytest.MonkeyPatch, pipe: int
) -> None:
    monkeypatch.setattr(inside, "END_AGAIN_S", SHORT_S)
    monkeypatch.setattr(inside, "END_MOST_S", 10 * SHORT_S)
    os.close(pipe)
    typed, ended = started("\x04"), threading.Event()

    def speak() -> None:
        until_s = time.monotonic() + 20 * SHORT_S
        while time.monotonic() < until_s and not ended.wait(SHORT_S / 10):
            typed.heard()

    speaking = threading.Thread(target=speak)
    began_s = time.monotonic()
    speaking.start()
    try:
        sent = list(typed)
    finally:
        ended.set()
        speaking.join()
    assert len(sent) <= 12
    assert time.monotonic() - began_s >= 30 * SHORT_S


def test_nothing_is_sent_again_while_the_network_has_not_taken_the_last(
    monkeypatch: pytest.MonkeyPatch, pipe: int
) -> None:
    monkeypatch.setattr(inside, "END_AGAIN_S", SHORT_S / 10)
    monkeypatch.setattr(inside, "END_MOST_S", 10 * SHORT_S)
    os.close(pipe)
    typed = started("\x04")
    typed._thread.join(10)
    assert typed.gave_up
    assert list(typed) == ["open", "\x04"]
