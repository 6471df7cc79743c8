"""The open ports of a node, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from supervisors import signals
from supervisors.errors import PortClosed, PortError

if TYPE_CHECKING:
    from supervisors.ports.port import Port
    from supervisors.process import Process


class _Lease:
    """Ties a port to the life of its owner, as OTP ties one to the process that opened it."""

    __slots__ = ("_name", "_ports")

    def __init__(self, ports: Ports, name: Any) -> None:
        self._ports = ports
        self._name = name

    def fire(self, process: Any, reason: Any) -> None:
        """Close the port; called on the shard's thread when the owner has ended, however."""
        del process, reason
        self._ports.release(self._name)


class Ports:
    """Which port has which name. Written on the shard's thread, looked up from any."""

    __slots__ = ("_open",)

    def __init__(self) -> None:
        self._open: dict[Any, Port] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, name: Any, port: Port, owner: Process) -> None:
        """Name a port for as long as its owner lives; then it is closed.

        Raises PortError, and the port is closed, if the name is taken.
        """
        if self._open.setdefault(name, port) is not port:
            port.close()
            raise PortError(f"a port named {name!r} is open already; close it or take another name")
        signals.watch(owner, _Lease(self, name))

    def lookup(self, name: Any) -> Port:
        """Give the open port of a name; raises PortClosed if there is none."""
        port = self._open.get(name)
        if port is None:
            raise PortClosed(f"no port named {name!r} is open; see whether its PortOwner runs")
        return port

    def release(self, name: Any) -> None:
        """Free a name and begin to close its port; nothing if it has none."""
        port = self._open.pop(name, None)
        if port is not None:
            port.close()
