"""The documentation of the state tables, drawn from the tables themselves: `docs/states.md`.

`tests/model/test_states_page.py` holds the file to what is drawn, and says how to write it anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fifo.model import instance_states, operation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HAPPENINGS: Final[Mapping[str, str]] = {
    "created": "its storage and configuration are there",
    "create_failed": "they could not be made",
    "start": "it is wanted up",
    "started": "its host says that it runs",
    "start_failed": "it could not be started",
    "stop": "it is wanted down",
    "ended": "it ended, and is to stay down",
    "back_off": "it ended, and is started again after a wait",
    "give_up": "it ended too often: a crash loop",
    "delete": "it is to go",
    "gone": "nothing is left of it on its host",
    "found_running": "reading the host anew: it runs",
    "found_stopped": "reading the host anew: it is there and down",
    "found_absent": "reading the host anew: it is not there, and had nothing to lose",
    "found_lost": "reading the host anew: it has been started, and its data is gone",
}
"""What each happening of an instance means."""
_NONE: Final = "-"


def page() -> str:
    """Draw the whole page, as Markdown."""
    return "\n".join((*_instance(), *_requests(), *_operation())) + "\n"


def _instance() -> Iterator[str]:
    yield "# States"
    yield ""
    yield "Drawn from the tables in `fifo/model`; a test holds this page to them."
    yield ""
    yield "## Instances"
    yield ""
    yield "`limbo` is no state: it is what the API calls an instance whose host is not heard of."
    yield ""
    yield "| what happens | meaning | from | to |"
    yield "|---|---|---|---|"
    for happening in instance_states.HAPPENINGS:
        for state, after in _transitions(instance_states.NEXT, happening):
            yield f"| `{happening}` | {HAPPENINGS[happening]} | {state} | {after} |"
    yield ""
    yield "Whatever is not in the table is illegal and refused, with the state in the message."
    yield ""


def _transitions(table: Mapping[tuple[str, str], str], happening: str) -> Iterator[tuple[str, str]]:
    """Give the states that each state a happening leads to is reached from."""
    by_target: dict[str, list[str]] = {}
    for (state, what), after in table.items():
        if what == happening:
            by_target.setdefault(after, []).append(state)
    for after, states in by_target.items():
        yield ", ".join(states), after


def _requests() -> Iterator[str]:
    yield "## Requests to instances"
    yield ""
    yield "| request | has something to do in | nothing to do in | refused in |"
    yield "|---|---|---|---|"
    for verb, request in instance_states.REQUESTS.items():
        states = instance_states.STATES
        legal = [state for state in states if state in request.legal]
        done = [state for state in states if state in request.done]
        refused = [state for state in states if state not in request.legal | request.done]
        columns = (", ".join(own) or _NONE for own in (legal, done, refused))
        yield f"| `{verb}` | {' | '.join(columns)} |"
    yield ""
    yield "`hurry` is a stop or a reboot by force while one is under way."
    yield ""


def _operation() -> Iterator[str]:
    yield "## Operations"
    yield ""
    yield "| what happens | from | to |"
    yield "|---|---|---|"
    for (state, happening), after in operation.NEXT.items():
        yield f"| `{happening}` | {state} | {after} |"
    yield ""
    yield f"Final: {', '.join(sorted(operation.FINAL))}."
