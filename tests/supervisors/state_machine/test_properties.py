"""Random machines: the pure core, a plain model of the rules and a real process agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings

from tests.supervisors.state_machine.drawing import programs
from tests.supervisors.state_machine.runs import Core, Model, Real, machine_class, run

if TYPE_CHECKING:
    from tests.supervisors.state_machine.programs import Program

_STAY: dict[str, Any] = {content: {"do": [], "to": "a"} for content in "0123"}
DUE_AT_ONE_TIME: Program = {
    "enter": False,
    "first_state": "a",
    "first": [],
    "on": {
        "a": _STAY
        | {"0": {"do": [["set", "state_timeout", 180, "0"]], "repeat": True}}
        | {"1": {"do": [["set", "x", 300, "1"]], "repeat": True}},
        "b": _STAY,
        "c": _STAY,
    },
    "entering": {},
    "script": [["cast", ["0", "1"]]],
}
"""Five of the one and three of the other end in the same millisecond."""


@settings(max_examples=200, deadline=None)
@given(programs())
@example(DUE_AT_ONE_TIME)
def test_the_core_handles_events_in_the_order_of_the_model(program: Program) -> None:
    assert run(Core(program)) == run(Model(program))


@pytest.mark.parametrize("state_functions", [True, False])
@settings(max_examples=60, deadline=None)
@given(program=programs())
@example(program=DUE_AT_ONE_TIME)
def test_a_machine_handles_events_in_the_order_of_the_model(
    program: Program, *, state_functions: bool
) -> None:
    real = Real(program, machine_class(program, state_functions=state_functions))
    assert run(real) == run(Model(program))
    assert real.machine.is_alive()
