"""Images that are built once a session, by the real commands of this host."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from fifo.hypervisors.linux.guests import busybox, spawning, vm_images, zone_image
from tests.hypervisors.linux.guests import built

if TYPE_CHECKING:
    from pathlib import Path

    from fifo.hypervisors.linux.guests.busybox import Busybox
    from fifo.hypervisors.linux.guests.image_cache import GuestImage


@pytest.fixture(scope="session")
def cache() -> Path:
    return built.directory()


@pytest.fixture(scope="session")
def box() -> Busybox:
    return asyncio.run(busybox.read(spawning.run, "/bin/busybox"))


@pytest.fixture(scope="session")
def zone_guest(cache: Path) -> GuestImage:
    return asyncio.run(zone_image.build(spawning.run, cache))


@pytest.fixture(scope="session")
def vm_guest(cache: Path) -> GuestImage:
    return asyncio.run(vm_images.direct(spawning.run, cache))


@pytest.fixture(scope="session")
def firmware_guest(cache: Path) -> GuestImage:
    return asyncio.run(vm_images.disk(spawning.run, cache))
