"""OCI layouts: layers in their order, however they are compressed, and those that lie."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import shutil
import tarfile
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from fifo.hypervisors.linux import zstd
from fifo.hypervisors.linux.images import unpack
from fifo.hypervisors.linux.images.oci import ARCHITECTURES
from fifo.model.errors import InvalidInput, NotReady
from tests.hypervisors.linux.images.archives import directory, entry, tar, zstandard
from tests.hypervisors.linux.images.caching import ROOTFS, UID, cache_of, fetch, image, refused
from tests.hypervisors.linux.runner import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Layout:
    """An OCI image layout that a test can spoil."""

    def __init__(self, place: Path) -> None:
        self.place = place
        (place / "blobs" / "sha256").mkdir(parents=True)
        (place / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        self.diff_ids: dict[str, str] = {}

    def blob(self, data: bytes, kind: str) -> dict[str, Any]:
        """Store a blob; gives its descriptor."""
        digest = hashlib.sha256(data).hexdigest()
        (self.place / "blobs" / "sha256" / digest).write_bytes(data)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}

    def size(self, digest: str) -> int:
        """Give the size of a blob that is there."""
        return (self.place / "blobs" / "sha256" / digest).stat().st_size

    def finish(self, layers: list[dict[str, Any]], config: dict[str, Any], **more: Any) -> None:
        """Write configuration, manifest and index; `more` is of the configuration."""
        kind = "application/vnd.oci.image"
        machine = platform.machine()
        diff_ids = [self.diff_ids.get(each["digest"], each["digest"]) for each in layers]
        whole = {
            "architecture": ARCHITECTURES.get(machine, machine), "os": "linux", "config": config,
            "rootfs": {"type": "layers", "diff_ids": diff_ids}, **more,
        }  # fmt: skip
        made = self.blob(json.dumps(whole).encode(), f"{kind}.config.v1+json")
        manifest = {"schemaVersion": 2, "config": made, "layers": layers}
        found = self.blob(json.dumps(manifest).encode(), f"{kind}.manifest.v1+json")
        index = {"schemaVersion": 2, "manifests": [found]}
        (self.place / "index.json").write_text(json.dumps(index))

    def layer(
        self,
        archive: bytes,
        kind: str = "application/vnd.oci.image.layer.v1.tar+gzip",
        pack: Callable[[bytes], bytes] = gzip.compress,
    ) -> dict[str, Any]:
        """Store a layer, compressed."""
        made = self.blob(pack(archive), kind)
        self.diff_ids[made["digest"]] = f"sha256:{hashlib.sha256(archive).hexdigest()}"
        return made


CONFIG = {
    "Entrypoint": ["/bin/start"], "Cmd": ["--now"], "Env": ["PATH=/bin", "bad"],
    "WorkingDir": "/srv", "StopSignal": "SIGINT",
}  # fmt: skip


def two_layers(place: Path) -> Layout:
    """Make a layout of which the second layer takes back a file of the first."""
    layout = Layout(place)
    lower = layout.layer(tar(directory("etc"), entry("etc/old", data=b"1")))
    upper = layout.layer(tar(entry("etc/.wh.old"), entry("etc/new", data=b"22")))
    layout.finish([lower, upper], CONFIG)
    return layout


async def test_a_layout_is_unpacked_layer_by_layer(tmp_path: Path) -> None:
    two_layers(tmp_path / "oci")
    cache = cache_of(tmp_path)
    found = await fetch(cache, image(tmp_path / "oci", "oci_layout"))
    assert found.unpacked_bytes == 3
    root = cache.rootfs(UID)
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*")) == ["etc", "etc/new"]
    config = cache.config(UID)
    assert (config.command, config.environment) == (("/bin/start", "--now"), ("PATH=/bin",))
    assert (config.directory, config.stop_signal) == ("/srv", 2)


ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"


async def test_layers_by_zstd_are_taken_as_those_by_gzip(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "oci")
    lower = layout.layer(tar(directory("etc"), entry("etc/old", data=b"1")))
    docker = "application/vnd.docker.image.rootfs.diff.tar.zstd"
    middle = layout.layer(tar(entry("etc/.wh.old")), docker, zstandard)
    upper = layout.layer(tar(entry("etc/new", data=b"22")), ZSTD, zstandard)
    layout.finish([lower, middle, upper], CONFIG)
    cache = cache_of(tmp_path)
    await fetch(cache, image(layout.place, "oci_layout"))
    assert [path.name for path in (cache.rootfs(UID) / "etc").iterdir()] == ["new"]


async def test_layers_as_skopeo_packs_them_are_taken(tmp_path: Path) -> None:
    if shutil.which("skopeo") is None:
        pytest.skip("not installed: skopeo")
    two_layers(tmp_path / "oci")
    place = tmp_path / "zstd"
    copy = ("skopeo", "--insecure-policy", "copy", "--quiet", "--dest-compress-format=zstd")
    argv = (*copy, f"oci:{tmp_path / 'oci'}", f"oci:{place}:x")
    done = await run(argv, deadline_s=20.0)
    assert done.status == 0, done.stderr
    kinds = {blob.read_bytes()[:4] for blob in (place / "blobs" / "sha256").iterdir()}
    assert zstd.MAGIC in kinds
    cache = cache_of(tmp_path)
    await fetch(cache, image(place, "oci_layout"))
    assert (cache.rootfs(UID) / "etc" / "new").read_bytes() == b"22"


async def test_a_host_without_the_library_says_which_package_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "rootfs.tar.zst"
    source.write_bytes(zstandard(ROOTFS))
    monkeypatch.setattr(zstd, "LIBRARY", "libabsent.so.1")

    async def here(argv: Any, *, stdin: bytes = b"", **bounds: Any) -> Any:
        if "unpack" not in argv[-1]:
            return await run(argv, stdin=stdin, **bounds)
        verdict = unpack.work(msgspec.json.decode(stdin, type=unpack.Job), lambda _: None)
        done = await run(("true",), deadline_s=5.0)
        return done._replace(stdout=msgspec.json.encode(verdict))

    await refused(cache_of(tmp_path, here), image(source), NotReady, "install libzstd1")


async def test_an_archive_of_a_layout_gives_the_same(tmp_path: Path) -> None:
    layout = two_layers(tmp_path / "oci")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(layout.place, ".")
    (tmp_path / "oci.tar").write_bytes(buffer.getvalue())
    cache = cache_of(tmp_path)
    await fetch(cache, image(tmp_path / "oci.tar", "oci_archive"))
    assert (cache.rootfs(UID) / "etc" / "new").read_bytes() == b"22"
    assert cache.config(UID).command == ("/bin/start", "--now")
    assert {path.name for path in cache.place(UID).iterdir()} == {
        "image.json", "config.json", "rootfs"
    }  # fmt: skip


def _corrupt(layout: Layout) -> None:
    for blob in (layout.place / "blobs" / "sha256").iterdir():
        blob.write_bytes(blob.read_bytes() + b" ")


def _without_blobs(layout: Layout) -> None:
    for blob in (layout.place / "blobs" / "sha256").iterdir():
        blob.unlink()


def _by_link(layout: Layout) -> None:
    for blob in (layout.place / "blobs" / "sha256").iterdir():
        blob.unlink()
        blob.symlink_to("/etc/passwd")


def _climbing_digest(layout: Layout) -> None:
    path = layout.place / "index.json"
    index = json.loads(path.read_text())
    index["manifests"][0]["digest"] = "sha256:../../../../etc/passwd"
    path.write_text(json.dumps(index))


def _deep(layout: Layout) -> None:
    (layout.place / "index.json").write_text("[" * 100_000)


def _other_machine(layout: Layout) -> None:
    path = layout.place / "index.json"
    index = json.loads(path.read_text())
    index["manifests"][0]["platform"] = {"os": "linux", "architecture": "s390x"}
    path.write_text(json.dumps(index))


def _no_zstd(layout: Layout) -> None:
    layout.finish([layout.blob(gzip.compress(tar()), ZSTD)], CONFIG)


def _by_lz4(layout: Layout) -> None:
    layout.finish([layout.blob(b"x", ZSTD.replace("zstd", "lz4"))], CONFIG)


def _many_layers(layout: Layout) -> None:
    layout.finish([layout.layer(tar())] * 129, CONFIG)


def _climbing_layer(layout: Layout) -> None:
    layout.finish([layout.layer(tar(entry("../../x", data=b"x")))], CONFIG)


SPOILERS = (
    _corrupt, _without_blobs, _by_link, _climbing_digest, _deep, _other_machine, _no_zstd,
    _by_lz4, _many_layers, _climbing_layer,
)  # fmt: skip


@pytest.mark.parametrize("spoil", SPOILERS)
async def test_a_layout_that_lies_is_refused(
    tmp_path: Path, spoil: Callable[[Layout], None]
) -> None:
    spoil(two_layers(tmp_path / "oci"))
    await refused(cache_of(tmp_path), image(tmp_path / "oci", "oci_layout"), InvalidInput)


OTHERS: dict[str, tuple[dict[str, Any], str]] = {
    "of another architecture": ({"architecture": "s390x"}, "it is for linux/s390x, not linux/"),
    "of another system": ({"os": "windows"}, "it is for windows/"),
    "without digests": ({"rootfs": {"type": "layers"}}, "manifest lists 1, its configuration 0"),
    "of no known digest": ({"rootfs": {"diff_ids": ["md5:0"]}}, "sha256 is taken"),
    "of another layer": (
        {"rootfs": {"diff_ids": ["sha256:" + "0" * 64]}}, "not what its diff_id says"
    ),
    "without a rootfs": ({"rootfs": None}, "the configuration is malformed"),
}  # fmt: skip


@pytest.mark.parametrize("case", OTHERS)
async def test_a_configuration_that_is_not_of_this_machine_and_these_layers_is_refused(
    tmp_path: Path, case: str
) -> None:
    more, match = OTHERS[case]
    layout = Layout(tmp_path / "oci")
    layout.finish([layout.layer(tar(entry("x", data=b"1")))], CONFIG, **more)
    await refused(cache_of(tmp_path), image(layout.place, "oci_layout"), InvalidInput, match)
