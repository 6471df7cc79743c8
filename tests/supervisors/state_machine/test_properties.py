"""Random machines: the pure core, a plain model of the rules and a real process agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings

from tests.supervisors.state_machine.drawing import programs
from tests.supervisors.state_machine.runs import Core, Model, Real, machine_class, run

if TYPE_CHECKING:
    from tests.supervisors.state_machine.programs import Program


@settings(max_examples=200, deadline=None)
@given(programs())
def test_the_core_handles_events_in_the_order_of_the_model(program: Program) -> None:
    assert run(Core(program)) == run(Model(program))


@pytest.mark.parametrize("state_functions", [True, False])
@settings(max_examples=60, deadline=None)
@given(program=programs())
def test_a_machine_handles_events_in_the_order_of_the_model(
    program: Program, *, state_functions: bool
) -> None:
    real = Real(program, machine_class(program, state_functions=state_functions))
    assert run(real) == run(Model(program))
    assert real.machine.is_alive()
