"""Asking the placement process, and looking at what the store has then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from fifo.fleet.placement import PlacementClient
from fifo.model import keys, limits, records
from fifo.model.errors import FifoError
from fifo.model.hypervisor import Allocation
from fifo.model.instance import Nic
from fifo.model.wires import make_mac
from tests.workflows.stage import HOST, NETWORK, Stage, uid, zone

if TYPE_CHECKING:
    from fifo.model.instance import InstanceSpec
    from fifo.workflows.world import Placed
    from supervisors import Future

NOTHING = (set[str](), set[str](), (0, 0, 0, 0))


def nics(number: int, count: int, ips: int = 0, first: int = 0) -> tuple[Nic, ...]:
    """Give interfaces on the network, each with that many addresses of its own choice."""
    return tuple(
        Nic(
            interface=f"net{index}",
            mac=make_mac(uid(number), index),
            network=NETWORK,
            ips=tuple(f"fd00::{number:x}:{first + ips * index + n:x}/64" for n in range(ips)),
        )
        for index in range(count)
    )


def many(number: int, addresses: int, first: int = 0) -> InstanceSpec:
    """Give a zone with that many addresses of its own choice on one network."""
    whole, rest = divmod(addresses, limits.ADDRESSES_A_NIC)
    own = nics(number, whole + 1, limits.ADDRESSES_A_NIC, first)
    last = msgspec.structs.replace(own[-1], ips=own[-1].ips[:rest])
    return zone(number, nics=(*own[:-1], last) if rest else own[:-1])


def client(stage: Stage) -> PlacementClient:
    assert isinstance(stage.world.placement, PlacementClient)
    return stage.world.placement


def ask(stage: Stage, *specs: InstanceSpec) -> Future[dict[str, Placed]]:
    return client(stage).place(specs, "op")


def settled(stage: Stage, *asked: Future[Any]) -> list[Any]:
    """Give the answers, an error for one that failed."""
    stage.host.run_ready()
    found: list[Any] = []
    for future in asked:
        assert future.done()
        try:
            found.append(future.get())
        except FifoError as error:
            found.append(error)
    return found


def held(stage: Stage) -> tuple[set[str], set[str], tuple[int, int, int, int]]:
    """Give the claims, the addresses and the host's sum as the store has them."""
    content = stage.content()
    sums = content.get(keys.by_uid(keys.ALLOCATION, HOST))
    allocation = Allocation(host=HOST) if sums is None else records.decode(Allocation, sums)
    used = allocation.used
    return (
        {keys.uid_of(key) for key in content if key.startswith(keys.CLAIM)},
        {key.decode() for key in content if key.startswith(keys.ADDRESS)},
        (used.cpu, used.memory, used.disk, allocation.instances),
    )


def claimed(stage: Stage) -> set[str]:
    """Give the keys of the addresses that the claims in the store name."""
    return {
        keys.address(claim.networks[mac], text.partition("/")[0]).decode()
        for entry in stage.catalog.claims
        for claim in (entry.record,)
        for mac, texts in claim.addresses.items()
        for text in texts
    }
