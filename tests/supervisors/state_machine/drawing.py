"""Programs at random, for hypothesis: small tables that postpone, insert and time out a lot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from tests.supervisors.state_machine.programs import CONTENTS, STATES

if TYPE_CHECKING:
    from tests.supervisors.state_machine.programs import Program

# Timeouts are multiples of 60 ms and passes ten more than that, so that under a real clock too no
# timeout falls due within ten milliseconds of the next step of the script.
AFTER_MS = {"timeout": 60, "state_timeout": 180, "x": 300, "y": 420}
PASSES_MS = (10, 70, 190)

contents = st.sampled_from(CONTENTS)
states = st.sampled_from(STATES)
timeouts = st.sampled_from(sorted(AFTER_MS))
event_types = st.sampled_from(["cast", "info", "internal", "timeout", "state_timeout", "x"])


@st.composite
def timeout_actions(draw: st.DrawFn) -> list[Any]:
    """Draw an action on a timeout; half of those that set one set it to zero."""
    timeout = draw(timeouts)
    match draw(st.integers(0, 5)):
        case 0:
            return ["cancel", timeout]
        case 1:
            return ["update", timeout, draw(contents)]
        case 2 | 3:
            return ["set", timeout, 0, draw(contents)]
        case _:
            return ["set", timeout, AFTER_MS[timeout], draw(contents)]


inserts = st.tuples(st.just("next"), event_types, contents).map(list)
actions = st.lists(
    st.one_of(st.just(["postpone"]), inserts, timeout_actions(), timeout_actions()), max_size=3
)


@st.composite
def reactions(draw: st.DrawFn) -> dict[str, Any]:
    """Draw what a machine does about one event."""
    reaction: dict[str, Any] = {"do": draw(actions)}
    match draw(st.integers(0, 9)):
        case 0 | 1 | 2:
            reaction["to"] = draw(states)
        case 3:
            reaction["repeat"] = True
        case 4:
            reaction["do"] = [["postpone"]]
        case _:
            pass
    return reaction


@st.composite
def entries(draw: st.DrawFn) -> dict[str, Any]:
    """Draw what a machine does when it enters a state: timeouts, at times once more."""
    reaction: dict[str, Any] = {"do": draw(st.lists(timeout_actions(), max_size=2))}
    if draw(st.integers(0, 5)) == 0:
        reaction["repeat"] = True
    return reaction


steps = st.one_of(
    st.tuples(st.just("cast"), st.lists(contents, min_size=1, max_size=4)).map(list),
    st.tuples(st.just("pass"), st.sampled_from(PASSES_MS)).map(list),
)


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Draw a machine and a script for it."""
    return {
        "enter": draw(st.booleans()),
        "first_state": draw(states),
        "first": draw(st.lists(st.one_of(inserts, timeout_actions()), max_size=2)),
        "on": {state: {content: draw(reactions()) for content in CONTENTS} for state in STATES},
        "entering": draw(st.dictionaries(states, entries(), max_size=2)),
        "script": draw(st.lists(steps, min_size=1, max_size=5)),
    }
