"""A token is shown once, known by its hash, and right only to the last character."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fifo.model import records
from fifo.model.errors import Forbidden
from fifo.security import permissions, tokens
from fifo.security.principals import LOCAL_ADMIN, NOBODY, Principal, admin

SECRETS = st.binary(min_size=32, max_size=32)
MADE = tokens.make(b"\x01" * 6, b"\x02" * 32, 5.0)


def test_a_token_has_the_form_that_scanners_look_for() -> None:
    assert MADE.text == f"fpat_{'01' * 6}_{'02' * 32}"
    assert tokens.id_of(MADE.text) == MADE.record.id


def test_what_is_kept_does_not_hold_the_secret() -> None:
    assert b"02" * 32 not in records.encode(MADE.record)
    assert records.decode(tokens.Token, records.encode(MADE.record)) == MADE.record


@given(SECRETS, SECRETS)
def test_only_the_same_secret_matches(one: bytes, other: bytes) -> None:
    made = tokens.make(b"\x01" * 6, one, 0.0)
    assert tokens.matches(made.text, made.record)
    assert tokens.matches(tokens.make(b"\x01" * 6, other, 0.0).text, made.record) == (one == other)


@pytest.mark.parametrize(
    "text",
    ["", "fpat_", "fpat_01_02", MADE.text + "0", MADE.text[:-1], MADE.text.upper(), "x" * 10_000,
     MADE.text.replace("fpat", "ghp"), MADE.text + "\n"],
)  # fmt: skip
def test_what_is_no_token_has_no_id(text: str) -> None:
    assert tokens.id_of(text) is None


CHECKS = [
    (admin("a"), "instance.get", True),
    (LOCAL_ADMIN, "instance.get", True),
    (LOCAL_ADMIN, "local.reset", True),
    (admin("a"), "local.reset", False),
    (NOBODY, "instance.get", False),
    (Principal("bot", permissions=frozenset({"instance.get"})), "instance.get", True),
    (Principal("bot", permissions=frozenset({"instance.get"})), "instance.delete", False),
    (Principal("bot", permissions=frozenset({"local.reset"})), "local.reset", False),
]


@pytest.mark.parametrize(("principal", "permission", "wanted"), CHECKS)
def test_who_may_do_what(principal: Principal, permission: str, *, wanted: bool) -> None:
    assert permissions.may(principal, permission) == wanted
    if wanted:
        permissions.require(principal, permission)
    else:
        with pytest.raises(Forbidden):
            permissions.require(principal, permission)
