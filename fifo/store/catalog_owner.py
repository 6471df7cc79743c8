"""CatalogOwner: gives the catalog its place in a supervision tree, behind the store's owner."""

from __future__ import annotations

from typing import Any, Final

from fifo.model.errors import Unavailable
from fifo.store.catalog import Catalog
from fifo.store.owner import STORE
from supervisors import GenServer

CATALOG: Final = "catalog"
"""The call that a CatalogOwner answers with its catalog, and its registered name."""


class CatalogOwner(GenServer):
    """Loads the catalog in init, and ends when its watch ends: the next life loads anew.

    Whoever needs the catalog asks for it in their own init and stands behind it under
    `rest_for_one`.
    """

    async def init(self, store_name: str) -> None:
        """Load the catalog of the store whose owner has this name."""
        self.trap_exit = True
        store = await self.node.address(store_name).call(STORE)
        self.catalog = Catalog(store)
        await self.catalog.load()
        ref = self.ref
        self.catalog.ended.add_done_callback(lambda ended: ref.cast(ended.result()))

    def handle_call(self, message: Any, caller: Any) -> Any:
        """Answer CATALOG."""
        if message == CATALOG:
            return self.catalog
        return super().handle_call(message, caller)

    def handle_cast(self, message: Any) -> Any:
        """End with the watch."""
        raise Unavailable(f"the watch of the catalog ended: {message}", CATALOG)

    def terminate(self, reason: Any) -> None:
        """Follow the store no more."""
        del reason
        self.catalog.close()
