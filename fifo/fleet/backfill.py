"""Backfill: claims of what instances have from before it was claimed, made when a node starts.

An interface that names no network claimed nothing once, and no hardware address was claimed; an
upgrade of single records cannot claim, since it takes other keys. What another has by now is told,
and both are left as they are: which one is to give way is not ours to say.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from fifo.fleet import limits
from fifo.model import names
from fifo.model.address_pool import bare
from fifo.model.errors import FifoError
from fifo.model.vmadm.texts import is_address
from fifo.model.wires import own_macs, static
from supervisors import Continue, GenServer, SupervisorsError

if TYPE_CHECKING:
    from fifo.model.instance import Claim, InstanceSpec, Nic
    from fifo.store.catalog import Catalog
    from fifo.workflows.world import World

logger = logging.getLogger("fifo.fleet")


def unclaimed(catalog: Catalog, spec: InstanceSpec, claim: Claim) -> tuple[Nic, ...]:
    """Give the interfaces of which something is to be claimed; for Backfill and the ledger."""
    chosen = own_macs(spec)
    return tuple(nic for nic in spec.nics if _is_unclaimed(catalog, nic, claim, chosen))


def _is_unclaimed(catalog: Catalog, nic: Nic, claim: Claim, chosen: tuple[str, ...]) -> bool:
    wants_mac = nic.mac in chosen and nic.mac not in catalog.macs.entries
    if nic.mac in claim.networks:
        return wants_mac
    own = static(nic)
    # What placement would not have taken it does not take now.
    fit = bool(nic.nic_tag) and not nic.network and all(is_address(bare(text)) for text in own)
    return fit and (bool(own) or wants_mac)


class Backfill(GenServer):
    """Has placement claim what is unclaimed, oldest instance first; then idles."""

    def init(self, world: World) -> Any:
        """Begin when the start is answered."""
        self.world = world
        return Continue("look")

    async def handle_continue(self, argument: Any) -> None:
        """Look through all claims, and tell of what another has."""
        del argument
        found = await self._found()
        try:
            for first in range(0, len(found), limits.BACKFILL_AT_ONCE):
                uids = tuple(found[first : first + limits.BACKFILL_AT_ONCE])
                for uid, error in await self.world.placement.backfill(uids):
                    spec = self.world.catalog.specs.record(uid)
                    name = uid if spec is None else names.instance_name(spec.id, spec.org)
                    logger.warning("The instance %s has what it cannot claim: %s", name, error)
        except (FifoError, SupervisorsError) as error:
            # No reason to take the fleet down: what is left is looked for at the next start.
            logger.warning("Claims of before wires were claimed were not all made: %s", error)

    async def _found(self) -> list[str]:
        """List the instances of which something is unclaimed, by uid; an unread record's is not.

        Gives the shard back now and then: there are claims by the ten thousand.
        """
        catalog = self.world.catalog
        found: list[tuple[float, str]] = []
        for count, uid in enumerate(tuple(catalog.claims.entries), 1):
            if not count % limits.BACKFILL_SLICE:
                await self.sleep(0.0)
            try:
                spec, claim = catalog.specs.record(uid), catalog.claims.record(uid)
            except FifoError as error:
                logger.warning("What %s has is not looked at: %s", uid, error)
                continue
            if spec is not None and claim is not None and unclaimed(catalog, spec, claim):
                found.append((spec.create_time, uid))
        return [uid for _, uid in sorted(found)]
