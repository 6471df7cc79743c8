"""What a host runs and the store does not know, as after a restore: listed, and never deleted.

Its addresses are kept, so that nobody else is given them, until somebody has the instance removed
(`fifo.workflows.strangers`) or gives them back by `fifo network release`.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from fifo.fleet import networks
from fifo.model import address_pool
from fifo.model.errors import FifoError
from fifo.model.network import AddressClaim
from fifo.store.contract import Txn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fifo.fleet.commits import Plan
    from fifo.model.link import Hello
    from fifo.store.catalog import Catalog
    from fifo.workflows.world import World


def strangers(catalog: Catalog, hello: Hello) -> tuple[str, ...]:
    """List a host's instances that no record here is of, by uid.

    Its agent knows some of them, which it was given before the store went back; not those whose
    removal it still owes.
    """
    debts = (entry.record for entry in catalog.cleanups)
    owed = {debt.uid for debt in debts if debt.host == hello.host and debt.what == "instance"}
    told = {status.uid for status in hello.statuses if status.state != "deleted"}
    found = {*hello.foreign, *told} - owed
    return tuple(sorted(uid for uid in found if catalog.specs.get(uid) is None))


def kept_for(uid: str, now: float) -> AddressClaim:
    """Make what keeps an address for a stranger; `now` is in UTC seconds."""
    note = f"the foreign instance {uid} has it"
    return AddressClaim(network="", address="", note=note, since=now, stranger=uid)


async def keep_addresses(world: World, hello: Hello, uids: tuple[str, ...]) -> None:
    """Reserve the addresses of strangers that the networks here would give to others."""
    for plan in _plans(world, hello, frozenset(uids)):
        # Lost to somebody else's write it is made again at the next greeting.
        reply = await world.store.txn(Txn(tuple(plan.compares), tuple(plan.writes)))
        await world.catalog.at(reply.revision)


def _plans(world: World, hello: Hello, uids: frozenset[str]) -> Iterator[Plan]:
    for status in hello.statuses:
        if status.uid not in uids:
            continue
        claim = kept_for(status.uid, world.utc())
        for text in chain.from_iterable(status.addresses.values()):
            for entry in list(world.catalog.networks):
                try:
                    bare = address_pool.bare(text)
                    plan, _ = networks.reserve(world.catalog, entry, bare, 0, claim)
                except FifoError:
                    # Another network's, or kept already.
                    continue
                yield plan
