"""Admission: whether a host takes new instances, as operators want it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from fifo.fleet.commits import next_generation

if TYPE_CHECKING:
    from fifo.fleet.commits import Plan
    from fifo.model.hypervisor import Admission, HypervisorSpec
    from fifo.store.catalog import Entry


def admit(entry: Entry[HypervisorSpec], admission: Admission) -> Plan:
    """Plan to open a host to new instances, or to keep them away."""
    return next_generation(entry, msgspec.structs.replace(entry.record, admission=admission))
