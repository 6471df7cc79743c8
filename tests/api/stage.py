"""A whole node in one loop: memory store, fleet, an agent with a simulated host, and the API."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from fifo.agent.clockwork import NodeClockwork
from fifo.agent.settings import AgentSettings
from fifo.agent.supervisor import LocalLink, agent_spec
from fifo.api.affairs import BackupSummary, NodeFacts, StoreFacts
from fifo.api.local_gateway import LocalGateway
from fifo.api.server import Api, Surroundings
from fifo.api.settings import ApiSettings
from fifo.fleet.operations import Operations
from fifo.fleet.session import SessionSettings
from fifo.fleet.supervisor import SESSIONS, fleet_children, make_fleet
from fifo.hypervisors.simulated.driver import SimulatedDriver
from fifo.hypervisors.simulated.host import SimulatedHost
from fifo.model import keys, names, records
from fifo.model.image import Image
from fifo.model.network import AddressPool, Network
from fifo.model.package import Package
from fifo.store.catalog import Catalog
from fifo.store.contract import Put, Txn
from fifo.store.memory import MemoryDisk, MemoryStore
from supervisors import REST_FOR_ONE, AsyncioHost, Flags, Future, Supervisor, start_child

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fifo.hypervisors.simulated.settings import HostSettings
    from fifo.model.records import Record

HOST = "00000000-0000-4000-8000-00000000a001"
NETWORK = "00000000-0000-4000-8000-00000000b001"
IMAGE = "00000000-0000-4000-8000-00000000c001"
DISK_IMAGE = "00000000-0000-4000-8000-00000000c002"
PACKAGE = "00000000-0000-4000-8000-00000000d001"
MIB = 1024 * 1024


class Affairs:
    """What a node's program would do for its API."""

    def __init__(self) -> None:
        self.started = time.time()

    def facts(self) -> NodeFacts:
        return NodeFacts("node-1", "0.1.0", self.started, HOST, ("127.0.0.1: api",), (("a", "1"),))

    def store_facts(self) -> StoreFacts:
        return StoreFacts("memory", 1, 5.0)

    async def backup(self) -> AsyncIterator[bytes | BackupSummary]:
        yield b"x" * (MIB + 1)
        yield BackupSummary(7, "0" * 32, MIB + 1, "ab" * 32)

    async def bundle(self, max_log_bytes: int) -> AsyncIterator[bytes]:
        yield b"y" * min(max_log_bytes, 3)


