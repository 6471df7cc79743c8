from __future__ import annotations

import itertools
from typing import get_args

import pytest

from fifo.model.errors import WrongState
from fifo.model.instance import State
from fifo.model.instance_states import HAPPENINGS, NEXT, REQUESTS, STATES, admit, after

END = "deleted"


def test_the_table_names_states_and_happenings_that_there_are() -> None:
    assert get_args(State) == STATES
    for (state, happening), following in NEXT.items():
        assert state in STATES
        assert happening in HAPPENINGS
        assert following in STATES


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("happening", HAPPENINGS)
def test_what_is_in_the_table_follows_and_what_is_not_is_refused(
    state: str, happening: str
) -> None:
    if (state, happening) in NEXT:
        assert after(state, happening) == NEXT[state, happening]
    else:
        with pytest.raises(WrongState, match=f"'{happening}' cannot happen in state '{state}'"):
            after(state, happening)


def test_every_state_is_reached_and_only_the_last_is_final() -> None:
    reached = {"provisioning"}
    while True:
        more = {NEXT[pair] for pair in NEXT if pair[0] in reached} - reached
        if not more:
            break
        reached |= more
    assert reached == set(STATES)
    assert {state for state in STATES if not any(pair[0] == state for pair in NEXT)} == {END}


def test_from_every_state_an_instance_can_be_deleted() -> None:
    for state in STATES:
        if state not in {"deleting", END}:
            assert after(state, "delete") == "deleting"


def test_the_end_is_reached_only_by_way_of_deleting() -> None:
    assert {pair[0] for pair, following in NEXT.items() if following == END} == {"deleting"}


def test_in_every_state_that_lives_the_host_can_be_read_anew() -> None:
    for state, what in itertools.product(STATES, ("running", "stopped", "absent")):
        if state != END:
            found = after(state, f"found_{what}")
            # The host is the truth, except of what is being taken away.
            if what == "running" and state != "deleting":
                assert found == "running"


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("verb", REQUESTS)
def test_a_request_is_admitted_needless_or_refused_with_the_state(verb: str, state: str) -> None:
    request = REQUESTS[verb]
    if state in request.done:
        assert admit(verb, state, "web-1") is False
    elif state in request.legal:
        assert admit(verb, state, "web-1") is True
    else:
        with pytest.raises(WrongState, match=f"web-1: cannot {verb} in state {state}") as caught:
            admit(verb, state, "web-1")
        assert caught.value.details == {"state": state, "verb": verb}


def test_requests_name_states_that_there_are_and_none_twice() -> None:
    for request in REQUESTS.values():
        assert request.legal | request.done <= set(STATES)
        assert not request.legal & request.done
        assert request.legal


def test_a_request_to_start_or_stop_is_legal_where_the_machine_can_follow_it() -> None:
    for verb in ("start", "stop", "delete"):
        for state in REQUESTS[verb].legal - {"deleting"}:
            assert (state, verb) in NEXT


def test_nothing_can_be_asked_of_what_is_gone() -> None:
    for verb in REQUESTS:
        with pytest.raises(WrongState):
            admit(verb, END, "web-1")


def test_a_refusal_says_what_helps_in_the_state_that_it_names() -> None:
    for verb, state, wanted in (
        ("reboot", "stopped", "start it first"),
        ("exec", "failed", "start it first"),
        ("console", "starting", "wait until it is one of: running"),
        ("snapshot", "stopping", "wait until it is one of: failed, running, stopped"),
        ("start", "deleting", "create another"),
    ):
        with pytest.raises(WrongState) as told:
            admit(verb, state, "web")
        assert told.value.remedy == wanted
