"""Several imports of one upload: its file is there for each of them, and goes after the last."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from typing import TYPE_CHECKING, Any

import msgspec

from fifo.api import uploads as module
from fifo.api.uploads import Uploads
from fifo.v1 import image_service_pb2
from tests.api.calls import call, done, refused, stream
from tests.api.stage import image

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    import pytest

    from tests.api.stage import Stage

    Play = Callable[..., None]

NOW = 1_700_000_000.0
UPLOAD = "6e8bc430-9c3a-41d9-9669-0800200c9a66"
IMPORT = "ImageService.ImportImage"
Upload = image_service_pb2.UploadImageRequest


def test_a_file_that_an_import_begins_with_stays(tmp_path: Path) -> None:
    file = tmp_path / UPLOAD
    file.write_bytes(b"x")
    first = msgspec.structs.replace(image(), state="ready", source=str(file))

    async def one_ends_while_two_others_begin() -> None:
        uploads = Uploads(tmp_path, lambda: NOW)
        async with uploads.wanted(UPLOAD) as one:
            async with uploads.wanted(UPLOAD.upper()) as other:
                assert one == other == file
            uploads.imported(UPLOAD, (first,), 1)
            os.utime(file, (0.0, 0.0))
            await uploads.tidy((first,), 1)

    # The end of its loop waits for what was given to threads.
    asyncio.run(one_ends_while_two_others_begin())
    assert file.exists()


def test_a_file_that_is_being_thrown_away_is_none_to_import(
    runner: asyncio.Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / UPLOAD
    file.write_bytes(b"x")
    first = msgspec.structs.replace(image(), state="ready", source=str(file))
    may_go = threading.Event()
    monkeypatch.setattr(module, "_drop", lambda _: may_go.wait())

    async def scene() -> None:
        uploads = Uploads(tmp_path, lambda: NOW)
        uploads.imported(UPLOAD.upper(), (first,), 1)
        async with uploads.wanted(UPLOAD) as found:
            assert found is None
        may_go.set()

    runner.run(scene())


class Meanwhile:
    """A second import, between whose look at the upload and whose acceptance the first one ends."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.dropped: asyncio.Queue[str] = asyncio.Queue()
        self._monkeypatch = monkeypatch

    async def begin(self, channel: Any) -> None:
        """Upload a file and have the first import of it, `a`, accepted."""
        loop = asyncio.get_running_loop()
        real_drop, real_wanted = module._drop, Uploads.wanted

        def drop(path: Path) -> None:
            real_drop(path)
            loop.call_soon_threadsafe(self.dropped.put_nowait, path.name)

        opened = Upload(open=Upload.Open(upload_id=UPLOAD, size_bytes=3))
        await stream(channel, "ImageService.UploadImage", iter([opened, Upload(data=b"abc")]))
        first = await call(channel, IMPORT, upload_id=UPLOAD, format="RAW", image_id="a")

        @contextlib.asynccontextmanager
        async def late(uploads: Uploads, upload_id: str) -> AsyncIterator[Path | None]:
            async with real_wanted(uploads, upload_id) as path:
                await done(channel, first)
                yield path

        self._monkeypatch.setattr(module, "_drop", drop)
        self._monkeypatch.setattr(Uploads, "wanted", late)


def test_an_import_has_its_file_though_another_of_it_ends_before_it_is_accepted(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(stage: Stage) -> None:
        meanwhile = Meanwhile(monkeypatch)
        async with stage.channel() as channel:
            await meanwhile.begin(channel)
            second = await call(channel, IMPORT, upload_id=UPLOAD, format="RAW", image_id="b")
            await done(channel, second)
            assert await meanwhile.dropped.get() == UPLOAD
            assert meanwhile.dropped.empty()

    play(scene)


def test_an_import_that_is_refused_leaves_no_file_behind_that_another_is_done_with(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(stage: Stage) -> None:
        meanwhile = Meanwhile(monkeypatch)
        async with stage.channel() as channel:
            await meanwhile.begin(channel)
            told = await refused(
                call(channel, IMPORT, upload_id=UPLOAD, format="RAW", image_id="a")
            )
            assert told.code == "ALREADY_EXISTS"
            assert await meanwhile.dropped.get() == UPLOAD

    play(scene)
