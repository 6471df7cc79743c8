"""What the services stand on: the catalog, operations, hosts, clocks; made once by the server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.api.gateway import Gateway
    from fifo.api.ordering import Orders
    from fifo.api.references import References
    from fifo.api.resources.instances import Cache
    from fifo.api.sealing import Seals
    from fifo.api.settings import ApiSettings
    from fifo.fleet.commits import Remembering
    from fifo.fleet.operations import Operations
    from fifo.store.catalog import Catalog
    from fifo.store.contract import Store
    from fifo.workflows.world import World
    from supervisors import Node


@dataclass(frozen=True, slots=True)
class Backend:
    """All that services use; on the node's loop."""

    world: World
    operations: Operations
    node: Node
    gateway: Gateway
    references: References
    seals: Seals
    orders: Orders
    instances: Cache
    remembering: Remembering
    settings: ApiSettings
    new_uid: Callable[[], str]

    @property
    def catalog(self) -> Catalog:
        """Every resource as it is."""
        return self.world.catalog

    @property
    def store(self) -> Store:
        """Reads and transactions."""
        return self.world.store

    def now(self) -> float:
        """UTC seconds."""
        return self.world.utc()
