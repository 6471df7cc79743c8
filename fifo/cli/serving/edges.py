"""The edges of a node as processes of its tree: the API's server and the HTTP server.

They stand last under the root, so that whatever they stand on is restarted before them, and their
end is graceful: streams are ended with a token, calls may finish.
"""

from __future__ import annotations

import asyncio
import socket
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Protocol

from prometheus_client import CollectorRegistry

from fifo.api.local_gateway import LocalGateway
from fifo.api.server import Api, Surroundings
from fifo.api.settings import ApiSettings
from fifo.api.uids import Uids
from fifo.cli.serving.metrics_page import MetricsPage
from fifo.fleet.operations import Operations
from fifo.model.errors import NotReady
from fifo.web.server import WebServer
from supervisors import GenServer, metrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.cli.serving.affairs import Affairs
    from fifo.cli.serving.directories import Directories
    from fifo.cli.serving.tree import Parts
    from fifo.cli.settings import Settings


class Listening(Protocol):
    """Who is told where the node listens."""

    api_port: int
    web_port: int
    page: MetricsPage | None


class ApiEdge(GenServer):
    """Serves gRPC; its end waits until calls have finished."""

    async def init(
        self,
        parts: Parts,
        settings: Settings,
        directories: Directories,
        affairs: Affairs,
        listening: Listening,
    ) -> None:
        """Start the server; a port that is taken is a failed start."""
        self.trap_exit = True
        assert parts.fleet is not None, "the fleet is started first"
        operations = Operations(parts.fleet.world, self.node)
        surroundings = Surroundings(
            world=parts.fleet.world,
            operations=operations,
            node=self.node,
            gateway=LocalGateway(self.node),
            affairs=affairs,
            new_uid=Uids(),
        )
        # A restart of this process serves where the first one did, also on a port that was free.
        listen = settings.listen
        if listening.api_port:
            listen = f"{listen.rpartition(':')[0]}:{listening.api_port}"
        self.api = Api(
            surroundings,
            ApiSettings(
                directory=directories.private,
                socket=directories.socket,
                listen=listen,
                hostname=settings.name,
                import_directories=settings.import_dirs,
                private_sources=settings.images_from_private_addresses,
                drain_s=settings.drain_s,
            ),
        )
        await asyncio.ensure_future(self.api.start())
        listening.api_port = self.api.port
        if listening.page is not None:
            listening.page.methods = self.api.measures

    async def terminate(self, reason: Any) -> None:
        """Let calls finish and close the ports."""
        del reason
        await asyncio.ensure_future(self.api.stop())


class WebEdge(GenServer):
    """Serves metrics and discovery."""

    async def init(
        self, parts: Parts, settings: Settings, targets: Callable[[], Any], listening: Listening
    ) -> None:
        """Start the server; a port that is taken is a failed start."""
        self.trap_exit = True
        registry = CollectorRegistry()
        self.counted = metrics.enable(self.node, registry)
        self.page = page = listening.page = MetricsPage(self.node, parts, registry, version("fifo"))
        try:
            bound = _bind(settings.metrics_listen, listening.web_port)
        except OSError as error:
            self.counted.disable()
            page.close()
            raise NotReady(
                f"the metrics port cannot be listened on: {error.strerror}",
                settings.metrics_listen,
                "choose another with metrics_listen, or stop what has it",
            ) from error
        listening.web_port = bound.getsockname()[1]
        self.server = WebServer(bound, page.render, targets, lambda: self.node.healthy)
        await asyncio.ensure_future(self.server.start())

    async def terminate(self, reason: Any) -> None:
        """Close the port."""
        del reason
        self.counted.disable()
        self.page.close()
        await asyncio.ensure_future(self.server.stop())


def _bind(address: str, port: int) -> socket.socket:
    """Listen on an address's port, or on the one that an earlier life of the process took."""
    host, _, wanted = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port or int(wanted)), family=family)
