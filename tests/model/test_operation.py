from __future__ import annotations

from typing import get_args

import pytest

from fifo.model.operation import FINAL, NEXT, Operation, OperationState

STATES = get_args(OperationState)
HAPPENINGS = sorted({pair[1] for pair in NEXT})


def operation(state: OperationState) -> Operation:
    return Operation(
        id="o", kind="create", target="t", principal="p", create_time=0.0, deadline=1.0, state=state
    )


def test_the_table_names_states_that_there_are() -> None:
    for (state, _), following in NEXT.items():
        assert state in STATES
        assert following in STATES


@pytest.mark.parametrize("state", STATES)
def test_a_state_is_final_exactly_if_nothing_follows_it(state: OperationState) -> None:
    assert (state in FINAL) is not any(pair[0] == state for pair in NEXT)
    assert operation(state).final is (state in FINAL)


def test_every_state_is_reached_from_the_first() -> None:
    reached = {"running"}
    for _ in STATES:
        reached |= {following for pair, following in NEXT.items() if pair[0] in reached}
    assert reached == set(STATES)


def test_each_happening_is_legal_in_one_state_and_so_means_one_thing() -> None:
    for happening in HAPPENINGS:
        assert len([pair for pair in NEXT if pair[1] == happening]) == 1


def test_what_failed_is_undone_before_it_is_final() -> None:
    for ending in FINAL - {"done"}:
        assert {pair[0] for pair, following in NEXT.items() if following == ending} == {"undoing"}
    assert {pair[0] for pair, following in NEXT.items() if following == "done"} == {"running"}
