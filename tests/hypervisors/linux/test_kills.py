"""A node that is killed anywhere in anything it does: the next one finishes it, and nothing more.

Real processes, each ended by SIGKILL at one effect on the host, the next taking over from it: that
takes long, for there are some three hundred deaths, and a guest is started for many of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import random
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import pytest

from tests.hypervisors.linux import btrfs_disk
from tests.hypervisors.linux.dying_node import FINISHED, STALLS, WRONG, Life, Place, Shapes
from tests.hypervisors.linux.guests import built
from tests.hypervisors.linux.images.archives import directory, entry, tar
from tests.hypervisors.linux.images.oci_registry import serving as serving_registry
from tests.hypervisors.linux.images.oci_registry import top
from tests.hypervisors.linux.images.stalling import OneFile, Stall, serving
from tests.hypervisors.linux.images.test_layouts import Layout
from tests.hypervisors.linux.vm.vm_host import VmHost, guest_image, small_vm
from tests.hypervisors.linux.vm.vm_host import why_not as why_no_vms
from tests.hypervisors.linux.zone_host import ZoneHost, small_zone, why_not, zone_image_record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import IO

EFFECTS_MAX = 60
"""More than any operation has."""
MIB = 1024 * 1024


class Nodes:
    """Has nodes live and die, one after the other."""

    def __init__(self, to: IO[bytes], back: IO[bytes]) -> None:
        self._to = to
        self._back = back

    def life(self, life: Life, stall: Stall | None = None) -> str:
        """Have one live until its death; gives what it said of that, and tells a stall of it."""
        self._to.write(msgspec.json.encode(life) + b"\n")
        self._to.flush()
        said = []
        while line := self._back.readline().decode().strip():
            if stall is not None and line.startswith(STALLS):
                stall.name(int(line.removeprefix(STALLS)))
            said.append(line)
        assert len(said) == 1, said
        assert not said[0].startswith(WRONG), (life[1:4], said[0])
        return said[0]

    def killed(self, place: Place, operation: str, most: int = EFFECTS_MAX) -> list[str]:
        """Kill one before each effect of an operation, and within each request; gives where.

        `most` is how many effects are gone through, where those after them are another's too.
        """
        shapes = msgspec.json.decode(self.life(Life(place, operation)), type=Shapes)
        died: list[str] = []
        for at in range(most):
            died.append(self.life(Life(place, operation, at, "before", shapes)))
            if died[-1] == FINISHED:
                break
            if not died[-1].startswith(("before os.", "before shutil.")):
                died.append(self.life(Life(place, operation, at, "during", shapes)))
        # What was finished is looked at by a life after it.
        self.life(Life(place, operation, EFFECTS_MAX, "before", shapes))
        return died

    def killed_in_answers(
        self, place: Place, operation: str, stall: Stall, points: Iterable[tuple[str, int]]
    ) -> None:
        """Kill one at each of these points of what a server sends it."""
        shapes = msgspec.json.decode(self.life(Life(place, operation)), type=Shapes)
        for point in points:
            stall.arm(*point, passing=1)
            self.life(Life(place, operation, EFFECTS_MAX, "stalled", shapes), stall)
            assert not stall.armed, point
        self.life(Life(place, operation, EFFECTS_MAX, "before", shapes))


class Share(NamedTuple):
    """A share of the host, and what is imported there."""

    host: ZoneHost
    place: Place

    def importing(self, source: Path | str) -> Place:
        """Give the same with another image to import."""
        return self.place._replace(source=str(source))


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """Give the process from which nodes are forked."""
    argv = [sys.executable, "-m", "tests.hypervisors.linux.dying_node"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Nodes(process.stdin, process.stdout)
        process.stdin.close()


async def _prepare(host: ZoneHost, *, image: bool) -> None:
    await host.open()
    if image:
        await host.driver.fetch_image(zone_image_record(small_zone()[1]), lambda *_: None)
    await host.close()


async def _remove_all(host: ZoneHost) -> None:
    await host.open()
    left = await host.remove_all()
    watched = await host.keeper.inventory()
    await host.close()
    assert left.none, left
    assert watched == []


@contextlib.contextmanager
def share(host: ZoneHost, source: Path, *, image: bool = False) -> Iterator[Share]:
    """Give a host's share; at the end of all deaths nothing is left of what was there."""
    place = Place("vm" if isinstance(host, VmHost) else "zone", host.arguments(), str(source))
    try:
        asyncio.run(_prepare(host, image=image))
        yield Share(host, place)
        asyncio.run(_remove_all(host))
    finally:
        host.clear()


@pytest.fixture(scope="module")
def zones() -> Iterator[Share]:
    """Give a share for zones on overlays."""
    if reason := why_not():
        pytest.skip(reason)
    cache, archive = small_zone()
    with share(ZoneHost.make(cache), archive) as made:
        yield made


