"""What a watch cannot begin with, and how it says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.api.calls import end_of, stream
from tests.api.test_watch import PACKAGES, WATCH, change, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.api.stage import Stage

    Play = Callable[..., None]


REFUSED = [
    ({"resource_types": ["fifo/None"]}, "INVALID_ARGUMENT", "resource_types"),
    ({"resource_types": PACKAGES, "filter": "none = 1"}, "INVALID_ARGUMENT", "filter"),
    ({"filter": "none = 1"}, "INVALID_ARGUMENT", "filter"),
    ({"parent": "nonsense"}, "INVALID_ARGUMENT", "parent"),
    ({"resume_token": "nonsense"}, "INVALID_ARGUMENT", "resume_token"),
    ({"resource_types": PACKAGES, "read_mask": {"paths": ["x"]}}, "INVALID_ARGUMENT", "read_mask"),
]


@pytest.mark.parametrize(("fields", "code", "field"), REFUSED)
def test_a_wrong_watch_is_refused(play: Play, fields: Any, code: str, field: str) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            told = await end_of(stream(channel, WATCH, **fields))
            assert (told.code, told.fields) == (code, [field])

    play(scene)


def test_a_token_of_another_question_is_refused(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            watch = stream(channel, WATCH, snapshot=True, resource_types=PACKAGES)
            _, token = await snapshot(watch)
            watch.cancel()
            told = await end_of(stream(channel, WATCH, resume_token=token))
            assert told.fields == ["resume_token"]
            told = await end_of(stream(channel, WATCH, resume_token=token[:-2] + "xx"))
            assert told.fields == ["resume_token"]

    play(scene)


def test_a_token_whose_history_is_gone_says_so(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            watch = stream(channel, WATCH, snapshot=True, resource_types=PACKAGES)
            _, token = await snapshot(watch)
            watch.cancel()
            for number in range(200):
                await change(stage, number)
            await stage.store.compact(stage.store.revision)
            watch = stream(channel, WATCH, resume_token=token, resource_types=PACKAGES)
            told = await end_of(watch)
            assert (told.code, told.reason) == ("OUT_OF_RANGE", "RESUME_TOKEN_EXPIRED")
            told = await end_of(stream(channel, WATCH, since={"seconds": 1}))
            assert told.reason == "RESUME_TOKEN_EXPIRED"

    play(scene, changes_kept=10)
