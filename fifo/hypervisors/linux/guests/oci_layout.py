"""An OCI image layout of one layer, as a directory of blobs named by their digests.

Source: the OCI image specification 1.0, image-layout.md, manifest.md, config.md.
"""

from __future__ import annotations

import gzip
import hashlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fifo.model.image_manifest import Architecture

TYPE: Final = "application/vnd.oci.image."
CREATED: Final = "1970-01-01T00:00:00Z"
"""The same bytes whenever it is built."""
GZIP_LEVEL: Final = 6
"""zlib's own default: 1 MB in 0.1 s; level 9 takes twice that for one per cent."""


class Started(NamedTuple):
    """How a container of the image starts."""

    command: tuple[str, ...]
    environment: tuple[str, ...]
    architecture: Architecture


def write(directory: Path, layer_tar: bytes, started: Started, *, tag: str) -> None:
    """Write the layout into a new directory; the same input gives the same bytes. Blocks."""
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def blob(kind: str, data: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": TYPE + kind, "digest": f"sha256:{digest}", "size": len(data)}

    layer = blob("layer.v1.tar+gzip", gzip.compress(layer_tar, GZIP_LEVEL, mtime=0))
    config = blob("config.v1+json", _json(_config(layer_tar, started)))
    manifest = blob(
        "manifest.v1+json",
        _json(
            {
                "schemaVersion": 2,
                "mediaType": f"{TYPE}manifest.v1+json",
                "config": config,
                "layers": [layer],
            }
        ),
    )
    named = {
        **manifest,
        "platform": {"architecture": started.architecture, "os": "linux"},
        "annotations": {"org.opencontainers.image.ref.name": tag},
    }
    (directory / "index.json").write_bytes(_json({"schemaVersion": 2, "manifests": [named]}))
    (directory / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))


def _config(layer_tar: bytes, started: Started) -> dict[str, Any]:
    return {
        "created": CREATED,
        "architecture": started.architecture,
        "os": "linux",
        "config": {
            "Cmd": list(started.command),
            "Env": list(started.environment),
            "WorkingDir": "/",
            "ExposedPorts": {"80/tcp": {}},
        },
        "rootfs": {
            "type": "layers",
            "diff_ids": [f"sha256:{hashlib.sha256(layer_tar).hexdigest()}"],
        },
        "history": [{"created": CREATED, "created_by": "fifo.hypervisors.linux.guests"}],
    }


def _json(value: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(value, order="sorted")
