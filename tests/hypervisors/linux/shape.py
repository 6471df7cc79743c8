"""Everything that a node has on its host, in a form that two moments can be compared by."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fifo.hypervisors.linux.storage.btrfs import is_btrfs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.hypervisors.linux.zone_host import ZoneHost

CONTENTS = frozenset({"root", "rootfs", "upper", "work"})
"""Directories whose contents are a guest's or an image's."""
LOGS = frozenset({"console.log", "qemu.log"})
"""They come when a guest first writes."""


class Shape(NamedTuple):
    """What there is: nothing more and nothing less is to be there after a death and a repetition.

    `watched` are the keeper's instances and whether they run; `processes` the programs that run
    for this node, its keeper aside; `loops` the files behind loop devices.
    """

    links: tuple[str, ...]
    rules: tuple[str, ...]
    cgroups: tuple[str, ...]
    mounts: tuple[str, ...]
    containers: tuple[str, ...]
    directories: tuple[str, ...]
    sockets: tuple[str, ...]
    files: tuple[str, ...]
    watched: tuple[tuple[str, bool], ...]
    processes: tuple[str, ...]
    loops: tuple[str, ...]
    subvolumes: tuple[str, ...]


async def shape_of(host: ZoneHost) -> Shape:
    """Look at a host whose driver is open and does nothing."""
    watched = await host.keeper.inventory()
    return Shape(
        **(await host.leftovers())._asdict(),
        files=tuple(sorted(files(host.directory))),
        watched=tuple(sorted((each.instance, each.running) for each in watched)),
        processes=tuple(sorted(_processes(host))),
        loops=tuple(sorted(_loops(host.directory))),
        subvolumes=tuple(_subvolumes(host.settings.state_dir)),
    )


def files(directory: Path) -> Iterator[str]:
    """Yield the paths of all that a node has on its disk, but for the insides of guests."""
    for parent, directories, names in os.walk(directory):
        inside = Path(parent).relative_to(directory)
        if Path(parent).name in CONTENTS or inside.parts[:1] == ("k",):
            directories.clear()
            continue
        yield from (str(inside / name) for name in (*directories, *names) if name not in LOGS)


def _processes(host: ZoneHost) -> Iterator[str]:
    """Name what runs in the node's control groups, or was told of its directory."""
    mark, group = os.fsencode(host.directory), f"/{host.settings.cgroup}/".encode()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            told = (path / "cmdline").read_bytes()
            groups = (path / "cgroup").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        own = b"dying_node" in told or b"keeper" in told
        if told and not own and (mark in told or group in groups):
            yield told.partition(b"\0")[0].decode()


def _loops(directory: Path) -> Iterator[str]:
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            name = path.read_text().strip()
        except OSError:
            continue
        if Path(name).is_relative_to(directory):
            yield name


def _subvolumes(directory: Path) -> list[str]:
    if not is_btrfs(directory):
        return []
    listed = subprocess.run(
        ["/usr/bin/env", "btrfs", "subvolume", "list", directory], check=True, capture_output=True
    )
    return sorted(line.rpartition(" path ")[2] for line in listed.stdout.decode().splitlines())
