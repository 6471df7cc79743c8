"""Who listens to a signal, and who has not got there yet."""

from __future__ import annotations

import os
import signal

import pytest

from fifo.hypervisors.linux import signals

STATUS = "Name:\tinit\nSigIgn:\t{ignored:016x}\nSigCgt:\t{caught:016x}\n"


@pytest.mark.parametrize(
    ("ignored", "caught", "wanted"),
    [(0, 0, False), (0, 1 << 14, True), (1 << 14, 0, True), (1 << 13, 1 << 15, False)],
)
def test_a_process_decides_by_a_handler_or_by_ignoring(
    ignored: int, caught: int, wanted: bool
) -> None:
    status = STATUS.format(ignored=ignored, caught=caught)
    assert signals.decided(status, signal.SIGTERM) is wanted


def test_the_runtimes_own_process_has_decided_nothing() -> None:
    status = STATUS.format(ignored=0, caught=2**64 - 1).replace("init", "runc:[2:INIT]")
    assert not signals.decided(status, signal.SIGTERM)


def test_who_is_gone_has_nothing_to_decide() -> None:
    assert signals.decided("", signal.SIGTERM)


async def test_the_wait_ends_with_the_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = iter([STATUS.format(ignored=0, caught=0)] * 2 + [STATUS.format(ignored=0, caught=2)])
    monkeypatch.setattr(signals, "_status", lambda _: next(texts))
    await signals.listened_to(os.getpid(), signal.SIGINT)
    with pytest.raises(StopIteration):
        next(texts)