@pytest.fixture(scope="module")
def btrfs() -> Iterator[Share]:
    """Give a share for zones on btrfs."""
    if reason := why_not() or btrfs_disk.why_not():
        pytest.skip(reason)
    archive = small_zone()[1]
    with (
        btrfs_disk.mounted() as disk,
        share(ZoneHost.make(None, disk), archive, image=True) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def machines() -> Iterator[Share]:
    """Give a share for VMs."""
    if reason := why_no_vms():
        pytest.skip(reason)
    with share(VmHost.make(small_vm()), guest_image().path("disk")) as made:
        yield made


@pytest.mark.parametrize(
    ("operation", "deaths"),
    [
        ("create", 10),
        ("stop in order", 10),
        ("reboot", 25),
        ("update a stopped one", 3),
        ("update a running one", 7),
        ("delete", 15),
        ("capture", 7),
        ("delete an image", 3),
    ],
)
def test_a_zone(nodes: Nodes, zones: Share, operation: str, deaths: int) -> None:
    assert len(nodes.killed(zones.place, operation)) >= deaths


@pytest.mark.parametrize(
    ("operation", "deaths"),
    [
        ("create", 12),
        ("grow", 5),
        ("snapshot", 5),
        ("roll back", 15),
        ("delete a snapshot", 5),
        ("import", 9),
        ("capture", 9),
    ],
)
def test_a_zone_on_btrfs(nodes: Nodes, btrfs: Share, operation: str, deaths: int) -> None:
    assert len(nodes.killed(btrfs.place, operation)) >= deaths


@pytest.mark.parametrize(
    ("operation", "deaths"),
    [
        ("create", 9),
        ("grow", 8),
        ("stop", 12),
        ("update a running one", 4),
        ("delete", 18),
        ("snapshot", 6),
        ("snapshot of a running one", 3),
        ("roll back", 12),
        ("delete a snapshot", 6),
        ("delete a snapshot of a running one", 3),
        ("import", 12),
        ("capture", 10),
    ],
)
def test_a_vm(nodes: Nodes, machines: Share, operation: str, deaths: int) -> None:
    assert len(nodes.killed(machines.place, operation)) >= deaths


def test_an_import_of_a_layout(nodes: Nodes, zones: Share, tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.finish([layout.layer(tar(directory("bin"), entry("bin/x", data=b"x")))], {})
    assert len(nodes.killed(zones.importing(tmp_path), "import")) >= 7


def test_an_import_of_a_raw_disk(nodes: Nodes, machines: Share) -> None:
    source = built.directory() / "disk.raw"
    source.write_bytes(b"of a disk".ljust(MIB))
    assert len(nodes.killed(machines.importing(source), "import")) >= 9


def points_of(data: bytes) -> list[tuple[str, int]]:
    """Give points of a download: before its first byte, in the middle, and before its last."""
    return [("/image", length) for length in (0, len(data) // 2, len(data) - 1)]


def one_file(file: Path, stall: Stall) -> type[OneFile]:
    """Make a handler that serves a file."""
    return type("Handler", (OneFile,), {"file": file, "stall": stall})


def test_a_download_of_a_zones_image(nodes: Nodes, zones: Share) -> None:
    archive, stall = small_zone()[1], Stall()
    with serving(one_file(archive, stall)) as address:
        place = zones.importing(f"http://{address}/image")
        nodes.killed_in_answers(place, "import", stall, points_of(archive.read_bytes()))
        assert len(nodes.killed(place, "import")) >= 5


def test_a_download_of_a_vms_disk(nodes: Nodes, machines: Share) -> None:
    disk, stall = guest_image().path("disk"), Stall()
    with serving(one_file(disk, stall)) as address:
        place = machines.importing(f"http://{address}/image")
        nodes.killed_in_answers(place, "import", stall, points_of(disk.read_bytes()))
        assert len(nodes.killed(place, "import")) >= 9


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")
def test_a_pull_from_a_registry(nodes: Nodes, zones: Share, tmp_path: Path) -> None:
    # What the killed node had the keeper start is given `ORPHANS_S` each time.
    faulthandler.cancel_dump_traceback_later()
    layout, stall = Layout(tmp_path), Stall()
    noise = random.Random(1).randbytes(MIB)
    layer = layout.layer(tar(directory("bin"), entry("bin/x", data=noise)))
    layout.finish([layer], {})
    blobs = {path.name: path.stat().st_size for path in (tmp_path / "blobs" / "sha256").iterdir()}
    manifest, of_layer = top(tmp_path), layer["digest"].removeprefix("sha256:")
    (config,) = blobs.keys() - {manifest, of_layer}
    with serving_registry(layout, stall=stall) as registry:
        place = zones.importing(registry.image)
        points = [
            ("/tag", blobs[manifest] // 2),
            (config, 0),
            (of_layer, blobs[of_layer] // 2),
            (of_layer, blobs[of_layer] - 1),
        ]
        nodes.killed_in_answers(place, "import", stall, points)
        assert len(nodes.killed(place, "import")) >= 9


@pytest.mark.parametrize("operation", ["stop in order", "stop a booted one"])
def test_a_vm_that_is_asked_to_power_down(nodes: Nodes, machines: Share, operation: str) -> None:
    # A guest boots for each of them, and feels its power button then.
    faulthandler.cancel_dump_traceback_later()
    died = nodes.killed(machines.place, operation, most=2)
    # Then it asks once more while it waits, or is on its way to what follows the end.
    assert len(died) >= 3
    assert died[:2] == ["before QMP system_powerdown", "during QMP system_powerdown"]
