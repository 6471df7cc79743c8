"""Hypervisors: from what operators want and agents report to what callers see."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from fifo.api.resources.instances import BRANDS
from fifo.api.resources.values import etag, set_time
from fifo.model import names
from fifo.model.instance import Shares
from fifo.v1 import hypervisor_pb2
from fifo.workflows.strangers import foreign

if TYPE_CHECKING:
    from fifo.model.hypervisor import (
        Allocation,
        HypervisorSpec,
        HypervisorStatus,
        Probe,
    )
    from fifo.store.catalog import Entry, View

Message = hypervisor_pb2.Hypervisor
TYPE: Final = "fifo/Hypervisor"
STATES: Final = MappingProxyType({"ready": Message.READY, "unreachable": Message.UNREACHABLE})


class Parts(NamedTuple):
    """The records that a host is seen from."""

    spec: Entry[HypervisorSpec]
    status: Entry[HypervisorStatus] | None
    allocation: Entry[Allocation] | None
    owed: tuple[str, ...]
    owed_images: tuple[str, ...]
    owed_snapshots: tuple[str, ...]
    foreign: tuple[str, ...]


def capture(view: View, uid: str) -> Parts | None:
    """Take a host's records as they are now; None if there is none."""
    spec = view.hosts.get(uid)
    if spec is None:
        return None
    debts = [
        own.record for path, own in view.cleanups.entries.items() if path.startswith(f"{uid}/")
    ]
    return Parts(
        spec,
        view.host_statuses.get(uid),
        view.allocations.get(uid),
        tuple(debt.uid for debt in debts if debt.what == "instance"),
        tuple(debt.uid for debt in debts if debt.what == "image"),
        tuple(
            # By the uid, which is what it is called for ever.
            f"{names.instance_name(debt.uid)}/{names.SNAPSHOTS}/{debt.snapshot}"
            for debt in debts
            if debt.what == "snapshot"
        ),
        foreign(view, uid),
    )


def name_of(parts: Parts) -> str:
    """Name it."""
    return f"{names.HYPERVISORS}/{parts.spec.record.id}"


def message(view: View, parts: Parts) -> Message:
    """Make what callers see."""
    del view
    spec = parts.spec.record
    made = Message(
        name=name_of(parts),
        uid=spec.uid,
        etag=etag(parts.spec.raw),
        labels=spec.labels,
        reserved=_shares(spec.reserved),
        cordoned=spec.admission == "cordoned",
        generation=spec.generation,
        foreign_instances=parts.foreign,
        owed_cleanups=parts.owed,
        owed_images=parts.owed_images,
        owed_snapshots=parts.owed_snapshots,
    )
    set_time(made.create_time, spec.create_time)
    if parts.allocation is not None:
        made.allocated.CopyFrom(_shares(parts.allocation.record.used))
        made.instance_count = parts.allocation.record.instances
    status = parts.status.record if parts.status is not None else None
    # A host that has a spec and never reported is one that is not heard of.
    made.state = STATES[status.condition] if status is not None else Message.UNREACHABLE
    if status is not None:
        set_time(made.state_time, status.since)
        made.state_reason = status.reason
        made.agent_version = status.agent_version
        if status.probe is not None:
            add_probe(made, status.probe)
    return made


def add_probe(made: Message, probe: Probe) -> None:
    """Write what was found on a host by trial, in place of what was there."""
    for field in ("brands", "storage_pools", "nic_tags", "missing"):
        made.ClearField(field)
    made.driver = probe.driver
    made.brands.extend(BRANDS[brand] for brand in probe.brands if brand in BRANDS)
    made.missing.update(probe.missing)
    made.capacity.CopyFrom(_shares(probe.capacity))
    for pool in probe.pools:
        made.storage_pools.add(**msgspec.structs.asdict(pool))
    made.nic_tags.extend(probe.nic_tags)
    made.hostname = probe.hostname
    made.kernel = probe.kernel
    made.runtime = f"{probe.runtime} {probe.runtime_version}".strip()
    made.qemu_version = probe.qemu_version
    made.accelerator = probe.accelerator
    made.cgroups = probe.cgroups
    made.boot_id = probe.boot_id
    set_time(made.boot_time, probe.boot_time)


def changed(spec: HypervisorSpec, given: Message) -> HypervisorSpec:
    """Give the spec with what a caller set in a whole message."""
    reserved = Shares(
        cpu=given.reserved.cpu, memory=given.reserved.memory, disk=given.reserved.disk
    )
    return msgspec.structs.replace(spec, labels=dict(given.labels), reserved=reserved)


def _shares(shares: Shares) -> hypervisor_pb2.Shares:
    return hypervisor_pb2.Shares(cpu=shares.cpu, memory=shares.memory, disk=shares.disk)