class Stage:
    """A node that serves; made by `serving`."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        self.directory = directory
        self.settings = ApiSettings(
            directory / "data", directory / "run" / "api.sock", watch_delay_s=0.0, **settings
        )
        self.numbers = itertools.count(1)

    def new_uid(self) -> str:
        return f"00000000-0000-4000-9000-{next(self.numbers):012x}"

    async def start(self, host: HostSettings | None = None, disk: MemoryDisk | None = None) -> None:
        self.host = AsyncioHost(tune_gc=False)
        self.node = self.host.node("test", log_reports=False)
        self.store = MemoryStore(self.node, disk)
        await self.store.txn(Txn(then=tuple(furniture())))
        self.catalog = Catalog(self.store)
        await self.catalog.load()
        fleet = make_fleet(self.node, self.catalog, time.time)
        self.world = fleet.world
        self.simulated = SimulatedHost(NodeClockwork(self.node, time.time), host)
        agent = AgentSettings(
            HOST,
            lambda: SimulatedDriver(self.simulated),
            _open,
            time.time,
            "0.1.0",
            sample_s=3600.0,
        )
        children = [*fleet_children(self.world), agent_spec(agent)]
        self.root = await self.node.start(Supervisor, Flags(REST_FOR_ONE), children, name="root")
        session = SessionSettings(
            HOST, LocalLink(self.node, HOST), self.world, fleet.hosts, lambda _: "host-1"
        )
        await start_child(self.node.address(SESSIONS), session)
        await self.catalog.when(
            self.catalog.host_statuses,
            HOST,
            lambda entry: entry is not None and entry.record.condition == "ready",
        )
        self.operations = Operations(self.world, self.node)
        await self.start_api()

    async def start_api(self) -> None:
        self.api = Api(
            Surroundings(
                self.world,
                self.operations,
                self.node,
                LocalGateway(self.node),
                Affairs(),
                self.new_uid,
            ),
            self.settings,
        )
        await self.api.start()
        self.token = (self.settings.directory / "admin.token").read_text().strip()

    async def stop(self) -> None:
        await self.api.stop(0)
        self.root.stop(block=False)
        self.catalog.close()
        await self.store.close()
        self.host.close()

    # -- callers -----------------------------------------------------------------------------

    def channel(self, token: str | None = None, *options: tuple[str, Any]) -> grpc.aio.Channel:
        """Give a channel to the TLS port; `token` None is the admin's, '' is none at all."""
        root = self.api.certificates.authority.certificate
        credentials = grpc.ssl_channel_credentials(root)
        token = self.token if token is None else token
        if token:
            credentials = grpc.composite_channel_credentials(
                credentials, grpc.access_token_call_credentials(token)
            )
        return grpc.aio.secure_channel(
            f"127.0.0.1:{self.api.port}",
            credentials,
            [("grpc.use_local_subchannel_pool", 1), *options],
        )

    def local_channel(self) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(f"unix:{self.settings.socket}")

    async def write(self, prefix: bytes, uid: str, record: Record) -> None:
        """Write a record beside the API, as others of the fleet would."""
        reply = await self.store.put(keys.by_uid(prefix, uid), records.encode(record))
        await self.catalog.at(reply.revision)


def _open(node: Any) -> Any:
    future: Future[Any] = Future(node.shard)
    future.reply(MemoryStore(node))
    return future


@contextlib.asynccontextmanager
async def serving(host: HostSettings | None = None, **settings: Any) -> AsyncIterator[Stage]:
    """Serve for the time of a block."""
    with tempfile.TemporaryDirectory() as directory:
        stage = Stage(Path(directory), **settings)
        await stage.start(host)
        try:
            yield stage
        finally:
            await stage.stop()


def furniture() -> list[Put]:
    """A network, two images and a package, as records with their ids."""
    made: list[tuple[bytes, str, Any]] = [
        (keys.NETWORK, names.NETWORKS, network()),
        (keys.IMAGE, names.IMAGES, image()),
        (keys.IMAGE, names.IMAGES, disk_image()),
        (keys.PACKAGE, names.PACKAGES, Package(uid=PACKAGE, id="small", create_time=1.0)),
    ]
    puts = []
    for prefix, collection, record in made:
        puts += [
            Put(keys.by_uid(prefix, record.uid), records.encode(record)),
            Put(keys.index(collection, "", record.id), record.uid.encode()),
        ]
    return puts


def network() -> Network:
    pools = (
        AddressPool(subnet="10.0.0.0/24", first="10.0.0.10", last="10.0.0.250", gateway="10.0.0.1"),
        AddressPool(subnet="fd00::/64", first="fd00::10", last="fd00::ffff"),
    )
    return Network(
        uid=NETWORK,
        id="lan",
        create_time=1.0,
        nic_tag="external",
        pools=pools,
        resolvers=("10.0.0.1",),
    )


def image() -> Image:
    return Image(
        uid=IMAGE, id="base", create_time=1.0, format="rootfs_tar", source="/base.tar",
        state="ready", brands=("lx",), size_bytes=MIB, unpacked_bytes=2 * MIB,
    )  # fmt: skip


def disk_image() -> Image:
    return Image(
        uid=DISK_IMAGE, id="disk", create_time=1.0, format="qcow2", source="/disk.qcow2",
        state="ready", brands=("kvm",), boot="disk", size_bytes=MIB, unpacked_bytes=100 * MIB,
    )  # fmt: skip


async def settled(awaitable: Any, seconds: float = 10.0) -> Any:
    """Await, but never for ever."""
    async with asyncio.timeout(seconds):
        return await awaitable
