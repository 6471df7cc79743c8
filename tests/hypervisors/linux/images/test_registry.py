"""Pulling from a registry, by the real skopeo from a small registry of the test's own."""

from __future__ import annotations

import http.server
import json
import shutil
import threading
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from fifo.hypervisors.linux.commands import CommandOutput
from fifo.hypervisors.linux.images import registry as registries
from fifo.hypervisors.linux.images import targets
from fifo.hypervisors.linux.settings import ImageLimits
from fifo.model.errors import DriverFailed, NoRoom
from tests.hypervisors.linux.images.archives import directory, entry, tar
from tests.hypervisors.linux.images.caching import UID, cache_of, fetch, image, refused
from tests.hypervisors.linux.images.test_layouts import CONFIG, Layout

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

pytestmark = pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Registry(http.server.BaseHTTPRequestHandler):
    """The reading half of the distribution specification, over one layout."""

    layout: ClassVar[Path]

    def do_GET(self) -> None:
        """Answer for the API's root, a manifest or a blob."""
        kind, data = "application/octet-stream", b"{}"
        parts = self.path.strip("/").split("/")
        if len(parts) > 1:
            digest = parts[-1].removeprefix("sha256:")
            if parts[-2] == "manifests":
                kind = MANIFEST
                index = json.loads((self.layout / "index.json").read_text())
                digest = index["manifests"][0]["digest"].removeprefix("sha256:")
            path = self.layout / "blobs" / "sha256" / digest
            if parts[1] != "name" or not path.exists():
                self.send_error(404)
                return
            data = path.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """Give the address of a registry that has one image, `name`."""
    layout = Layout(tmp_path / "served")
    layout.finish([layout.layer(tar(directory("etc"), entry("etc/new", data=b"22")))], CONFIG)
    handler = type("Handler", (Registry,), {"layout": layout.place})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"docker://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


async def test_an_image_is_pulled_and_unpacked(tmp_path: Path, registry: str) -> None:
    cache = cache_of(tmp_path)
    found = await fetch(cache, image(f"{registry}/name:tag", "oci_layout"))
    assert found.state == "ready"
    assert (cache.rootfs(UID) / "etc" / "new").read_bytes() == b"22"
    assert cache.config(UID).command == ("/bin/start", "--now")
    assert not (cache.place(UID) / "layout").exists()


async def test_an_image_that_is_not_there_is_told_in_the_registrys_words(
    tmp_path: Path, registry: str
) -> None:
    wanted = image(f"{registry}/absent:tag", "oci_layout")
    await refused(cache_of(tmp_path), wanted, DriverFailed, "absent")


async def test_an_image_too_large_is_not_fetched(tmp_path: Path, registry: str) -> None:
    small = cache_of(tmp_path, image_limits=ImageLimits(download_bytes=10))
    await refused(small, image(f"{registry}/name:tag", "oci_layout"), NoRoom, "at most 10")


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
        return CommandOutput(0, b"{}", b"")

    def admitted(host: str, port: int, *, private: bool) -> list[str]:
        return targets.admitted(host, port, private=private, ask=lambda *_: addresses)

    await registries.pull(
        noted, "docker://registry.example.org/name:tag", tmp_path / "layout", 10,
        private=True, ask=admitted,
    )  # fmt: skip
    inspect, copy = ran
    assert f"--tls-verify={verify}" in inspect
    assert f"--src-tls-verify={verify}" in copy
