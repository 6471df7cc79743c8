"""Uids: random, of the right version, and few questions to the system."""

from __future__ import annotations

import os
import uuid

from fifo.api.uids import READ_AT_ONCE, UID_BYTES, Uids


def test_uids_are_random_uuids_and_never_the_same() -> None:
    new_uid = Uids()
    made = [uuid.UUID(new_uid()) for _ in range(3 * READ_AT_ONCE)]
    assert len(set(made)) == len(made)
    assert {uid.version for uid in made} == {4}
    assert {uid.variant for uid in made} == {uuid.RFC_4122}


def test_the_system_is_asked_once_for_many() -> None:
    asked = []

    def randomness(size_bytes: int) -> bytes:
        asked.append(size_bytes)
        return os.urandom(size_bytes)

    new_uid = Uids(randomness)
    for _ in range(READ_AT_ONCE + 1):
        new_uid()
    assert asked == [UID_BYTES * READ_AT_ONCE] * 2
