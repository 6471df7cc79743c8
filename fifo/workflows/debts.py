"""Debts: what a host that could not be asked still has to remove, written down for its session.

The session settles a debt whenever it finds one (`fifo.fleet.settling`), also one that is written
when its host is back already: who writes one need not know how the host is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from fifo.model import keys, records
from fifo.model.instance import Cleanup
from fifo.store.contract import Put

if TYPE_CHECKING:
    from fifo.model.instance import Claim
    from fifo.workflows.workflow import Run


def of_instance(run: Run, uid: str) -> list[Put]:
    """Write down that a host owes an instance's removal; nothing of one that has no host."""
    claim = run.catalog.claims.record(uid)
    return [] if claim is None else [_owe(run, "instance", uid, claim.host, claim)]


def of_image(run: Run, uid: str, host: str) -> list[Put]:
    """Write down that a host owes taking an image out of its cache."""
    return [_owe(run, "image", uid, host)]


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
