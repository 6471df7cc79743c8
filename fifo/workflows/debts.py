"""Debts: what a host that could not be asked still has to remove, written down for its session.

The session settles a debt whenever it finds one (`fifo.fleet.settling`), also one that is written
when its host is back already: who writes one need not know how the host is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fifo.model import keys, records
from fifo.model.errors import AlreadyExists
from fifo.model.instance import Cleanup
from fifo.store.contract import Put

if TYPE_CHECKING:
    from fifo.model.instance import Claim, Owed
    from fifo.store.catalog import Catalog
    from fifo.workflows.workflow import Run

HOSTS_NAMED: Final = 3
"""Hosts that an error names, of those that owe something: who wants all lists the hosts."""
_SEVERAL: Final = ("hosts", "have", "these hosts are")


def of_instance(run: Run, uid: str) -> list[Put]:
    """Write down that a host owes an instance's removal; nothing of one that has no host."""
    claim = run.catalog.claims.record(uid)
    return [] if claim is None else [_owe(run, "instance", uid, claim.host, claim=claim)]


def of_snapshot(run: Run, uid: str) -> list[Put]:
    """Write down that a host owes dropping the snapshot that an operation was to take."""
    claim = run.catalog.claims.record(uid)
    name = str(run.operation.input["snapshot"])
    return [] if claim is None else [_owe(run, "snapshot", uid, claim.host, snapshot=name)]


def of_image(run: Run, uid: str, host: str) -> list[Put]:
    """Write down that a host owes taking an image out of its cache."""
    return [_owe(run, "image", uid, host)]


def owed(
    catalog: Catalog, what: Owed, uid: str, name: str, snapshot: str = ""
) -> AlreadyExists | None:
    """Say which hosts still have to remove what is to be made anew by a uid; None if none.

    They would take what was made anew for what they owe, and remove that. `name` is the resource's;
    a snapshot is one of its instance's uid.
    """
    hosts = catalog.owed.get(f"{uid}/{snapshot}" if snapshot else uid, ())
    if not hosts:
        return None
    shown = ", ".join(host_id(catalog, host) for host in hosts[:HOSTS_NAMED])
    more = f" and {len(hosts) - HOSTS_NAMED} more" if len(hosts) > HOSTS_NAMED else ""
    who, have, done = ("host", "has", "that host is") if len(hosts) == 1 else _SEVERAL
    known_by = "name" if what == "snapshot" else "uuid"
    one = f"{'a' if what == 'snapshot' else 'an'} {what}"
    return AlreadyExists(
        f"{who} {shown}{more} still {have} to remove {one} of this {known_by}",
        name,
        f"try again when {done} back and {have} done it, or choose another {known_by}",
    )


def host_id(catalog: Catalog, host: str) -> str:
    """Give what people call a host: its id, or its uid while nothing more is known of it."""
    spec = catalog.hosts.record(host)
    return host if spec is None else spec.id


def _owe(
    run: Run, what: Owed, uid: str, host: str, *, claim: Claim | None = None, snapshot: str = ""
) -> Put:
    debt = Cleanup(
        uid=uid,
        host=host,
        operation=run.operation.id,
        since=run.world.utc(),
        claim=claim,
        what=what,
        snapshot=snapshot,
    )
    return Put(keys.cleanup(host, uid, snapshot), records.encode(debt))
