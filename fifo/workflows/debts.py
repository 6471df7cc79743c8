"""Debts: what a host that could not be asked still has to remove, written down for its session.

The session settles a debt whenever it finds one (`fifo.fleet.settling`), also one that is written
when its host is back already: who writes one need not know how the host is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from fifo.model import keys, records
from fifo.model.errors import AlreadyExists
from fifo.model.instance import Cleanup
from fifo.store.contract import Put

if TYPE_CHECKING:
    from fifo.model.instance import Claim
    from fifo.store.catalog import Catalog
    from fifo.workflows.workflow import Run

HOSTS_NAMED: Final = 3
"""Hosts that an error names, of those that owe something: who wants all lists the hosts."""
_SEVERAL: Final = ("hosts", "have", "these hosts are")


def of_instance(run: Run, uid: str) -> list[Put]:
    """Write down that a host owes an instance's removal; nothing of one that has no host."""
    claim = run.catalog.claims.record(uid)
    return [] if claim is None else [_owe(run, "instance", uid, claim.host, claim)]


def of_image(run: Run, uid: str, host: str) -> list[Put]:
    """Write down that a host owes taking an image out of its cache."""
    return [_owe(run, "image", uid, host)]


def owed(
    catalog: Catalog, what: Literal["instance", "image"], uid: str, name: str
) -> AlreadyExists | None:
    """Say which hosts still have to remove what has a uid that is to be used anew; None if none.

    They would take what was made anew for what they owe, and remove that. `name` is the resource's.
    """
    hosts = catalog.owed.get(uid, ())
    if not hosts:
        return None
    shown = ", ".join(host_id(catalog, host) for host in hosts[:HOSTS_NAMED])
    more = f" and {len(hosts) - HOSTS_NAMED} more" if len(hosts) > HOSTS_NAMED else ""
    who, have, done = ("host", "has", "that host is") if len(hosts) == 1 else _SEVERAL
    return AlreadyExists(
        f"{who} {shown}{more} still {have} to remove an {what} of this uuid",
        name,
        f"try again when {done} back and {have} done it, or choose another uuid",
    )


def host_id(catalog: Catalog, host: str) -> str:
    """Give what people call a host: its id, or its uid while nothing more is known of it."""
    spec = catalog.hosts.record(host)
    return host if spec is None else spec.id


def _owe(
    run: Run, what: Literal["instance", "image"], uid: str, host: str, claim: Claim | None = None
) -> Put:
    debt = Cleanup(
        uid=uid,
        host=host,
        operation=run.operation.id,
        since=run.world.utc(),
        claim=claim,
        what=what,
    )
    return Put(keys.cleanup(host, uid), records.encode(debt))
