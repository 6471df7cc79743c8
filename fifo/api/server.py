"""The API server: its ports, its services, and its graceful end; all on the node's loop."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import grpc
import grpc.aio

from fifo.api import limits, sealing
from fifo.api.admission import budgets
from fifo.api.audit import Audit, AuditFile
from fifo.api.backend import Backend
from fifo.api.binding import Router, bind
from fifo.api.changes import Changes
from fifo.api.door import Door
from fifo.api.identity import Identity
from fifo.api.ordering import Orders
from fifo.api.references import References
from fifo.api.resources.instances import Cache
from fifo.api.services import health
from fifo.api.services.table import services_of
from fifo.api.validation import Validation
from fifo.fleet.commits import Remembering
from fifo.model.errors import NotReady, Unavailable
from fifo.security import private_files
from fifo.security.certificates import Certificates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from fifo.api.affairs import NodeAffairs
    from fifo.api.gateway import Gateway
    from fifo.api.measures import MethodMeasures
    from fifo.api.settings import ApiSettings
    from fifo.fleet.operations import Operations
    from fifo.workflows.world import World
    from supervisors import Node

logger = logging.getLogger("fifo.api")

TOKEN_FILE: Final = "admin.token"  # noqa: S105 - the name of a file
DRAINING: Final = "DRAINING"


class Surroundings(NamedTuple):
    """What the rest of a node hands to its API.

    `randomness` is the system's unless a test wants its own.
    """

    world: World
    operations: Operations
    node: Node
    gateway: Gateway
    affairs: NodeAffairs
    new_uid: Callable[[], str]
    randomness: Callable[[int], bytes] = secrets.token_bytes


class Api:
    """One node's API; `start` once, `stop` once.

    Whoever starts it has the directory of its socket to themselves until it has stopped
    (`fifo.cli.serving.locks` for a node): the socket is replaced at the start, removed at the end.
    """

    def __init__(self, surroundings: Surroundings, settings: ApiSettings) -> None:
        self._given = surroundings
        self.settings = settings
        utc = surroundings.world.utc
        self.certificates = Certificates(settings.directory / "tls", settings.hostname, utc)
        self.audit = Audit(AuditFile(settings.directory / "audit"))
        self.identity = Identity(
            surroundings.world.store,
            settings.directory / TOKEN_FILE,
            utc,
            surroundings.randomness,
        )
        self._references = References(surroundings.world.catalog)
        self.door = Door(
            self.identity,
            self.audit,
            budgets(settings.reads, settings.writes, settings.watches, settings.waits),
            Validation(),
            utc=utc,
            clock=time.perf_counter,
            new_id=surroundings.new_uid,
        )
        self.identity.revoked = self.door.revoked
        self.port = 0
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        """Listen on the TLS port and the local socket; `port` is then the real one.

        Raises NotReady for files with a wrong mode, or a port or socket that is taken.
        """
        settings, given = self.settings, self._given
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, private_files.make_directory, settings.directory)
        await loop.run_in_executor(None, self.certificates.load)
        await self.audit.recover(given.world.utc())
        await self.identity.load()
        backend = await self._backend()
        self.changes = Changes(backend)
        self.services = services_of(
            backend, self.changes, given.affairs, self.identity, self.certificates
        )
        images = [entry.record for entry in backend.catalog.images]
        await self.services.uploads.tidy(images, len(backend.catalog.hosts))
        server = grpc.aio.server(options=options(settings))
        server.add_generic_rpc_handlers((Router(bind(self.door, self.services.objects)),))
        self.port = _listen(server, settings.listen, self._credentials())
        _listen_locally(server, settings.socket)
        self._server = server
        await server.start()
        settings.socket.chmod(private_files.FILE_MODE)
        address = settings.listen.rpartition(":")[0]
        logger.info("Serving on %s:%d and %s", address, self.port, settings.socket)

    async def stop(self, grace_s: float | None = None) -> None:
        """Say that the node goes, end the streams with their tokens, let calls finish, close."""
        if self._server is not None:
            self.services.health.drain()
            gone = Unavailable(
                "the node is shutting down",
                remedy="go on at another node, or at this one when it is back",
                reason=DRAINING,
            )
            # A watch of the health says so itself, and then ends.
            self.door.end_streams(gone, but=health.SERVICE)
            await self._server.stop(self.settings.drain_s if grace_s is None else grace_s)
            self.changes.close()
            self._backend_made.orders.close()
        self.identity.close()
        await self.audit.close()
        self.settings.socket.unlink(missing_ok=True)

    @property
    def measures(self) -> Iterable[MethodMeasures]:
        """What the door has counted, method by method; read by telemetry at a scrape."""
        return self.door.measures.values()

    # -- its parts ---------------------------------------------------------------------------

    async def _backend(self) -> Backend:
        given = self._given
        catalog = given.world.catalog
        made = Backend(
            world=given.world,
            operations=given.operations,
            node=given.node,
            gateway=given.gateway,
            references=self._references,
            seals=await sealing.load(given.world.store, given.randomness(sealing.KEY_BYTES)),
            orders=Orders(catalog),
            instances=Cache(catalog, limits.CACHED_MESSAGES),
            remembering=Remembering(given.world.store, time.monotonic),
            settings=self.settings,
            new_uid=given.new_uid,
        )
        self._backend_made = made
        return made

    def _credentials(self) -> grpc.ServerCredentials:
        """Give credentials that show a renewed certificate to each new connection."""
        shown = self._configuration()

        def fetch() -> Any:  # None for no change, which gRPC's stubs do not know
            return self._configuration() if self.certificates.renew() else None

        made: grpc.ServerCredentials = grpc.dynamic_ssl_server_credentials(
            shown, fetch, require_client_authentication=False
        )
        return made

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        pair = (self.certificates.server.key, self.certificates.chain)
        return grpc.ssl_server_certificate_configuration([pair])


def options(settings: ApiSettings) -> list[tuple[str, Any]]:
    """Give gRPC's options; the reasons stand in the reference of the API and in `limits`."""
    return [
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        # Clients ping every 30 s; gRPC's own bound of 5 min would answer that with GOAWAY.
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 20_000),
        ("grpc.max_connection_age_ms", 3_600_000),
        ("grpc.max_connection_age_grace_ms", 60_000),
        ("grpc.max_connection_idle_ms", limits.IDLE_S * 1_000),
        # A client at this bound races with the end of its own calls and may be refused, so it is
        # far above what one needs at a time; the door's budgets bound the work.
        ("grpc.max_concurrent_streams", 4_000),
        ("grpc.max_receive_message_length", limits.RECEIVE_BYTES),
        # Below these, a burst of calls is refused as CANCELLED, which no client repeats.
        ("grpc.server.max_pending_requests", 20_000),
        ("grpc.server.max_pending_requests_hard_limit", 30_000),
        ("grpc.max_allowed_incoming_connections", settings.connections),
        ("grpc.server_handshake_timeout_ms", round(settings.handshake_s * 1_000)),
        ("grpc.so_reuseport", 0),
    ]


def _listen(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials) -> int:
    try:
        return server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise NotReady(
            "the port cannot be listened on: it is taken, or the address is not this machine's",
            address,
            "choose another with `listen`, or stop what has it",
        ) from error


def _listen_locally(server: grpc.aio.Server, path: Path) -> None:
    """Listen on the socket; who may enter its directory is this user, or root.

    A socket that is there is an earlier life's: the node holds its run directory alone.
    """
    private_files.make_directory(path.parent)
    path.unlink(missing_ok=True)
    try:
        server.add_insecure_port(f"unix:{path}")
    except RuntimeError as error:
        raise NotReady(
            "the socket cannot be listened on", str(path), "choose a shorter path, or make room"
        ) from error
