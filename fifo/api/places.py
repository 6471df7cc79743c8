"""Places in the history of the store, as the tokens that a watch goes on from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from fifo.model.errors import HistoryGone, InvalidInput, Violation

if TYPE_CHECKING:
    from fifo.api.backend import Backend
    from fifo.api.sealing import Seals

PLACE: Final = "place"
ANY: Final = ""
"""The request hash of a token that any watch may begin from: a list's."""


class Place(NamedTuple):
    """All changes up to a revision of an incarnation are known."""

    incarnation: str
    revision: int


def list_token(backend: Backend) -> str:
    """Give the token of what a list is about to show."""
    return token(backend.seals, Place(backend.store.incarnation, backend.catalog.revision), ANY)


def token(seals: Seals, place: Place, request: str) -> str:
    """Seal a place for the watches that ask the same."""
    return seals.seal(PLACE, place.incarnation, place.revision, request)


def read(seals: Seals, text: str, request: str | None, incarnation: str) -> int:
    """Give the revision of a token; `request` is None for a watch that no token could belong to.

    Raises InvalidInput for what was not sealed here or belongs to another request, HistoryGone
    for another incarnation of the store.
    """
    of, revision, asked = seals.open(PLACE, text, "resume_token")
    if request is not None and asked not in {ANY, request}:
        wanted = "the token of a watch with the same types, parent, filter and mask"
        raise InvalidInput("resume_token", (Violation("resume_token", wanted),))
    if of != incarnation:
        raise HistoryGone(
            "the token is of a store that was restored or replaced since",
            "resume_token",
            "begin again with a snapshot",
        )
    return int(revision)
