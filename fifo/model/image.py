"""An image: what an instance's disk is made from."""

from __future__ import annotations

from typing import Literal

from fifo.model.records import Record

ImageFormat = Literal["oci_layout", "oci_archive", "rootfs_tar", "qcow2", "raw"]
ImageState = Literal["importing", "ready", "deleting"]


class Image(Record, frozen=True, tag="image/1"):
    """An image in the catalogue; its bytes are in the hosts' caches.

    `format` is what the importer said, never what the bytes look like. `source` is a URL, a path
    on the node or a registry reference; `sha256` of the bytes as they were imported.
    """

    uid: str
    id: str
    create_time: float
    format: ImageFormat
    source: str
    state: ImageState = "importing"
    brands: tuple[str, ...] = ("lx",)
    alias: str = ""
    os: str = "linux"
    version: str = ""
    description: str = ""
    sha256: str = ""
    size_bytes: int = 0
    unpacked_bytes: int = 0
    boot: Literal["init", "direct", "disk"] = "init"
    """`init`: a zone's own; `direct`: kernel and initrd beside the disk; `disk`: by firmware."""
    command: tuple[str, ...] = ()
    min_ram: int = 0
    from_instance: str = ""
    tags: dict[str, str] = {}
