"""A small registry of a test's own, with one image in it, that can send its clients elsewhere."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import shutil
import threading
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from tests.hypervisors.linux.images.archives import directory, entry, tar
from tests.hypervisors.linux.images.stalling import Stall
from tests.hypervisors.linux.images.test_layouts import CONFIG, Layout

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator
    from pathlib import Path

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
POLL_S = 0.01


class Registry(http.server.BaseHTTPRequestHandler):
    """The reading half of the distribution specification, over one layout; `name:tag` is in it.

    Blobs are asked for `elsewhere`, if that is given: what stands before the path in a URL.
    """

    layout: ClassVar[Path]
    asked: ClassVar[list[str]]
    elsewhere: ClassVar[str]
    stall: ClassVar[Stall]

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
            if self.elsewhere and parts[-2] == "blobs":
                self.send_response(307)
                self.send_header("Location", f"{self.elsewhere}{self.path}")
                self.end_headers()
                return
            data = path.read_bytes()
            if parts[-2] == "manifests":
                kind = INDEX if b'"manifests"' in data else MANIFEST
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.stall.give(self, data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Served(NamedTuple):
    """A registry on a port of 127.0.0.1 that has one image, `name:tag`; `asked` are the paths."""

    port: int
    layout: Layout
    asked: list[str]

    @property
    def address(self) -> str:
        """Name the registry by its address."""
        return f"docker://127.0.0.1:{self.port}"

    @property
    def image(self) -> str:
        """Name the image."""
        return f"{self.address}/name:tag"

    @property
    def blobs(self) -> list[str]:
        """What was asked for that a manifest names."""
        return [path for path in self.asked if path.startswith("blobs")]

    def image_of(self, host: str) -> str:
        """Name the image as one of the registry at a host's name."""
        return f"docker://{host}:{self.port}/name:tag"


class Quiet(http.server.ThreadingHTTPServer):
    """A server that a client may go away from without a word, and that ends with its threads."""

    daemon_threads = False

    def handle_error(self, *_: object) -> None:
        """Say nothing: skopeo goes on to http:// where TLS finds none."""


def why_not() -> str:
    """Say why this machine cannot pull images; nothing if it can."""
    if os.geteuid() != 0:
        return "needs root: a pull has a network namespace"
    return "" if shutil.which("skopeo") else "skopeo is not installed"


def top(layout: Path) -> str:
    """Give the digest of what a layout has."""
    (found,) = json.loads((layout / "index.json").read_text())["manifests"]
    return str(found["digest"]).removeprefix("sha256:")


def filled(place: Path) -> Layout:
    """Make the layout of a small image of a zone."""
    layout = Layout(place)
    layout.finish([layout.layer(tar(directory("etc"), entry("etc/new", data=b"22")))], CONFIG)
    return layout


@contextlib.contextmanager
def serving(
    layout: Layout,
    elsewhere: str = "",
    secured: ssl.SSLContext | None = None,
    stall: Stall | None = None,
) -> Iterator[Served]:
    """Serve a layout on a port of 127.0.0.1, by TLS if there is a context for it."""
    asked: list[str] = []
    more = {
        "layout": layout.place, "asked": asked, "elsewhere": elsewhere, "stall": stall or Stall()
    }  # fmt: skip
    server = Quiet(("127.0.0.1", 0), type("Handler", (Registry,), more))
    if secured is not None:
        server.socket = secured.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(POLL_S,))
    thread.start()
    try:
        yield Served(server.server_port, layout, asked)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
