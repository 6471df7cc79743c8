"""The shell's few commands."""

from __future__ import annotations

import pytest

from fifo.hypervisors.simulated.shell import Step, steps


@pytest.mark.parametrize(
    ("script", "written", "code"),
    [
        ("", [], 0),
        (";", [], 0),
        ("exit", [], 0),
        ("exit 300", [], 44),
        ("true; false", [], 1),
        ("false; true", [], 0),
        ("exit 3; echo never", [], 3),
        ("echo 'a  b' c", [(1, b"a  b c\n")], 0),
        ("echo a >&2", [(2, b"a\n")], 0),
        ("hostname", [(1, b"web\n")], 0),
        ("env", [(1, b"A=1\nB=2\n")], 0),
        ("sleep x", [(2, b"sleep: not found\n")], 127),
        ("nonsense", [(2, b"nonsense: not found\n")], 127),
        ("nonsense; true", [(2, b"nonsense: not found\n")], 0),
        ("echo 'open", [(2, b"sh: No closing quotation\n")], 2),
    ],
)
def test_a_script_is_taken_apart(script: str, written: list[tuple[int, bytes]], code: int) -> None:
    *before, last = steps(("sh", "-c", script), "web", {"B": "2", "A": "1"})
    assert [(step.stream, step.data) for step in before] == written
    assert last == Step("exit", number=code)


def test_a_command_may_wait_and_may_copy_its_input() -> None:
    found = steps(("sh", "-c", "sleep 1.5; cat"), "web", {})
    assert found == (Step("sleep", number=1.5), Step("copy"), Step("exit"))
