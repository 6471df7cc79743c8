"""A hypervisor: a host that runs instances, as its agent found it and as operators want it."""

from __future__ import annotations

from typing import Literal

from fifo.model.instance import Shares
from fifo.model.records import Record, Value

Admission = Literal["open", "cordoned"]
Condition = Literal["ready", "unreachable"]
DriverKind = Literal["linux", "simulated", "smartos"]


class Pool(Value, frozen=True):
    """A storage pool: what it is, and what it can do."""

    name: str
    kind: Literal["dir", "btrfs", "zfs", "memory"]
    size_bytes: int
    snapshots: bool
    quota: bool


class Probe(Value, frozen=True):
    """What a driver found on its host when it looked: facts by trial, not by what exists."""

    driver: DriverKind
    brands: tuple[str, ...]
    capacity: Shares
    runtime: str = ""
    runtime_version: str = ""
    cgroups: str = ""
    accelerator: str = ""
    qemu_version: str = ""
    kernel: str = ""
    boot_id: str = ""
    boot_time: float = 0.0
    hostname: str = ""
    pools: tuple[Pool, ...] = ()
    nic_tags: tuple[str, ...] = ()
    missing: dict[str, str] = {}
    """What this host cannot do and why, by feature, for people: `kvm` -> "did not boot with it"."""


class HypervisorSpec(Record, frozen=True, tag="hypervisor_spec/1"):
    """How operators want a host: its labels, and whether it takes new instances."""

    uid: str
    id: str
    create_time: float
    generation: int = 1
    admission: Admission = "open"
    labels: dict[str, str] = {}
    reserved: Shares = Shares()


class HypervisorStatus(Record, frozen=True, tag="hypervisor_status/1"):
    """What the session that owns a host knows of it.

    `reason` is why it is unreachable. `told` is whether its instances' stories say that they are
    cut off, and not yet that they are not any more.
    """

    uid: str
    condition: Condition
    since: float
    reason: str = ""
    told: bool = False
    probe: Probe | None = None
    agent_version: str = ""
    foreign: tuple[str, ...] = ()
    """Instances on the host that the store does not know: listed, never deleted."""


class Allocation(Record, frozen=True, tag="allocation/1"):
    """The sum of a host's claims; a claim compares this record's revision and replaces it."""

    host: str
    used: Shares = Shares()
    instances: int = 0


class HostOwner(Record, frozen=True, tag="host_owner/1"):
    """Who owns a host, and how far its fence is above the revision of this record."""

    node: str
    raised: int = 0
