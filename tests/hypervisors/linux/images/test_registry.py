"""Pulling from a registry, by the real skopeo from a small registry of the test's own."""

from __future__ import annotations

import http.server
import json
import platform
import random
import shutil
import threading
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import pytest

from fifo.hypervisors.linux import limits
from fifo.hypervisors.linux.commands import CommandOutput
from fifo.hypervisors.linux.images import registry as registries
from fifo.hypervisors.linux.images import targets
from fifo.hypervisors.linux.images.oci import ARCHITECTURES
from fifo.hypervisors.linux.settings import ImageLimits
from fifo.model.errors import DataLoss, DriverFailed, NoRoom
from tests.hypervisors.linux.images.archives import directory, entry, tar
from tests.hypervisors.linux.images.caching import UID, cache_of, fetch, image, refused
from tests.hypervisors.linux.images.test_layouts import CONFIG, Layout

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

pytestmark = pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
TOO_LARGE = "more than the 10 bytes.*--max-size"
MADE = b'{"config": {"digest": "sha256:0", "size": 1}}'


class Registry(http.server.BaseHTTPRequestHandler):
    """The reading half of the distribution specification, over one layout; `name:tag` is in it."""

    layout: ClassVar[Path]
    asked: ClassVar[list[str]]

    def do_GET(self) -> None:
        """Answer for the API's root, a manifest or a blob."""
        kind, data = "application/octet-stream", b"{}"
        parts = self.path.strip("/").split("/")
        if len(parts) > 1:
            self.asked.append("/".join(parts[2:]))
            digest = parts[-1].removeprefix("sha256:")
            if parts[-1] == "tag":
                digest = top(self.layout)
            path = self.layout / "blobs" / "sha256" / digest
            if parts[1] != "name" or not path.exists():
                self.send_error(404)
                return
            data = path.read_bytes()
            if parts[-2] == "manifests":
                kind = INDEX if b'"manifests"' in data else MANIFEST
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Served(NamedTuple):
    """A registry that has one image, `name:tag`."""

    address: str
    layout: Layout
    asked: list[str]

    @property
    def image(self) -> str:
        """Name the image."""
        return f"{self.address}/name:tag"


def top(layout: Path) -> str:
    """Give the digest of what a layout has."""
    (found,) = json.loads((layout / "index.json").read_text())["manifests"]
    return str(found["digest"]).removeprefix("sha256:")


def index(layout: Layout, **platforms: str) -> str:
    """Put an index around what is there: manifests by the machine that they are for."""
    whole = [
        {
            "mediaType": MANIFEST, "digest": f"sha256:{digest}", "size": layout.size(digest),
            "platform": {"architecture": machine, "os": "linux"},
        }
        for machine, digest in platforms.items()
    ]  # fmt: skip
    made = layout.blob(json.dumps({"schemaVersion": 2, "manifests": whole}).encode(), INDEX)
    (layout.place / "index.json").write_text(json.dumps({"manifests": [made]}))
    return top(layout.place)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Served]:
    layout = Layout(tmp_path / "served")
    layout.finish([layout.layer(tar(directory("etc"), entry("etc/new", data=b"22")))], CONFIG)
    asked: list[str] = []
    handler = type("Handler", (Registry,), {"layout": layout.place, "asked": asked})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Served(f"docker://127.0.0.1:{server.server_port}", layout, asked)
    server.shutdown()
    thread.join()
    server.server_close()


async def test_an_image_is_pulled_and_unpacked(tmp_path: Path, registry: Served) -> None:
    cache = cache_of(tmp_path)
    found = await fetch(cache, image(registry.image, "oci_layout"))
    assert found.state == "ready"
    assert (cache.rootfs(UID) / "etc" / "new").read_bytes() == b"22"
    assert cache.config(UID).command == ("/bin/start", "--now")
    assert not (cache.place(UID) / "layout").exists()


async def test_an_image_is_known_by_the_digest_that_its_registry_shows(
    tmp_path: Path, registry: Served
) -> None:
    digest = top(registry.layout.place)
    pinned = f"{registry.image}@sha256:{digest}"
    for number, wanted in enumerate((
        image(registry.image, "oci_layout"),
        image(registry.image, "oci_layout", sha256=digest),
        image(pinned, "oci_layout"),
        image(pinned.replace(":tag", ""), "oci_layout"),
    )):  # fmt: skip
        place = tmp_path / str(number)
        place.mkdir()
        assert (await fetch(cache_of(place), wanted)).sha256 == digest


