"""Tokens: `fpat_<id>_<secret>`, of which only the SHA-256 is kept."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final, NamedTuple

from fifo.model.records import Record
from fifo.security import limits

PREFIX: Final = "fpat"
_FORM: Final = re.compile(r"fpat_([0-9a-f]{12})_([0-9a-f]{64})")


class Token(Record, frozen=True, tag="token/1"):
    """What is kept of a token; `digest` is the SHA-256 of its whole text in hexadecimal."""

    id: str
    digest: str
    create_time: float
    principal: str = "admin"


class Made(NamedTuple):
    """A new token: its text, which is shown once, and what is kept of it."""

    text: str
    record: Token


def make(token_id: bytes, secret: bytes, now: float) -> Made:
    """Make a token of `TOKEN_ID_BYTES` and `SECRET_BYTES` of randomness; `now` in UTC seconds."""
    assert len(token_id) == limits.TOKEN_ID_BYTES
    assert len(secret) == limits.SECRET_BYTES
    text = f"{PREFIX}_{token_id.hex()}_{secret.hex()}"
    return Made(text, Token(id=token_id.hex(), digest=_digest(text), create_time=now))


def id_of(text: str) -> str | None:
    """Give the id in a token's text; None for what is no token at all."""
    if len(text) > limits.TOKEN_CHARACTERS:
        return None
    found = _FORM.fullmatch(text)
    return None if found is None else found[1]


def matches(text: str, record: Token) -> bool:
    """Tell whether a text is the token of a record, in the same time for every wrong one."""
    return hmac.compare_digest(_digest(text), record.digest)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
