"""What gen_statem of OTP 25.2.3 did with 300 programs, step by step, is what is done here."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from tests.supervisors.state_machine.otp.oracle import CORPUS, run_many
from tests.supervisors.state_machine.runs import Core, Model, Real, machine_class, run

LIVE_PROGRAMS = 30


@pytest.fixture(scope="module")
def corpus() -> list[dict[str, Any]]:
    recorded: list[dict[str, Any]] = json.loads(CORPUS.read_text(encoding="utf-8"))
    assert len(recorded) > 300
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


@pytest.mark.skipif(shutil.which("erl") is None, reason="OTP is not installed (erlang-base)")
def test_the_recording_is_what_otp_does_today(corpus: list[dict[str, Any]]) -> None:
    # The ones with no real timer in them: those are certain also on a busy machine.
    timeless = [entry for entry in corpus if '0, "' not in json.dumps(entry["program"]["on"])]
    some = [*timeless, *corpus][:LIVE_PROGRAMS]
    assert run_many([entry["program"] for entry in some]) == [entry["trace"] for entry in some]