async def test_an_image_of_another_digest_is_refused_before_anything_is_copied(
    tmp_path: Path, registry: Served
) -> None:
    wanted = image(registry.image, "oci_layout", sha256="0" * 64)
    await refused(cache_of(tmp_path), wanted, DataLoss, "its digest is [0-9a-f]{64}, not 0000")
    assert not [path for path in registry.asked if path.startswith("blobs")]


async def test_of_an_index_this_machines_image_is_counted_and_pulled(
    tmp_path: Path, registry: Served
) -> None:
    layout = registry.layout
    own = top(layout.place)
    layout.finish([layout.layer(tar(entry("other", data=b"3")))], CONFIG)
    other = top(layout.place)
    digest = index(layout, **{"s390x": other, ARCHITECTURES[platform.machine()]: own})
    cache = cache_of(tmp_path)
    found = await fetch(cache, image(registry.image, "oci_layout"))
    assert found.sha256 == digest
    assert (cache.rootfs(UID) / "etc" / "new").exists()
    assert not [path for path in registry.asked if other in path]
    cache = cache_of(tmp_path, image_limits=ImageLimits(download_bytes=10))
    await cache.delete(UID)
    registry.asked.clear()
    await refused(
        cache, image(registry.image, "oci_layout"), NoRoom, "more than the 10 bytes.*--max-size"
    )
    assert not [path for path in registry.asked if path.startswith("blobs")]


async def test_an_index_without_this_machine_is_refused(tmp_path: Path, registry: Served) -> None:
    index(registry.layout, s390x=top(registry.layout.place))
    wanted = image(registry.image, "oci_layout")
    await refused(cache_of(tmp_path), wanted, DataLoss, "it has no image for")


async def test_a_layer_larger_than_its_manifest_says_is_cut_off(
    tmp_path: Path, registry: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "DOCUMENT_BYTES", 5_000)
    layout = registry.layout
    lying = layout.layer(tar(entry("noise", data=random.Random(1).randbytes(200_000))))
    layout.finish([{**lying, "size": 1_000}], CONFIG)
    await refused(cache_of(tmp_path), image(registry.image, "oci_layout"), DriverFailed)


async def test_a_manifest_with_a_part_of_less_than_nothing_is_none(
    tmp_path: Path, registry: Served
) -> None:
    layout = registry.layout
    lying = layout.layer(tar(entry("other", data=b"3")))
    layout.finish([{**lying, "size": -1}], CONFIG)
    wanted = image(registry.image, "oci_layout")
    await refused(cache_of(tmp_path), wanted, DataLoss, "a part of -1 bytes")


async def test_an_image_that_is_not_there_is_told_in_the_registrys_words(
    tmp_path: Path, registry: Served
) -> None:
    wanted = image(f"{registry.address}/absent:tag", "oci_layout")
    await refused(cache_of(tmp_path), wanted, DriverFailed, "absent")


async def test_an_image_too_large_is_not_fetched(tmp_path: Path, registry: Served) -> None:
    small = cache_of(tmp_path, image_limits=ImageLimits(download_bytes=10))
    await refused(
        small, image(registry.image, "oci_layout"), NoRoom, "more than the 10 bytes.*--max-size"
    )


@pytest.mark.parametrize(
    ("addresses", "verify"),
    [
        (["127.0.0.1"], "false"),
        (["10.1.2.3", "fd00::1"], "false"),
        (["8.8.8.8"], "true"),
        (["10.1.2.3", "8.8.8.8"], "true"),
    ],
)
async def test_only_a_registry_at_private_addresses_need_not_prove_who_it_is(
    tmp_path: Path, addresses: list[str], verify: str
) -> None:
    ran: list[Sequence[str]] = []

    async def noted(argv: Sequence[str], **_: Any) -> CommandOutput:
        ran.append(argv)
        return CommandOutput(0, MADE, b"")

    def admitted(host: str, port: int, *, private: bool) -> list[str]:
        return targets.admitted(host, port, private=private, ask=lambda *_: addresses)

    await registries.pull(
        noted, "docker://registry.example.org/name:tag", tmp_path / "layout", 10,
        machine="x86_64", private=True, ask=admitted,
    )  # fmt: skip
    inspect, copy = ran
    assert f"--tls-verify={verify}" in inspect
    assert f"--src-tls-verify={verify}" in copy
