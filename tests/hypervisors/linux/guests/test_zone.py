"""The small zone runs under the host's own runc, serves its page and ends as it is told."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from fifo.hypervisors.linux.guests import file_tree, spawning, zone, zone_image
from tests.hypervisors.linux.guests.bundle import ADDRESS, HOSTNAME, Zone
from tests.hypervisors.linux.guests.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from fifo.hypervisors.linux.guests.busybox import Busybox
    from fifo.hypervisors.linux.guests.image_cache import GuestImage


@pytest.fixture
def running(zone_guest: GuestImage, tmp_path: Path) -> Zone:
    directory = tmp_path / "bundle"
    directory.mkdir()
    return Zone(zone_guest, directory)


def test_its_page_tells_hostname_and_address(running: Zone) -> None:
    with running:
        assert eventually(running.page) == f"hostname: {HOSTNAME}\naddress: lo {ADDRESS}\n"


@pytest.mark.parametrize("signal", ["TERM", "PWR"])
def test_it_stops_in_order_when_it_is_asked_to(running: Zone, signal: str) -> None:
    with running:
        eventually(running.page)
        running.signal(signal)
        assert running.exit_status() == 0


def test_it_ends_with_the_status_that_it_was_told(running: Zone) -> None:
    with running:
        running.run("exit-with", "7")
        assert running.exit_status() == 7


def test_it_ends_by_itself_when_its_server_dies(running: Zone) -> None:
    with running:
        eventually(running.page)
        running.run("killall", "-KILL", "httpd")
        assert running.exit_status() == 70


def test_it_reaps_what_lost_its_parent(running: Zone) -> None:
    with running:
        orphan = running.run("sh", "-c", "(sh -c 'exit 3' & echo $!)")
        pid = orphan.stdout.strip()
        assert pid.isdigit()
        eventually(lambda: running.run("test", "-e", f"/proc/{pid}").returncode == 1 or None)


def test_every_shell_script_of_the_zone_is_one(box: Busybox) -> None:
    scripts = [
        entry.content for entry in zone.tree(box).values() if entry.content.startswith(b"#!/bin/sh")
    ]
    assert len(scripts) == 3
    for script in scripts:
        checked = asyncio.run(
            spawning.run(["/bin/busybox", "sh", "-n"], stdin=script, deadline_s=10.0)
        )
        assert (checked.status, checked.stderr) == (0, b"")


# --- the image -----------------------------------------------------------------------------------


def test_a_second_build_gives_the_same_bytes(zone_guest: GuestImage, tmp_path: Path) -> None:
    again = asyncio.run(zone_image.build(spawning.run, tmp_path))
    assert again.manifest == zone_guest.manifest
    assert again.directory.name == zone_guest.directory.name


def test_its_tar_holds_what_the_tree_says(zone_guest: GuestImage, box: Busybox) -> None:
    assert zone_guest.path("rootfs").read_bytes() == file_tree.tar(zone.tree(box))


def test_its_oci_layout_leads_from_the_index_to_the_same_layer(zone_guest: GuestImage) -> None:
    layout = zone_guest.directory / zone_image.OCI
    assert json.loads((layout / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    (found,) = json.loads((layout / "index.json").read_bytes())["manifests"]
    assert found["annotations"] == {"org.opencontainers.image.ref.name": "latest"}
    manifest = json.loads(blob(layout, found))
    config = json.loads(blob(layout, manifest["config"]))
    (layer,) = (gzip.decompress(blob(layout, each)) for each in manifest["layers"])
    assert layer == zone_guest.path("rootfs").read_bytes()
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    assert config["config"]["Cmd"] == list(zone_guest.manifest.command)
    assert config["architecture"] == zone_guest.manifest.architecture


def blob(layout: Path, descriptor: dict[str, object]) -> bytes:
    kind, _, digest = str(descriptor["digest"]).partition(":")
    data = (layout / "blobs" / kind / digest).read_bytes()
    assert len(data) == descriptor["size"]
    assert hashlib.sha256(data).hexdigest() == digest
    return data
