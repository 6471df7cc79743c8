"""The tree of a node: store, catalog, agents, fleet, and whatever edges stand behind them.

```
node (rest_for_one)
├─ store, catalog
├─ agents: one tree for each host that runs in this process
├─ fleet (rest_for_one): placement, sessions, operation runners, ...
├─ hosts: has a session started for each of those hosts
└─ the edges: API and web
```
A store that has to be opened again brings everything behind it up anew, on a fresh catalog.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fifo.agent.supervisor import LocalLink, agent_spec
from fifo.fleet.session import SessionSettings
from fifo.fleet.supervisor import FLEET, SESSIONS, Fleet, fleet_children, make_fleet
from fifo.store.catalog_owner import CATALOG, CatalogOwner
from fifo.store.owner import StoreOwner
from supervisors import REST_FOR_ONE, ChildSpec, Flags, GenServer, Supervisor, start_child

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.agent.settings import AgentSettings
    from fifo.model.hypervisor import HypervisorStatus
    from fifo.store.embedded import EmbeddedStore
    from supervisors import Future, Node, Ref

ROOT = "node"
STORE_NAME = "store"


@dataclass(slots=True, repr=False)
class Parts:
    """What a node is made of; `fleet` is made anew whenever the store was opened again."""

    open_store: Callable[[Node], Future[EmbeddedStore]]
    utc: Callable[[], float]
    agents: tuple[AgentSettings, ...]
    edges: tuple[ChildSpec, ...] = ()
    fleet: Fleet | None = None
    host_ids: dict[str, str] = field(default_factory=dict)
    """The id that each host of this process is to have, by its uid."""


class LocalHosts(GenServer):
    """Has a session started for every host of this process."""

    async def init(self, parts: Parts) -> None:
        """Start the sessions; they greet the agents by themselves."""
        fleet = parts.fleet
        assert fleet is not None, "the fleet is started first"

        def new_id(status: HypervisorStatus) -> str:
            return parts.host_ids.get(status.uid, f"h-{status.uid}")

        supervisor = self.node.address(SESSIONS)
        for agent in parts.agents:
            link = LocalLink(self.node, agent.host)
            settings = SessionSettings(agent.host, link, fleet.world, fleet.hosts, new_id)
            await start_child(supervisor, settings)


async def start_fleet(supervisor: Supervisor, parts: Parts) -> Ref[Any]:
    """Start the fleet on the present catalog."""
    node = supervisor.node
    catalog = await node.address(CATALOG).call(CATALOG)
    expected = (agent.host for agent in parts.agents)
    parts.fleet = make_fleet(node, catalog, parts.utc, expected)
    flags = Flags(REST_FOR_ONE, intensity=10, period=60)
    return await supervisor.start_link(
        Supervisor, flags, fleet_children(parts.fleet.world), name=FLEET
    )


def root_children(parts: Parts) -> list[ChildSpec]:
    """Give the children of a node's root, in the order in which they stand on each other."""
    return [
        ChildSpec(STORE_NAME, (StoreOwner, (parts.open_store,)), name=STORE_NAME, shutdown=30_000),
        ChildSpec(CATALOG, (CatalogOwner, (STORE_NAME,)), name=CATALOG),
        *(agent_spec(agent) for agent in parts.agents),
        ChildSpec(FLEET, (start_fleet, (parts,)), type="supervisor"),
        ChildSpec("hosts", (LocalHosts, (parts,))),
        *parts.edges,
    ]


def start_tree(node: Node, parts: Parts) -> Future[Ref[Supervisor]]:
    """Start a node's tree; fails with StartError, whose reason says what could not be started."""
    flags = Flags(REST_FOR_ONE, intensity=5, period=60)
    return node.start(Supervisor, flags, root_children(parts), name=ROOT)
