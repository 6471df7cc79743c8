"""What a host runs and the store does not know, as after a restore: listed, and never deleted.

What each has is kept, so that nobody else is given it: its addresses, of a network or a bare wire,
and those of its hardware. Until somebody has it adopted or removed (`fifo.workflows.strangers`),
or gives an address of a network back by `fifo network release`.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import msgspec

from fifo.fleet import limits
from fifo.model.instance import Claim, InstanceSpec
from fifo.model.link import Command
from fifo.model.network import AddressClaim
from fifo.model.wires import is_wire, static
from fifo.store.contract import Delete, Txn, unchanged
from fifo.workflows.strangers import is_held
from fifo.workflows.world import Holding
from supervisors import within

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fifo.fleet.ownership import Ownership
    from fifo.fleet.session import AgentLink
    from fifo.model.link import Hello
    from fifo.store.catalog import Catalog
    from fifo.workflows.world import World


def strangers(catalog: Catalog, hello: Hello) -> tuple[str, ...]:
    """List a host's instances that no record here is of, by uid.

    Its agent knows some of them, which it was given before the store went back; not those whose
    removal it still owes. One whose adoption is under way has a record, and is one until that has
    ended: undone, it leaves a stranger behind.
    """
    debts = (entry.record for entry in catalog.cleanups)
    owed = {debt.uid for debt in debts if debt.host == hello.host and debt.what == "instance"}
    told = {status.uid for status in hello.statuses if status.state != "deleted"}
    found = {*hello.foreign, *told} - owed
    return tuple(sorted(u for u in found if catalog.specs.get(u) is None or is_held(catalog, u)))


def kept_for(uid: str, now: float) -> AddressClaim:
    """Make what keeps an address for a stranger; `now` is in UTC seconds."""
    note = f"the foreign instance {uid} has it"
    return AddressClaim(network="", address="", note=note, since=now, stranger=uid)


class Keeping:
    """Keeps what the strangers on a host have; part of the session that owns it."""

    def __init__(self, world: World, link: AgentLink, ownership: Ownership) -> None:
        self._world = world
        self._link = link
        self._ownership = ownership

    async def keep(self, hello: Hello, uids: tuple[str, ...]) -> None:
        """Keep what strangers have, as their host's agent accepted it last.

        Of a leftover that the agent does not know either nobody can say what it has. Raises what
        the link and the store say: the host is greeted anew then.
        """
        catalog = self._world.catalog
        # What the agent does not know itself it cannot describe.
        known = sorted({*uids}.difference(hello.foreign))
        for first in range(0, len(known), limits.SETTLE_AT_ONCE):
            described = await self._describe(known[first : first + limits.SETTLE_AT_ONCE])
            found = (holdings(catalog, spec, claim) for spec, claim in described)
            await self._world.placement.keep(tuple(chain.from_iterable(found)))

    async def _describe(self, uids: list[str]) -> list[tuple[InstanceSpec, Claim]]:
        fence, now = self._ownership.fence, self._world.utc()
        asked = [
            self._link.command(
                Command(
                    fence=fence,
                    operation=f"session-{fence}",
                    # The agent answers a step that it has done from its record.
                    step=f"describe-{int(1_000 * now)}",
                    verb="describe",
                    uid=uid,
                    until=now + limits.SETTLE_S,
                )
            )
            for uid in uids
        ]
        found = []
        for answer in asked:
            result = await within(limits.GREET_S, answer)
            # One that is being removed is not described.
            if result.failure is None:
                spec = msgspec.convert(result.value["spec"], InstanceSpec)
                found.append((spec, msgspec.convert(result.value["claim"], Claim)))
        return found

    async def give_back(self, uids: set[str]) -> None:
        """Give back what is kept of wires for strangers that their host does not have any more.

        What is kept of a network is left to operators: they see it there, and can give it back.
        """
        catalog = self._world.catalog
        of_wires = (entry for path, entry in catalog.addresses.entries.items() if is_wire(path))
        kept = [entry for entry in chain(of_wires, catalog.macs) if entry.record.stranger in uids]
        for entry in kept:
            compares = (unchanged(entry.key, entry.revision), self._ownership.own())
            reply = await self._world.store.txn(Txn(compares, (Delete(entry.key),)))
            await catalog.at(reply.revision)


def holdings(catalog: Catalog, spec: InstanceSpec, claim: Claim) -> tuple[Holding, ...]:
    """Give what a stranger has, an interface each; a network that is not here is left out.

    As much as can be given back in one transaction: addresses, then those of its hardware.
    """
    found = tuple(_holdings(catalog, spec, claim))
    room = limits.KEPT_KEYS - sum(len(static(own.spec.nics[0])) for own in found)
    return tuple(own._replace(mac=place < room) for place, own in enumerate(found))


def _holdings(catalog: Catalog, spec: InstanceSpec, claim: Claim) -> Iterator[Holding]:
    for nic in spec.nics:
        network = nic.network if nic.network in catalog.networks.entries else ""
        if not network and not nic.nic_tag:
            continue
        ips = claim.addresses.get(nic.mac) or nic.ips
        own = msgspec.structs.replace(nic, network=network, ips=ips)
        yield Holding(msgspec.structs.replace(spec, nics=(own,)), mac=False)
