"""What a host finds wrong with an image is told as what the caller gave, and of nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fifo.hypervisors.simulated.driver import SimulatedDriver
from fifo.model.errors import InvalidInput, Violation
from fifo.model.names import UPLOADS
from fifo.v1 import image_service_pb2
from tests.api.calls import call, ended, read_details, stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.model.image import Image
    from tests.api.stage import Stage

    Play = Callable[..., None]

Upload = image_service_pb2.UploadImageRequest
UPLOAD = "6e8bc430-9c3a-41d9-9669-0800200c9a66"


@pytest.fixture
def picky(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the host refuse what it fetches, as the one of Linux does."""

    async def fetch(_: Any, image: Image, progress: Any) -> Image:
        del progress
        wrong = (
            Violation("source", f"a qcow2; {Path(image.source).name} is none"),
            Violation("boot", "DISK"),
        )
        raise InvalidInput(image.uid, wrong)

    monkeypatch.setattr(SimulatedDriver, "fetch_image", fetch)


async def refused(channel: Any, **source: str) -> tuple[str, list[str]]:
    path = "ImageService.ImportImage"
    operation = await call(channel, path, image_id="disk2", format="QCOW2", **source)
    error = (await ended(channel, operation)).error
    details = read_details(error.SerializeToString())
    assert details["code"] == "INVALID_ARGUMENT"
    return error.message, [own.field for own in details["BadRequest"].field_violations]


def test_an_operation_that_failed_names_the_fields_of_its_request(
    play: Play, picky: None, tmp_path: Path
) -> None:
    file = tmp_path / "mine.qcow2"
    file.write_bytes(b"no qcow2")

    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            opened = Upload(open=Upload.Open(upload_id=UPLOAD, size_bytes=8))
            sent = iter([opened, Upload(data=b"no qcow2")])
            await stream(channel, "ImageService.UploadImage", sent)
            for source in (
                {"upload_id": UPLOAD},
                {"url": "https://images.example.com/disk.qcow2"},
                {"file": str(file)},
            ):
                message, fields = await refused(channel, **source)
                assert fields == [*source, "image.boot"]
                assert message.startswith("images/disk2: not valid (")
                assert f"{next(iter(source))}: a qcow2" in message
                assert f"/{UPLOADS}" not in message

    play(scene, import_directories=(tmp_path,))
