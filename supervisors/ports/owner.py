"""PortOwner: gives a port its place in a supervision tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from supervisors.gen_server import GenServer
from supervisors.results import Stop

if TYPE_CHECKING:
    from collections.abc import Callable

    from supervisors.node import Node
    from supervisors.ports.port import Port

STATISTICS: Final = "statistics"
"""The call a PortOwner answers, with the PortStatistics of its port."""


class PortOwner(GenServer):
    """Opens a port under a name in init, closes it when it ends, and ends when the port breaks.

        ChildSpec("disk", (PortOwner, ("disk", lambda node: ProcessPort("disk", ["disk_io"]))))

    Handlers of the node then say `await self.port("disk").call("read", 7)`. Init is done when the
    port is ready, so a port whose modules cannot be imported is a failed start. An orderly end
    waits until every worker is gone; a killed owner's port is closed all the same.
    """

    async def init(self, name: Any, make: Callable[[Node], Port]) -> None:
        """Make the port, on the shard's thread, name it and wait until it is ready."""
        self.trap_exit = True
        self._opened = port = make(self.node)
        self.node.ports.add(name, port, self)
        await port.ready
        ref = self.ref
        port.ended.add_done_callback(lambda _: ref.send(_Ended()))

    def handle_call(self, message: Any, caller: Any) -> Any:
        """Answer STATISTICS."""
        if message == STATISTICS:
            return self._opened.statistics()
        return super().handle_call(message, caller)

    def handle_info(self, message: Any) -> Any:
        """End when the port has ended by itself; if it broke, by the error that says why."""
        if isinstance(message, _Ended):
            self._opened.ended.result()
            return Stop()
        return super().handle_info(message)

    def handle_exit(self, sender: Any, reason: Any) -> Any:
        """End with whoever is linked: exits are trapped for the sake of `terminate` alone."""
        del sender
        return Stop(reason)

    async def terminate(self, reason: Any) -> None:
        """Close the port and wait until its workers are gone."""
        del reason
        if not self._opened.ended.done():
            await self._opened.close()


class _Ended:
    """The port is closed."""
