"""PortOwner: gives a port its place in a supervision tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from supervisors.owner import STATISTICS, Owner

if TYPE_CHECKING:
    from collections.abc import Callable

    from supervisors.node import Node
    from supervisors.ports.port import Port

__all__ = ["STATISTICS", "PortOwner"]


class PortOwner(Owner):
    """Opens a port under a name in init, closes it when it ends, and ends when the port breaks.

        ChildSpec("disk", (PortOwner, ("disk", lambda node: ProcessPort("disk", ["disk_io"]))))

    Handlers of the node then say `await self.port("disk").call("read", 7)`. Init is done when the
    port is ready, so a port whose modules cannot be imported is a failed start. An orderly end
    waits until every worker is gone; a killed owner's port is closed all the same.
    """

    async def init(self, name: Any, make: Callable[[Node], Port]) -> None:
        """Make the port, on the shard's thread, name it and wait until it is ready."""
        self.trap_exit = True
        port = make(self.node)
        self.node.ports.add(name, port, self)
        await port.ready
        self.own(port)
