"""What gen_statem of OTP 25.2.3 did with these programs, step by step, is what is done here."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from tests.supervisors.state_machine.otp.oracle import CORPUS, run_many
from tests.supervisors.state_machine.runs import Core, Model, Real, machine_class, run

REST_MS = 200
"""Real time in which a program without timers comes to rest."""


@pytest.fixture(scope="module")
def corpus() -> list[dict[str, Any]]:
    recorded: list[dict[str, Any]] = json.loads(CORPUS.read_text(encoding="utf-8"))
    assert len(recorded) > 200
    return recorded


def test_the_core_takes_the_steps_that_otp_took(corpus: list[dict[str, Any]]) -> None:
    for entry in corpus:
        assert run(Core(entry["program"])) == entry["trace"], entry["program"]


def test_the_model_takes_the_steps_that_otp_took(corpus: list[dict[str, Any]]) -> None:
    for entry in corpus:
        assert run(Model(entry["program"])) == entry["trace"], entry["program"]


@pytest.mark.parametrize("state_functions", [True, False])
def test_a_machine_takes_the_steps_that_otp_took(
    corpus: list[dict[str, Any]], *, state_functions: bool
) -> None:
    for entry in corpus:
        program = entry["program"]
        real = Real(program, machine_class(program, state_functions=state_functions))
        assert run(real) == entry["trace"], program


def has_timers(value: Any) -> bool:
    """Tell whether a program, or a part of it, sets a timeout that takes time."""
    if isinstance(value, dict):
        return any(has_timers(part) for part in value.values())
    if isinstance(value, list):
        sets = len(value) == 4 and value[0] == "set" and value[2] != 0
        return sets or any(has_timers(part) for part in value)
    return False


@pytest.mark.skipif(shutil.which("erl") is None, reason="OTP is not installed (erlang-base)")
def test_the_recording_is_what_otp_does_today(corpus: list[dict[str, Any]]) -> None:
    # The ones without timers: those are certain also on a busy machine.
    some = [entry for entry in corpus if not has_timers(entry["program"])]
    assert len(some) > 10
    traces = run_many([entry["program"] for entry in some], REST_MS)
    assert traces == [entry["trace"] for entry in some]
