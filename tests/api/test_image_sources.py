"""Where images may come from, and how it is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.api.calls import call, done, refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.api.stage import Stage

    Play = Callable[..., None]


BAD_SOURCES: list[tuple[dict[str, Any], str]] = [
    ({}, "url"),
    ({"url": "file:///etc/passwd"}, "url"),
    ({"url": "http://user:pw@example.com/x"}, "url"),
    ({"url": "http://127.0.0.1/x"}, "url"),
    ({"url": "http://169.254.169.254/latest"}, "url"),
    ({"url": "http://[::ffff:10.0.0.1]/x"}, "url"),
    ({"url": "http://localhost/x"}, "url"),
    ({"url": "http://[::1/x"}, "url"),
    ({"file": "/etc/passwd"}, "file"),
    ({"file": "relative"}, "file"),
    ({"oci_reference": "example.com/x:1"}, "format"),
    ({"oci_reference": "--all", "format": "OCI_LAYOUT"}, "oci_reference"),
    ({"upload_id": "../../etc"}, "upload_id"),
]


@pytest.mark.parametrize(("source", "field"), BAD_SOURCES)
def test_a_source_that_images_may_not_come_from_is_refused(
    play: Play, source: dict[str, Any], field: str
) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            told = await refused(
                call(channel, "ImageService.ImportImage", **{"format": "RAW", **source})
            )
            assert told.code == "INVALID_ARGUMENT"
            assert field in told.fields

    play(scene)


def test_a_registry_s_reference_may_have_the_scheme_that_skopeo_gives_it(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            operations = [
                await call(
                    channel,
                    "ImageService.ImportImage",
                    image_id=f"pulled-{number}",
                    oci_reference=reference,
                    format="OCI_LAYOUT",
                    image={"brands": ["LX"]},
                )
                for number, reference in enumerate(
                    ("registry.example.com/a/b:1", "docker://registry.example.com/a/b:1")
                )
            ]
            for operation in operations:
                await done(channel, operation)
            sources = {entry.record.source for entry in stage.catalog.images}
            assert "docker://registry.example.com/a/b:1" in sources
            assert not any("docker://docker://" in source for source in sources)

    play(scene)
