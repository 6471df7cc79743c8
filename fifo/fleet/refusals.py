"""Refusals of a placement: that no host takes an instance, or one transaction not all it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fifo.model import limits, names
from fifo.model.errors import Conflict, InvalidInput, NoRoom, Unavailable, Violation
from fifo.workflows.debts import host_id
from fifo.workflows.strangers import host_of_stranger
from fifo.workflows.world import NO_HOST

if TYPE_CHECKING:
    from fifo.model.instance import InstanceSpec
    from fifo.model.network import Network
    from fifo.model.operation import Explanation
    from fifo.store.catalog import Catalog


def too_many(name: str, addresses: int, networks: int) -> InvalidInput | None:
    """Refuse addresses that with their networks do not fit one transaction; None if they do."""
    most = limits.PLACED_KEYS - networks
    if addresses <= most:
        return None
    wanted = f"at most {most} addresses at one time of {networks} networks, not {addresses}"
    return InvalidInput(name, (Violation("nics", wanted),))


_NOT_READY: Final = "not ready"
_USED_UP: Final = frozenset({"memory", "cpu", "disk"})
"""Rules that refuse a host for what others have of it already."""
_REMEDIES: Final = {
    _NOT_READY: "see why a host is not: fifo hypervisor list; once it is, ask again",
    "cordoned": "open one again: fifo hypervisor uncordon",
    "brand": "see what stands in the way of a brand, under CANNOT: fifo -o wide hypervisor list",
    "network": "have a host carry its interfaces' nic tags: the setting nic_tags",
    "another host was asked for": "ask for no host, or for another",
}
"""What to do about a rule that refused hosts; of the others something is used up."""


def _remedy(why: Explanation) -> str:
    """Say what to do about the rule by which most hosts were refused."""
    if not why.considered:
        return "add a host"
    worst = max(why.refused, key=lambda rule: why.refused[rule], default="")
    if worst.startswith("label "):
        return "label a host so, or take another package: fifo hypervisor label"
    return _REMEDIES.get(worst, "make it smaller, delete others, or add a host")


def _is_passing(why: Explanation) -> bool:
    """Tell whether a host that comes back may take what none takes now, with nothing used up."""
    away = why.refused.get(_NOT_READY, 0)
    return away > 0 and (away == why.considered or not _USED_UP & why.refused.keys())


def no_host(spec: InstanceSpec, why: Explanation) -> NoRoom | Unavailable:
    """Say that no host takes an instance, and by which rules.

    Unavailable where a host that is away may, else NoRoom. Both have the reason NO_HOST, by which
    a step tells them from what it tries again by itself.
    """
    reasons = ", ".join(f"{rule} {count}" for rule, count in why.refused.items())
    told = f"none of {why.considered} hosts takes it ({reasons or 'there is none'})"
    subject = names.instance_name(spec.id, spec.org)
    details = {f"refused_{rule.replace(' ', '_')}": str(n) for rule, n in why.refused.items()}
    if _is_passing(why):
        remedy = _REMEDIES[_NOT_READY]
        return Unavailable(told, subject, remedy, reason=NO_HOST, details=details)
    return NoRoom(told, subject, _remedy(why), reason=NO_HOST, details=details)


def being_changed(network: Network) -> Conflict:
    """Say that a network is closed, as it is while its pools or its wire are changed."""
    told = "the network is being changed, and gives no address now"
    return Conflict(told, f"networks/{network.id}", "try again in a moment")


def holder(catalog: Catalog, uid: str) -> str:
    """Name who has an address, so that it can be looked up: an instance, or nobody by ''.

    One that the store has no spec of is told with the host that has it, where that is known.
    """
    if not uid:
        return "a reservation"
    spec = catalog.specs.record(uid)
    if spec is not None:
        return names.instance_name(spec.id, spec.org)
    if (host := host_of_stranger(catalog, uid)) is not None:
        return f"{uid}, a foreign instance on host {host},"
    if owing := catalog.owed.get(uid):
        return f"{uid}, which host {host_id(catalog, owing[0])} still has to remove,"
    return names.instance_name(uid)
