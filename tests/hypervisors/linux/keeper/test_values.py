from __future__ import annotations

import re
from pathlib import Path

import pytest

import fifo.hypervisors.linux.keeper
from fifo.hypervisors.linux import keeper_values
from fifo.hypervisors.linux.keeper import operations
from fifo.hypervisors.linux.keeper_values import error_of
from fifo.model.errors import DriverFailed, WrongState

PACKAGE = Path(fifo.hypervisors.linux.keeper.__file__).parent
# Faults of whoever asks, for which there is nothing better to do than to say so.
MISTAKES = {"bad_request", "internal", "malformed", "not_greeted", "not_started"} | {
    "unknown_operation"
}


def codes() -> set[str]:
    """Give the codes that the keeper's sources refuse with."""
    text = "".join(path.read_text(encoding="utf-8") for path in PACKAGE.glob("*.py"))
    found = re.findall(r'Refusal\(\s*(?:# .*\s*)?"(\w+)"', text)
    return set(found) | set(re.findall(r'refuse\(\s*[\w.("]*[\w")]*,\s*"(\w+)"', text))


def test_every_code_of_the_keeper_is_an_error_or_a_mistake_of_the_driver() -> None:
    assert codes() == keeper_values.ERRORS.keys() | MISTAKES


def test_the_documentation_lists_every_operation_and_every_code() -> None:
    text = fifo.hypervisors.linux.keeper.__doc__ or ""
    missing = {name for name in operations.OPERATIONS if name not in text}
    missing |= {code for code in codes() if code not in text}
    assert missing == set()


@pytest.mark.parametrize(
    ("message", "what", "remedy"),
    [
        ("it runs; stop it", "it runs", "stop it"),
        ("one; two; three", "one; two", "three"),
        ("alone", "alone", ""),
    ],
)
def test_a_refusal_becomes_an_error_with_what_happened_and_what_to_do(
    message: str, what: str, remedy: str
) -> None:
    error = error_of("here", {"code": "already_running", "message": message})
    assert isinstance(error, WrongState)
    assert (error.what, error.subject, error.remedy) == (what, "here", remedy)
    assert error.reason_text == "KEEPER_ALREADY_RUNNING"


def test_a_code_of_a_newer_keeper_is_an_error_all_the_same() -> None:
    assert isinstance(error_of("here", {"code": "new", "message": "x; y"}), DriverFailed)
