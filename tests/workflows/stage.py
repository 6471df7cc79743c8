"""A control plane in virtual time on one memory disk, that can be crashed and started again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from fifo.fleet.backfill import Backfill
from fifo.fleet.operations import Operations, Recovery, runners_spec
from fifo.fleet.placement import NAME, PlacementClient, PlacementServer
from fifo.model import keys, records
from fifo.model.hypervisor import Allocation, HypervisorSpec, HypervisorStatus, Probe
from fifo.model.instance import InstanceSpec, Nic, Shares
from fifo.model.network import AddressPool, Network
from fifo.store.catalog import Catalog
from fifo.store.contract import Put, Txn
from fifo.store.faults import NO_FAULTS
from fifo.store.memory import MemoryDisk, MemoryStore
from fifo.workflows.registry import WORKFLOWS
from fifo.workflows.strangers import foreign
from fifo.workflows.world import World
from supervisors import REST_FOR_ONE, ChildSpec, Flags, GenServer, SimulatedHost, Supervisor
from tests.workflows.host_double import HostDouble, HostTruth

if TYPE_CHECKING:
    from fifo.model.operation import Operation
    from fifo.store.faults import Faults
    from fifo.workflows.workflow import Registry

HOST = "00000000-0000-4000-8000-00000000a001"
NETWORK = "00000000-0000-4000-8000-00000000b001"
RUN_S = 2_000.0
"""Virtual seconds after which every operation has ended."""


class Loader(GenServer):
    """Loads a catalog in a process, where it can be awaited."""

    async def init(self, catalog: Catalog) -> None:
        await catalog.load()


class Stage:
    """One control node; `crash` and `start` as often as wanted."""

    engine = MemoryStore

    def __init__(self, seed: int = 0, workflows: Registry = WORKFLOWS) -> None:
        self.host = SimulatedHost(seed=seed)
        self.truth = HostTruth()
        self.workflows = workflows
        self.disk = MemoryDisk("0" * 32)
        self.lives = 0
        self.clock_s = 1_000_000.0
        self.start()
        self.write(*furniture())

    def start(self, faults: Faults = NO_FAULTS, workflows: Registry | None = None) -> None:
        self.lives += 1
        self.node = self.host.node(f"control{self.lives}", log_reports=False)
        self.store = self.engine(self.node, self.disk, faults=faults)
        self.catalog = Catalog(self.store)
        self.node.start(Loader, self.catalog).get()
        self.world = World(
            self.store,
            self.catalog,
            HostDouble(self.truth, self.store, self.catalog),
            PlacementClient(lambda: self.node.address(NAME)),
            lambda: self.host.now_s + self.clock_s,
            workflows or self.workflows,
        )
        self.operations = Operations(self.world, self.node)
        children = [
            ChildSpec(NAME, (PlacementServer, (self.catalog, self.world.utc)), name=NAME),
            runners_spec(self.world),
            ChildSpec("recovery", (Recovery, (self.world,))),
            ChildSpec("backfill", (Backfill, (self.world,))),
        ]
        self.root = self.node.start(Supervisor, Flags(REST_FOR_ONE), children).get()

    def crash(self) -> None:
        """End as by kill -9: what is not on the disk is lost."""
        self.store.crash()
        self.root.kill()
        self.host.run_ready()
        self.host.nodes.remove(self.node)
        self.disk.taken = False

    def lose(self) -> None:
        """Have the host go away, as its session notes it."""
        self.truth.away = True
        known = self.catalog.host_statuses.record(HOST)
        assert known is not None
        gone = records.encode(msgspec.structs.replace(known, condition="unreachable"))
        self.store.txn(Txn(then=(Put(keys.by_uid(keys.HYPERVISOR_STATUS, HOST), gone),)))

    def write(self, *puts: Put) -> None:
        reply = self.store.txn(Txn(then=puts)).get()
        assert reply.succeeded
        self.host.run_ready()

    def run(self, operation: Operation) -> Operation:
        """Have an operation accepted and run to its end."""
        self.submit(operation)
        return self.finish(operation)

    def submit(self, operation: Operation) -> None:
        """Have an operation accepted, with a deadline from now."""
        now = self.world.utc()
        timed = msgspec.structs.replace(operation, create_time=now, deadline=now + 1_000.0)
        self.operations.submit(timed).get()

    def finish(self, operation: Operation) -> Operation:
        """Let time pass until an operation has ended."""
        self.host.advance(RUN_S)
        record = self.catalog.operations.record(operation.id)
        assert record is not None
        return record

    def content(self) -> dict[bytes, Any]:
        """What the store holds, but for the operations themselves."""
        page = self.store.range(b"\x00", b"\xff").get()
        return {
            kv.key: kv.value
            for kv in page.kvs
            if not kv.key.startswith((keys.OPERATION, keys.STORY))
        }

    def slate(self) -> dict[str, Any]:
        """All that an operation which was undone may not have changed."""
        content = self.content()
        allocation = content.pop(keys.by_uid(keys.ALLOCATION, HOST), None)
        used = None if allocation is None else _used(allocation)
        specs = {key: _wish(value) for key, value in content.items() if b"/spec/" in key}
        return {
            "used": used or (0, 0, 0, 0),
            "keys": sorted(key for key in content if not key.startswith(keys.INSTANCE_STATUS)),
            "specs": specs,
            "instances": {uid: _plain(spec) for uid, spec in self.truth.instances.items()},
            "snapshots": {uid: list(own) for uid, own in self.truth.snapshots.items() if own},
            "images": sorted(self.truth.images),
            "foreign": foreign(self.catalog, HOST),
            "taken": {
                entry.record.address: (entry.record.uid, entry.record.stranger)
                for entry in (*self.catalog.addresses, *self.catalog.macs)
            },
        }


def _used(value: bytes) -> tuple[int, int, int, int]:
    allocation = records.decode(Allocation, value)
    used = allocation.used
    return (used.cpu, used.memory, used.disk, allocation.instances)


def _wish(value: bytes) -> Any:
    raw = msgspec.json.decode(value)
    return {key: own for key, own in raw.items() if key != "generation"}


def _plain(spec: InstanceSpec) -> Any:
    return _wish(records.encode(spec))


def furniture() -> list[Put]:
    """One host and one network, as records."""
    network = Network(
        uid=NETWORK,
        id="lan",
        create_time=0.0,
        nic_tag="lan",
        pools=(
            AddressPool(subnet="10.0.0.0/24", first="10.0.0.10", last="10.0.0.250"),
            AddressPool(subnet="fd00::/64", first="fd00::10", last="fd00::ffff"),
        ),
    )
    probe = Probe(
        driver="simulated",
        brands=("lx", "kvm"),
        capacity=Shares(cpu=6_400, memory=256_000, disk=4_000),
        nic_tags=("lan", "external"),
    )
    spec = HypervisorSpec(uid=HOST, id="host-1", create_time=0.0)
    status = HypervisorStatus(uid=HOST, condition="ready", since=0.0, probe=probe)
    return [
        Put(keys.by_uid(keys.NETWORK, NETWORK), records.encode(network)),
        Put(keys.by_uid(keys.HYPERVISOR_SPEC, HOST), records.encode(spec)),
        Put(keys.by_uid(keys.HYPERVISOR_STATUS, HOST), records.encode(status)),
    ]


def uid(number: int) -> str:
    """Give the uid of the n-th instance of a test."""
    return f"00000000-0000-4000-8000-{number:012x}"


def zone(number: int = 1, **more: Any) -> InstanceSpec:
    """Give the spec of a zone with one interface on the network."""
    nic = Nic(interface="net0", mac=f"02:00:00:00:00:{number:02x}", network=NETWORK)
    wanted = {
        "uid": uid(number), "id": f"web-{number}", "org": "default", "generation": 1,
        "wanted": "running", "brand": "lx", "create_time": 0.0, "nics": (nic,), **more,
    }  # fmt: skip
    return InstanceSpec(**wanted)
