from __future__ import annotations

from pathlib import Path

from fifo.model import instance_states, operation
from fifo.model.states_page import HAPPENINGS, page

PAGE = Path(__file__).parents[2] / "docs" / "states.md"
WRITE = "from fifo.model.states_page import page; open('docs/states.md', 'w').write(page())"


def test_the_page_is_what_the_tables_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), f'write it anew: python -c "{WRITE}"'


def test_the_page_tells_of_every_transition_and_every_request() -> None:
    lines = page().splitlines()
    for state, happening in instance_states.NEXT:
        found = [
            line.split("|")
            for line in lines
            if line.startswith(f"| `{happening}` | {HAPPENINGS[happening]}")
        ]
        told = [own[4].strip() for own in found if state in own[3].replace(",", " ").split()]
        assert told == [instance_states.NEXT[state, happening]]
    for verb in instance_states.REQUESTS:
        assert any(line.startswith(f"| `{verb}` |") for line in lines)
    for happening in {pair[1] for pair in operation.NEXT}:
        assert any(line.startswith(f"| `{happening}` |") for line in lines)


def test_every_happening_is_explained() -> None:
    assert set(HAPPENINGS) == set(instance_states.HAPPENINGS)
