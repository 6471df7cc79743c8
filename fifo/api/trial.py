"""A trial placement: what placement would decide now, by its own rules, claiming nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fifo.fleet.addresses import Addresses
from fifo.fleet.claims import Ledger
from fifo.fleet.plugs import nic_tags, plugs
from fifo.model import names
from fifo.model.errors import FifoError, NoRoom
from fifo.model.instance import Shares
from fifo.model.placement import Fleet, Request, refusals

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
    if (lacking := _tags_lacking(catalog, fleet, spec)) is not None:
        return lacking
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


def _tags_lacking(catalog: Catalog, fleet: Fleet, spec: InstanceSpec) -> NoRoom | None:
    """Refuse nic tags that an instance has not had and its host does not carry; None if it does.

    `fleet` is its host alone. What it has already on a tag that its host has lost stays as it is.
    """
    if not fleet.has[0]:
        return None  # The host was not met yet, and refuses by itself what it cannot.
    before = catalog.specs.record(spec.uid)
    had = nic_tags(catalog, before) if before is not None else frozenset()
    more = nic_tags(catalog, spec) - had
    lacking = [tag for tag in sorted(more) if _lacks(fleet, spec, tag)]
    if not lacking:
        return None
    return NoRoom(
        f"its host does not carry the nic tag {', '.join(lacking)}",
        names.instance_name(spec.id, spec.org),
        "have it do so, by the setting nic_tags, or take another",
        reason="NO_HOST",
        details={"refused_network": "1"},
    )


def _lacks(fleet: Fleet, spec: InstanceSpec, tag: str) -> bool:
    """Tell whether placement would refuse the one host of a fleet for a nic tag."""
    masks = dict(refusals(fleet, Request(Shares(), spec.brand, (tag,))))
    return bool(masks["network"][0])


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
