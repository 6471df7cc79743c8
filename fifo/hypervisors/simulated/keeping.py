"""A simulated host as bytes, so that it can outlive the program that simulates it.

A real host goes on while its node is away. One in memory is written when its program ends in order
and read by the next; a program that is killed leaves nothing, and its host begins anew, as after
the loss of its disks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fifo.hypervisors.driver import Wanted
from fifo.hypervisors.simulated.guest import Guest
from fifo.model import records
from fifo.model.image import Image
from fifo.model.instance import Claim, Exit, InstanceSpec, Shares, Snapshot
from fifo.model.network import Network

if TYPE_CHECKING:
    from fifo.hypervisors.simulated.host import SimulatedHost


class KeptGuest(records.Value, frozen=True):
    """One guest; `started` is on the clock of the program that wrote it, and means nothing now."""

    spec: InstanceSpec
    claim: Claim
    networks: tuple[Network, ...]
    image: Image | None
    whole: bool
    pid: int
    start_id: int
    boot_id: str
    exit: Exit | None
    told: bool
    snapshots: tuple[Snapshot, ...]
    log: bytes


class KeptHost(records.Record, frozen=True, tag="simulated_host/1"):
    """The whole host."""

    boots: int
    boot_time: float
    next_pid: int
    images: tuple[Image, ...]
    guests: tuple[KeptGuest, ...]


def write(host: SimulatedHost) -> bytes:
    """Write a host down; nothing may happen on it afterwards."""
    guests = tuple(
        KeptGuest(
            spec=guest.wanted.spec,
            claim=guest.wanted.claim,
            networks=guest.wanted.networks,
            image=guest.wanted.image,
            whole=guest.whole,
            pid=guest.pid,
            start_id=guest.start_id,
            boot_id=guest.boot_id,
            exit=guest.exit,
            told=guest.told,
            snapshots=guest.snapshots,
            log=guest.log,
        )
        for guest in host.guests.values()
    )
    kept = KeptHost(
        boots=host.boots,
        boot_time=host.boot_time,
        next_pid=host.next_pid(),
        images=tuple(host.images.values()),
        guests=guests,
    )
    return records.encode(kept)


def read(host: SimulatedHost, data: bytes) -> None:
    """Make a new host what was written; raises DataLoss for other bytes."""
    kept = records.decode(KeptHost, data, host.settings.name)
    host.boots = kept.boots
    host.boot_time = kept.boot_time
    host.number_pids_from(kept.next_pid)
    host.images = {image.uid: image for image in kept.images}
    for own in kept.guests:
        guest = Guest(Wanted(own.spec, own.claim, own.networks, own.image))
        guest.whole, guest.pid, guest.start_id = own.whole, own.pid, own.start_id
        guest.boot_id, guest.exit, guest.told = own.boot_id, own.exit, own.told
        guest.snapshots, guest.log = own.snapshots, own.log
        guest.started = host.clockwork.now()
        host.guests[guest.uid] = guest
        host.used = _with(host.used, own.claim.shares)


def _with(used: Shares, more: Shares) -> Shares:
    return Shares(
        cpu=used.cpu + more.cpu, memory=used.memory + more.memory, disk=used.disk + more.disk
    )
