"""Settling with a host that is back: first what it owes, then what it has not heard of."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec

from fifo.fleet import limits
from fifo.model import keys, records
from fifo.model.errors import FifoError
from fifo.model.link import Command
from fifo.store.contract import Delete, Put, Txn, unchanged
from supervisors import SupervisorsError

if TYPE_CHECKING:
    from fifo.fleet.ownership import Ownership
    from fifo.fleet.session import AgentLink
    from fifo.model.instance import Claim, InstanceSpec, InstanceStatus
    from fifo.model.link import CommandResult, Hello, Verb
    from fifo.workflows.world import World
    from supervisors import Future

logger = logging.getLogger("fifo.fleet")


class Settling:
    """One round with one host, by its owner."""

    def __init__(self, host: str, world: World, link: AgentLink, ownership: Ownership) -> None:
        self.host = host
        self.world = world
        self.link = link
        self.ownership = ownership

    async def settle(self, hello: Hello) -> None:
        """Do the cleanups that the host owes, then bring it the specs that it does not have."""
        await self._collect_debts()
        await self._bring_specs(hello)

    async def _collect_debts(self) -> None:
        """Have removed what could not be; the claims are given back when the host confirms."""
        catalog = self.world.catalog
        for entry in list(catalog.cleanups):
            debt = entry.record
            if debt.host != self.host:
                continue
            verb: Verb = "remove" if debt.what == "instance" else "delete_image"
            try:
                answer = await self._order(verb, debt.uid, debt.claim, None, "cleanup")
            except (FifoError, SupervisorsError) as error:
                logger.warning("Host %s still owes %s: %s", self.host, debt.uid, error)
                continue
            if answer.failure is not None:
                logger.error("Host %s refused a cleanup: %s", self.host, answer.failure.what)
                continue
            gone = [Delete(entry.key)]
            if debt.what == "instance":
                await self.world.placement.release((debt.uid,))
                gone += self._records_of(debt.uid)
            reply = await self.world.store.txn(Txn(then=tuple(gone)))
            await catalog.at(reply.revision)

    def _records_of(self, uid: str) -> list[Delete]:
        """Give what goes with an instance that its host has removed."""
        catalog = self.world.catalog
        gone = [Delete(keys.by_uid(keys.INSTANCE_STATUS, uid))]
        spec = catalog.specs.record(uid)
        if spec is not None and spec.deleting:
            gone.append(Delete(keys.by_uid(keys.INSTANCE_SPEC, uid)))
            index = keys.index("instances", spec.org, spec.id)
            if catalog.ids.get(index) == uid:
                gone.append(Delete(index))
        return gone

    async def _bring_specs(self, hello: Hello) -> None:
        """Bring specs that no operation is about and that the agent has not seen yet."""
        catalog = self.world.catalog
        seen = {status.uid: status.generation for status in hello.statuses}
        for status in hello.statuses:
            await self._overtake(status)
        behind: list[tuple[InstanceSpec, Claim]] = []
        for entry in catalog.claims:
            claim = entry.record
            if claim.host != self.host or claim.uid in catalog.busy:
                continue
            spec = catalog.specs.record(claim.uid)
            if spec is not None and seen.get(claim.uid, -1) < spec.generation:
                behind.append((spec, claim))
        for first in range(0, len(behind), limits.BRING_SPECS):
            answers = [
                self._order("realise", spec.uid, claim, spec, f"generation-{spec.generation}")
                for spec, claim in behind[first : first + limits.BRING_SPECS]
            ]
            for answer in answers:
                try:
                    await answer
                except (FifoError, SupervisorsError) as error:
                    logger.warning("Host %s did not take a spec: %s", self.host, error)

    async def _overtake(self, status: InstanceStatus) -> None:
        """Make a spec newer than what its host has seen, if it is older: the store was put back.

        What is wanted is what the store says. The host obeys no generation that it is beyond.
        """
        catalog = self.world.catalog
        entry = catalog.specs.get(status.uid)
        claim = catalog.claims.record(status.uid)
        if entry is None or entry.record.generation >= status.generation:
            return
        if claim is None or claim.host != self.host:
            return
        newer = msgspec.structs.replace(
            entry.record,
            generation=status.generation + 1,
            boot_generation=max(entry.record.boot_generation, status.boot_generation),
        )
        compares = (self.ownership.own(), unchanged(entry.key, entry.revision))
        # Lost to a change that somebody makes meanwhile it is made at the next greeting.
        reply = await self.world.store.txn(Txn(compares, (Put(entry.key, records.encode(newer)),)))
        await catalog.at(reply.revision)

    def _order(
        self, verb: Verb, uid: str, claim: Claim | None, spec: InstanceSpec | None, step: str
    ) -> Future[CommandResult]:
        catalog = self.world.catalog
        wanted = dict.fromkeys(claim.networks.values()) if claim is not None else {}
        found = (catalog.networks.record(network) for network in wanted)
        image = catalog.images.record(spec.image) if spec is not None else None
        command = Command(
            fence=self.ownership.fence,
            operation=f"session-{self.ownership.fence}",
            step=step,
            verb=verb,
            uid=uid,
            until=self.world.utc() + limits.SETTLE_S,
            spec=spec,
            claim=claim,
            networks=tuple(network for network in found if network is not None),
            image=image,
        )
        return self.link.command(command)
