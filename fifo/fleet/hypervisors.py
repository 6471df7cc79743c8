"""Hosts as operators want them: labels, what is reserved, and whether they take new instances."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from fifo.fleet.commits import Plan
from fifo.model import records
from fifo.store.contract import Put, unchanged

if TYPE_CHECKING:
    from fifo.model.hypervisor import Admission, HypervisorSpec
    from fifo.store.catalog import Entry


def update(entry: Entry[HypervisorSpec], changed: HypervisorSpec) -> Plan:
    """Plan the next generation of what is wanted of a host; nothing if it is as it was."""
    before = entry.record
    if changed == before:
        return Plan(before.uid)
    after = msgspec.structs.replace(changed, generation=before.generation + 1)
    return Plan(
        before.uid,
        [unchanged(entry.key, entry.revision)],
        [Put(entry.key, records.encode(after))],
    )


def admit(entry: Entry[HypervisorSpec], admission: Admission) -> Plan:
    """Plan to open a host to new instances, or to keep them away."""
    return update(entry, msgspec.structs.replace(entry.record, admission=admission))
