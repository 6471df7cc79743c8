"""A cache of images in a directory of a test's, and what is fetched into it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from fifo.hypervisors.linux.images.cache import Cache
from fifo.hypervisors.linux.layout import PASSABLE
from fifo.hypervisors.linux.settings import Settings
from fifo.hypervisors.linux.storage.overlay import OverlayStorage
from fifo.model.image import Image
from tests.hypervisors.linux.images.archives import directory, entry, link, tar
from tests.hypervisors.linux.runner import run

if TYPE_CHECKING:
    from pathlib import Path

    from fifo.model.errors import FifoError

UID = "00000000-0000-4000-9000-000000000001"
ROOTFS = tar(directory("sbin"), entry("sbin/real", data=b"#!/bin/sh\n"), link("sbin/init", "real"))


def cache_of(place: Path, run_: Any = run, **changed: Any) -> Cache:
    """Make a cache in a directory, for zones without a user namespace."""
    settings = Settings(
        place, place, "ta", {}, **{"uid_base": 0, "private_sources": True, **changed}
    )
    images = place / "images"
    images.mkdir(mode=PASSABLE, exist_ok=True)
    return Cache(run_, settings, images, OverlayStorage(run, place), {})


def image(source: object, form: str = "rootfs_tar", **more: Any) -> Image:
    """Describe an image."""
    raw = {"uid": UID, "id": "x", "create_time": 0.0, "format": form, "source": str(source)}
    return msgspec.convert({"type": "image/1", **raw, **more}, Image)


async def fetch(cache: Cache, wanted: Image) -> Image:
    """Fetch an image and forget its progress."""
    return await cache.fetch(wanted, lambda *_: None)


async def refused(cache: Cache, wanted: Image, error: type[FifoError], match: str = "") -> None:
    """Expect that an image is not taken, and that nothing of it is left."""
    with pytest.raises(error, match=match or None):
        await fetch(cache, wanted)
    assert list((cache.place(UID).parent).iterdir()) == []
