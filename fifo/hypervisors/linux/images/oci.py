"""Reading an OCI image layout: which layers, in which order, and how the image wants to start.

Every blob is a file named by its digest, and every digest is checked before the blob is used.
Source: the OCI image specification 1.0 (image-layout.md, manifest.md, config.md).
"""

from __future__ import annotations

import hashlib
import re
import signal
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import msgspec

from fifo.hypervisors.linux import limits
from fifo.hypervisors.linux.images.archive import Refused
from fifo.hypervisors.linux.init import ImageConfig

if TYPE_CHECKING:
    from pathlib import Path

DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")
ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
"""The kernel's names, and those of images."""
COMPRESSIONS: Final = {
    "tar": "",
    "tar+gzip": "gzip",
    "tar.gzip": "gzip",
    "tar+zstd": "zstd",
    "tar.zstd": "zstd",
}
"""Ends of a layer's media type, OCI's and Docker's, and how it is compressed."""
MANIFESTS: Final = frozenset(
    {
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    }
)
INDEXES: Final = frozenset(
    {
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    }
)
T = TypeVar("T")

READ_BYTES: Final = 1024 * 1024


class Descriptor(msgspec.Struct, frozen=True):
    """A reference to a blob; what else it says is not needed."""

    digest: str
    size: int
    media_type: str = msgspec.field(name="mediaType", default="")
    platform: dict[str, Any] = {}


class Index(msgspec.Struct, frozen=True):
    """Manifests of one image, by platform."""

    manifests: tuple[Descriptor, ...] = ()


class Manifest(msgspec.Struct, frozen=True):
    """What an image is made of."""

    config: Descriptor
    layers: tuple[Descriptor, ...] = ()


class _Execution(msgspec.Struct, frozen=True, rename="pascal"):
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    env: tuple[str, ...] | None = None
    working_dir: str = ""
    stop_signal: str = ""


class _Layers(msgspec.Struct, frozen=True):
    diff_ids: tuple[str, ...] = ()


class _Config(msgspec.Struct, frozen=True):
    """An image's configuration; what has no default here the specification requires."""

    architecture: str
    os: str
    rootfs: _Layers
    config: _Execution | None = None


class Layer(NamedTuple):
    """One layer: its blob, how it is compressed, and the digest of what is in it.

    `diff_id` is `sha256:HEX` of the uncompressed archive; '' for any.
    """

    path: Path
    compression: str
    diff_id: str = ""


class Contents(NamedTuple):
    """What an image is made of."""

    layers: tuple[Layer, ...]
    config: ImageConfig


def read(layout: Path, machine: str) -> Contents:
    """Read a layout, and check every digest of a blob; raises Refused. Blocks on the disk."""
    index = _decode(Index, _document(layout / "index.json"), "index.json")
    manifest = _manifest(layout, index, machine)
    if len(manifest.layers) > limits.LAYERS:
        raise Refused(f"{len(manifest.layers)} layers, at most {limits.LAYERS}")
    config = _decode(_Config, _blob_bytes(layout, manifest.config), "the configuration")
    _fit(config, manifest, machine)
    layers = tuple(
        Layer(_blob(layout, each), _compression(each), diff_id)
        for each, diff_id in zip(manifest.layers, config.rootfs.diff_ids, strict=True)
    )
    return Contents(layers, _image_config(config.config or _Execution()))


def _fit(config: _Config, manifest: Manifest, machine: str) -> None:
    """Refuse a configuration for another machine or of other layers than the manifest's.

    What an index says of platforms is its own word, and most have nothing to say.
    """
    wanted = ARCHITECTURES.get(machine, machine)
    if (config.os, config.architecture) != ("linux", wanted):
        raise Refused(f"it is for {config.os}/{config.architecture}, not linux/{wanted}")
    diff_ids = config.rootfs.diff_ids
    if len(diff_ids) != len(manifest.layers):
        told = f"its manifest lists {len(manifest.layers)}, its configuration {len(diff_ids)}"
        raise Refused(f"layers of which {told}")
    for each in diff_ids:
        if DIGEST.fullmatch(each) is None:
            raise Refused(f"the digest {each[: limits.NAME_SHOWN]!r}; sha256 is taken")


def _manifest(layout: Path, index: Index, machine: str) -> Manifest:
    """Follow the indexes, one in another at most, to the manifest for this machine."""
    for _ in range(2):
        chosen = choose(index, machine)
        data = _blob_bytes(layout, chosen)
        if chosen.media_type not in INDEXES:
            break
        index = _decode(Index, data, "an index")
    if chosen.media_type not in MANIFESTS:
        raise Refused(f"a manifest of media type {chosen.media_type!r}")
    return _decode(Manifest, data, "the manifest")


def choose(index: Index, machine: str) -> Descriptor:
    """Choose the manifest for a machine; raises Refused."""
    wanted = ARCHITECTURES.get(machine, machine)
    fitting = [
        each
        for each in index.manifests
        if each.platform.get("architecture", wanted) == wanted
        and each.platform.get("os", "linux") == "linux"
    ]
    if not fitting:
        raise Refused(f"it has no image for {wanted}")
    return fitting[0]


def _compression(layer: Descriptor) -> str:
    end = layer.media_type.rpartition(".layer.v1.")[2] or ""
    if end == layer.media_type:
        end = layer.media_type.rpartition(".rootfs.diff.")[2]
    if end not in COMPRESSIONS:
        taken = "tar, tar+gzip and tar+zstd are taken"
        raise Refused(f"a layer of media type {layer.media_type!r}; {taken}")
    return COMPRESSIONS[end]


def _document(path: Path) -> bytes:
    if path.is_symlink() or not path.is_file():
        raise Refused(f"{path.name} is missing")
    if path.stat().st_size > limits.DOCUMENT_BYTES:
        raise Refused(f"{path.name} is larger than {limits.DOCUMENT_BYTES} bytes")
    return path.read_bytes()


def _blob(layout: Path, descriptor: Descriptor) -> Path:
    found = DIGEST.fullmatch(descriptor.digest)
    if found is None:
        raise Refused(f"the digest {descriptor.digest!r}; sha256 is taken")
    path = layout / "blobs" / "sha256" / found[1]
    if path.is_symlink() or not path.is_file():
        raise Refused(f"the blob {descriptor.digest} is missing")
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(READ_BYTES):
            digest.update(data)
    if digest.hexdigest() != found[1] or path.stat().st_size != descriptor.size:
        raise Refused(f"the blob {descriptor.digest} is not what its digest says")
    return path


def _blob_bytes(layout: Path, descriptor: Descriptor) -> bytes:
    return _document(_blob(layout, descriptor))


def _decode(kind: type[T], data: bytes, what: str) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Refused(f"{what} is malformed ({error})") from None


def _image_config(found: _Execution) -> ImageConfig:
    return ImageConfig(
        command=(*(found.entrypoint or ()), *(found.cmd or ())),
        environment=tuple(each for each in found.env or () if "=" in each),
        directory=found.working_dir if found.working_dir.startswith("/") else "/",
        stop_signal=_signal(found.stop_signal),
    )


def _signal(text: str) -> int:
    """Read a signal's name or number; 0 for none. Raises Refused."""
    if not text:
        return 0
    if text.isdecimal() and 0 < int(text) < signal.NSIG:
        return int(text)
    name, _, offset = text.removeprefix("SIG").partition("+")
    found = {each.name.removeprefix("SIG"): int(each) for each in signal.Signals}.get(name, 0)
    number = found + (int(offset) if offset.isdecimal() else 0)
    if not found or number >= signal.NSIG:
        raise Refused(f"the stop signal {text!r}")
    return number
