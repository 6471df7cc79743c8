"""A trial placement: what placement would decide now, by its own rules, claiming nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fifo.fleet.addresses import Addresses
from fifo.fleet.claims import Ledger
from fifo.model.placement import Fleet

if TYPE_CHECKING:
    from fifo.store.catalog import Catalog


def ledger(catalog: Catalog, now: float) -> Ledger:
    """Make a ledger of the fleet as it is, which nobody writes."""
    fleet = Fleet()
    for uid in {*catalog.hosts.entries, *catalog.host_statuses.entries}:
        fleet.describe(catalog.hosts.record(uid), catalog.host_statuses.record(uid))
    for entry in catalog.allocations:
        fleet.use(entry.record.host, entry.record.used)
    addresses = Addresses()
    addresses.load(catalog)
    return Ledger(catalog, fleet, addresses, now)
