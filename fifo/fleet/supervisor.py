"""The fleet's tree: placement, runners of operations, sessions with hosts, the store's history."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fifo.fleet import limits, placement
from fifo.fleet.backfill import Backfill
from fifo.fleet.hosts import HostsClient, session_name
from fifo.fleet.operations import Expiry, Recovery, runners_spec
from fifo.fleet.placement import PlacementClient, PlacementServer
from fifo.fleet.session import Session
from fifo.store.compactor import Compactor
from fifo.workflows.registry import WORKFLOWS
from fifo.workflows.world import World
from supervisors import (
    SIMPLE_ONE_FOR_ONE,
    Backoff,
    ChildSpec,
    DynamicSupervisor,
    Flags,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fifo.store.catalog import Catalog
    from supervisors import Node

FLEET = "fleet"
SESSIONS = "sessions"


class Fleet(NamedTuple):
    """What the rest of a node holds of its fleet: the world, and the client of its hosts."""

    world: World
    hosts: HostsClient


def make_fleet(
    node: Node, catalog: Catalog, utc: Callable[[], float], expected: Iterable[str] = ()
) -> Fleet:
    """Make the values that the fleet's processes and the API share.

    `expected` are the hosts, by uid, that sessions are about to be started with.
    """
    hosts = HostsClient(node.whereis, expected)
    placing = PlacementClient(lambda: node.address(placement.NAME))
    return Fleet(World(catalog.store, catalog, hosts, placing, utc, WORKFLOWS), hosts)


def fleet_children(world: World) -> list[ChildSpec]:
    """The fleet's processes; sessions are started under `SESSIONS` as hosts are known."""
    return [
        ChildSpec(
            placement.NAME,
            (PlacementServer, (world.catalog, world.utc)),
            shutdown=limits.SHUTDOWN_MS,
            name=placement.NAME,
        ),
        sessions_spec(),
        runners_spec(world),
        ChildSpec("recovery", (Recovery, (world,))),
        ChildSpec("backfill", (Backfill, (world,))),
        ChildSpec("expiry", (Expiry, (world,))),
        ChildSpec("compactor", (Compactor, (world.store,))),
    ]


def sessions_spec() -> ChildSpec:
    """The sessions' supervisor: one that fails is started again by itself, with back-off."""
    session = ChildSpec(
        "session",
        (Session, ()),
        shutdown=limits.SHUTDOWN_MS,
        name=lambda settings: session_name(settings.host),
        backoff=Backoff(min_s=0.1, max_s=10.0),
    )
    flags = Flags(SIMPLE_ONE_FOR_ONE)
    return ChildSpec(
        SESSIONS, (DynamicSupervisor, (flags, [session])), type="supervisor", name=SESSIONS
    )
