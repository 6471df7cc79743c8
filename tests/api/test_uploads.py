"""Files of uploads go when nobody needs them, also those that a killed node left."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import msgspec
import pytest

from fifo.api import limits
from fifo.api.uploads import Uploads
from fifo.model.errors import Busy, HistoryGone, InvalidInput
from tests.api.stage import image

if TYPE_CHECKING:
    from pathlib import Path

    from fifo.model.image import ImageState

NOW = 1_700_000_000.0
IMPORTED, FAILED = "6e8bc430-9c3a-41d9-9669-0800200c9a66", "6e8bc430-9c3a-41d9-9669-0800200c9a67"


@pytest.mark.parametrize(
    ("state", "hosts", "is_there"),
    [("ready", 1, False), ("importing", 1, True), ("ready", 2, True)],
)
def test_a_start_throws_away_what_the_only_host_has_and_keeps_what_is_needed(
    runner: asyncio.Runner, tmp_path: Path, state: ImageState, hosts: int, *, is_there: bool
) -> None:
    file = tmp_path / IMPORTED
    file.write_bytes(b"x")
    os.utime(file, (NOW, NOW))
    known = msgspec.structs.replace(image(), state=state, source=str(file))
    runner.run(Uploads(tmp_path, lambda: NOW).tidy((known,), hosts))
    assert file.exists() is is_there


@pytest.mark.parametrize("state", ["ready", "importing"])
def test_a_file_of_two_images_stays_until_both_are_made_of_it(
    tmp_path: Path, state: ImageState
) -> None:
    file = tmp_path / IMPORTED
    file.write_bytes(b"x")
    first = msgspec.structs.replace(image(), state="ready", source=str(file))
    second = msgspec.structs.replace(first, uid=FAILED, id="second", state=state)

    async def one_is_there() -> None:
        Uploads(tmp_path, lambda: NOW).imported(IMPORTED, (first, second), 1)

    # The end of its loop waits for what was given to threads.
    asyncio.run(one_is_there())
    assert file.exists() is (state == "importing")


def test_a_start_throws_away_what_nobody_went_on_with_for_a_day(
    runner: asyncio.Runner, tmp_path: Path
) -> None:
    old, young = tmp_path / IMPORTED, tmp_path / f"{FAILED}.3.part"
    for file, at in ((old, NOW - limits.UPLOAD_KEPT_S - 1), (young, NOW - 1)):
        file.write_bytes(b"x")
        os.utime(file, (at, at))
    runner.run(Uploads(tmp_path, lambda: NOW).tidy((), 1))
    assert [file.name for file in tmp_path.iterdir()] == [young.name]


def test_no_file_but_an_upload_is_ever_thrown_away(runner: asyncio.Runner, tmp_path: Path) -> None:
    mine = tmp_path / "mine.tar"
    mine.write_bytes(b"x")
    (tmp_path / "uploads").mkdir()
    known = msgspec.structs.replace(image(), state="ready", source=str(mine))
    runner.run(Uploads(tmp_path / "uploads", lambda: NOW).tidy((known,), 1))
    assert mine.exists()


def test_who_goes_on_with_an_upload_cannot_say_another_size(
    runner: asyncio.Runner, tmp_path: Path
) -> None:
    async def scene() -> None:
        uploads = Uploads(tmp_path / "uploads", lambda: NOW)

        async def send(size_bytes: int, offset_bytes: int, data: bytes) -> str:
            upload = await uploads.open(IMPORTED, size_bytes, offset_bytes)
            try:
                await uploads.write(upload, data)
                return await uploads.end(upload)
            finally:
                await uploads.close(IMPORTED, upload)

        # Of what has not begun to come the size is not settled yet.
        assert await send(7, 0, b"") == ""
        assert await send(10, 0, b"12345") == ""
        for size_bytes in (12, 5, 9):
            with pytest.raises(InvalidInput) as refused:
                await send(size_bytes, 5, b"")
            (told,) = refused.value.violations
            assert told == ("open.size_bytes", "10 bytes, which this upload has in all")
        with pytest.raises(HistoryGone):
            await send(10, 0, b"12345")
        assert await send(10, 5, b"67890")
        assert [file.name for file in (tmp_path / "uploads").iterdir()] == [IMPORTED]

    runner.run(scene())


def test_an_upload_is_one_whichever_way_its_id_is_written(
    runner: asyncio.Runner, tmp_path: Path
) -> None:
    async def scene() -> None:
        uploads = Uploads(tmp_path / "uploads", lambda: NOW)
        upload = await uploads.open(IMPORTED.upper(), 10, 0)
        with pytest.raises(Busy):
            await uploads.open(IMPORTED, 10, 0)
        await uploads.close(IMPORTED, upload)
        again = await uploads.open(IMPORTED.upper(), 10, 0)
        await uploads.close(IMPORTED.upper(), again)

    runner.run(scene())
