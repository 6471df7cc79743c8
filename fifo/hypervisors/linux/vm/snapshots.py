"""Snapshots of a VM's disks, within its qcow2 files: of all of them at one moment.

They are of the disks alone, as after a loss of power; what the guest had in memory is not in them.
Of a running VM QEMU takes them, in one transaction; of a stopped one qemu-img does. `vm.json` says
which there are: what is in a disk and not written down is none, of a node that was killed
meanwhile, and goes with the next that is taken, dropped or rolled back to.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from fifo.hypervisors.linux.vm import limits, made
from fifo.hypervisors.linux.vm.made import MadeDisk, Taken
from fifo.model.errors import FifoError, NoRoom, NotFound
from fifo.model.instance import Snapshot
from fifo.model.limits import SNAPSHOTS as SNAPSHOTS_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from fifo.hypervisors.linux.vm.disks import Disks
    from fifo.hypervisors.linux.vm.made import Made
    from fifo.hypervisors.linux.vm.monitor import Monitor

_log: Final = logging.getLogger(__name__)


class Place(NamedTuple):
    """A VM's directory, and its monitor while it runs."""

    directory: Path
    monitor: Monitor | None = None


class Snapshots:
    """Takes and drops them. Used on the node's loop; raises DriverFailed, NoRoom, OSError."""

    def __init__(self, disks: Disks) -> None:
        self._disks = disks

    def of(self, directory: Path) -> tuple[Snapshot, ...]:
        """List them, oldest first. What one holds alone is not known: qcow2 does not count it."""
        return tuple(_shown(taken) for taken in made.read(directory).snapshots)

    async def take(self, place: Place, name: str, created: float) -> Snapshot:
        """Take one; one that is there is given."""
        found = made.read(place.directory)
        if (known := found.snapshot(name)) is not None:
            return _shown(known)
        if len(found.snapshots) >= SNAPSHOTS_MAX:
            raise NoRoom(f"{SNAPSHOTS_MAX} snapshots", place.directory.name, "delete some of them")
        taken = Taken(name=name, created=created, disks=tuple(disk.number for disk in found.own))
        await self._drop_unrecorded(place, found)
        try:
            await self._take(place, found, taken)
        except (FifoError, OSError):
            await self._take_back(place, found)
            raise
        return _shown(taken)

    async def _take(self, place: Place, found: Made, taken: Taken) -> None:
        if place.monitor is None:
            for disk in found.own:
                await self._disks.snapshot(place.directory, found, disk, taken.tag)
        elif found.own:
            await place.monitor.ask(
                "transaction", timeout_s=limits.SNAPSHOT_S, actions=_actions(found.own, taken.tag)
            )
        made.write(
            place.directory, msgspec.structs.replace(found, snapshots=(*found.snapshots, taken))
        )

    async def _take_back(self, place: Place, found: Made) -> None:
        """Drop what a snapshot that failed left in some of the disks."""
        try:
            await self._drop_unrecorded(place, found)
        except FifoError as error:
            # The next one that is taken or dropped tries again.
            _log.warning("%s: half a snapshot stays for now: %s", place.directory.name, error)

    async def roll_back(self, place: Place, name: str) -> None:
        """Put the disks of a stopped VM back, and drop what was taken later."""
        found = made.read(place.directory)
        taken = found.snapshot(name)
        if taken is None:
            subject = f"{place.directory.name}@{name}"
            raise NotFound("no such snapshot", subject, "see which there are")
        sizes: dict[int, int] = {}
        for disk in found.in_snapshot(taken):
            await self._disks.roll_back(place.directory, found, disk, taken.tag)
            info = await self._disks.info(place.directory, found, disk)
            # A disk that was made larger since then is as it was.
            sizes[disk.number] = int(info["virtual-size"])
        resized = tuple(
            msgspec.structs.replace(disk, size_bytes=sizes.get(disk.number, disk.size_bytes))
            for disk in found.disks
        )
        kept = found.snapshots[: found.snapshots.index(taken) + 1]
        found = msgspec.structs.replace(found, disks=resized, snapshots=kept)
        made.write(place.directory, found)
        await self._drop_unrecorded(place, found)

    async def delete(self, place: Place, name: str) -> None:
        """Drop one: its record first, so that half of it is none."""
        found = made.read(place.directory)
        left = tuple(each for each in found.snapshots if each.name != name)
        if left != found.snapshots:
            found = msgspec.structs.replace(found, snapshots=left)
            made.write(place.directory, found)
        await self._drop_unrecorded(place, found)

    async def _drop_unrecorded(self, place: Place, found: Made) -> None:
        """Have no snapshot of ours in the disks that is not written down."""
        recorded = {taken.tag for taken in found.snapshots}
        there = {} if place.monitor is None else await _tags(place.monitor)
        for disk in found.own:
            if place.monitor is None:
                there[disk.node] = await self._disks.tags(place.directory, found, disk)
            ours = {tag for tag in there.get(disk.node, ()) if tag.startswith(made.SNAPSHOT)}
            for tag in sorted(ours - recorded):
                await self._drop(place, found, disk, tag)

    async def _drop(self, place: Place, found: Made, disk: MadeDisk, tag: str) -> None:
        if place.monitor is None:
            await self._disks.delete_snapshot(place.directory, found, disk, tag)
            return
        await place.monitor.ask(
            "blockdev-snapshot-delete-internal-sync",
            timeout_s=limits.SNAPSHOT_S, device=disk.node, name=tag,
        )  # fmt: skip


def _actions(disks: Iterable[MadeDisk], tag: str) -> list[dict[str, Any]]:
    kind = "blockdev-snapshot-internal-sync"
    return [{"type": kind, "data": {"device": disk.node, "name": tag}} for disk in disks]


async def _tags(monitor: Monitor) -> dict[str, set[str]]:
    """Ask which snapshots are in each disk, by its name on QMP."""
    found: dict[str, set[str]] = {}
    for device in await monitor.ask("query-block"):
        inserted = device.get("inserted", {})
        snapshots = inserted.get("image", {}).get("snapshots", ())
        found[inserted.get("node-name", "")] = {each["name"] for each in snapshots}
    return found


def _shown(taken: Taken) -> Snapshot:
    return Snapshot(name=taken.name, created=taken.created)
