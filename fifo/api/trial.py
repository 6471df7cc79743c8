"""A trial placement: what placement would decide now, by its own rules, claiming nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fifo.fleet.addresses import Addresses
from fifo.fleet.claims import Ledger
from fifo.fleet.plugs import plugs
from fifo.model.errors import FifoError
from fifo.model.placement import Fleet

if TYPE_CHECKING:
    from fifo.model.instance import Claim, InstanceSpec
    from fifo.store.catalog import Catalog


def refused(catalog: Catalog, now: float, spec: InstanceSpec, claim: Claim) -> FifoError | None:
    """Say why an instance cannot become what a spec says on its host; None if it can.

    Only its host is looked at, and addresses only if it wants more: every update asks this, so that
    one that is refused leaves no generation behind which no host has seen.
    """
    fleet = Fleet()
    fleet.describe(catalog.hosts.record(claim.host), catalog.host_statuses.record(claim.host))
    used = catalog.allocations.record(claim.host)
    if used is not None:
        fleet.use(claim.host, used.used)
    addresses = Addresses()
    wants = plugs(catalog, spec)
    if isinstance(wants, FifoError):
        return wants
    if any(nic.mac in wants and not wants[nic.mac].keeps(nic, claim) for nic in spec.nics):
        addresses.load(catalog)
    return Ledger(catalog, fleet, addresses, now).resize(spec).error


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
