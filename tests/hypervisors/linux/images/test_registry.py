"""Pulling from a registry, by the real skopeo from a small registry of the test's own."""

from __future__ import annotations

import json
import platform
import random
from typing import TYPE_CHECKING, Any

import pytest

from fifo.hypervisors.linux import limits
from fifo.hypervisors.linux.commands import CommandOutput
from fifo.hypervisors.linux.images import registry as registries
from fifo.hypervisors.linux.images import targets
from fifo.hypervisors.linux.images.oci import ARCHITECTURES
from fifo.hypervisors.linux.settings import ImageLimits
from fifo.model.errors import DataLoss, DriverFailed, NoRoom
from tests.hypervisors.linux.images.archives import entry, tar
from tests.hypervisors.linux.images.caching import UID, cache_of, fetch, image, refused
from tests.hypervisors.linux.images.oci_registry import (
    INDEX,
    MANIFEST,
    filled,
    serving,
    top,
    why_not,
)
from tests.hypervisors.linux.images.test_layouts import CONFIG

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.hypervisors.linux.images.oci_registry import Served
    from tests.hypervisors.linux.images.test_layouts import Layout

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

TOO_LARGE = "more than the 10 bytes.*--max-size"
MADE = b'{"config": {"digest": "sha256:0", "size": 1}}'


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
    with serving(filled(tmp_path / "served")) as served:
        yield served


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
    assert not registry.blobs


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
    await refused(cache, image(registry.image, "oci_layout"), NoRoom, TOO_LARGE)
    assert not registry.blobs


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
