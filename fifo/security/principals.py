"""Principals: who calls, as far as the door could tell."""

from __future__ import annotations

from typing import Final, NamedTuple


class Principal(NamedTuple):
    """Who calls; `token` is the id of the token it came with, `local` says by the node's socket."""

    name: str
    token: str = ""
    local: bool = False
    permissions: frozenset[str] = frozenset()


EVERYTHING: Final = frozenset({"*"})
LOCAL_ADMIN: Final = Principal("local", local=True, permissions=EVERYTHING)
"""Who may reach the socket in a directory that is the node's user's alone: that user, or root."""
NOBODY: Final = Principal("anonymous")
"""Who has shown nothing; may do nothing but be told so."""


def admin(token: str) -> Principal:
    """Give the principal of an admin token."""
    return Principal("admin", token=token, permissions=EVERYTHING)
