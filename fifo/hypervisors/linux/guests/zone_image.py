"""The image of the small zone: `rootfs.tar`, and the same as an OCI image layout in `oci/`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from fifo.hypervisors.linux.guests import (
    busybox,
    file_tree,
    image_cache,
    oci_layout,
    requirements,
    zone,
)
from fifo.model.image_manifest import ImageManifest

if TYPE_CHECKING:
    from pathlib import Path

    from fifo.hypervisors.linux.guests.busybox import Busybox
    from fifo.hypervisors.linux.guests.commands import Run
    from fifo.hypervisors.linux.guests.file_tree import Tree
    from fifo.hypervisors.linux.guests.image_cache import GuestImage, Workplace

NAME: Final = "fifo-zone"
ROOTFS: Final = "rootfs.tar"
OCI: Final = "oci"
"""The directory of the layout, beside the manifest."""
OCI_TAG: Final = "latest"
VERSION_CHARACTERS: Final = 12
"""Enough of busybox's digest to tell two apart."""


async def build(run: Run, cache: Path) -> GuestImage:
    """Return the small zone from the cache, built if it has to be (0.3 s).

    Called by the node's set-up, the command line and tests. Raises NotReady naming the packages
    that are missing, Unsupported on another processor than amd64 and arm64.
    """
    tools = requirements.locate(["busybox"])
    box = await busybox.read(run, tools["busybox"])
    tree = zone.tree(box)

    async def make(place: Workplace) -> ImageManifest:
        return await asyncio.to_thread(_write, place.image, box, tree)

    key = image_cache.key(file_tree.fingerprint(tree), *zone.COMMAND, box.architecture)
    return await image_cache.obtain(cache, "zone", key, make)


def _write(image: Path, box: Busybox, tree: Tree) -> ImageManifest:
    layer = file_tree.tar(tree)
    (image / ROOTFS).write_bytes(layer)
    started = oci_layout.Started(zone.COMMAND, (f"PATH={zone.PATH}",), box.architecture)
    oci_layout.write(image / OCI, layer, started, tag=OCI_TAG)
    blobs = sorted(path for path in (image / OCI).rglob("*") if path.is_file())
    parts = [
        image_cache.described(image, "oci", "oci", str(path.relative_to(image))) for path in blobs
    ]
    return ImageManifest(
        name=NAME,
        version=box.sha256[:VERSION_CHARACTERS],
        os="linux",
        architecture=box.architecture,
        brand="lx",
        boot="init",
        files=(image_cache.described(image, "rootfs", "tar", ROOTFS), *parts),
        command=zone.COMMAND,
        inputs={"busybox": f"sha256:{box.sha256}"},
    )
