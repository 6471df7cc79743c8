"""A whole node in virtual time: store, fleet, agent and simulated host, replayed from a seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from fifo.agent.clockwork import NodeClockwork
from fifo.agent.settings import AgentSettings
from fifo.cli.serving.tree import Parts, start_tree
from fifo.fleet.operations import Operations
from fifo.hypervisors.simulated.driver import SimulatedDriver
from fifo.hypervisors.simulated.host import SimulatedHost
from fifo.hypervisors.simulated.settings import HostSettings
from fifo.model.operation import Operation
from fifo.store.memory import MemoryDisk, MemoryStore
from supervisors import Future
from supervisors import SimulatedHost as Scheduler

if TYPE_CHECKING:
    from fifo.store.catalog import Catalog
    from fifo.store.embedded import EmbeddedStore
    from supervisors import Node

EPOCH_S = 1_700_000_000.0
HYPERVISOR = "00000000-0000-4000-8000-00000000a001"


class Machine:
    """One machine, its disks and its hypervisor; the node on it can be killed and started."""

    def __init__(self, seed: int | None = 0, settings: HostSettings | None = None) -> None:
        self.scheduler = Scheduler(seed=seed)
        self.disk = MemoryDisk("0" * 32)
        self.agent_disk = MemoryDisk("1" * 32)
        self.lives = 0
        self.settings = settings or HostSettings()
        self.start()

    def utc(self) -> float:
        return EPOCH_S + self.scheduler.now_s

    def start(self) -> None:
        """Start the node; what is on the hypervisor is as it was."""
        self.lives += 1
        self.node = self.scheduler.node(f"node{self.lives}", log_reports=False)
        clockwork = NodeClockwork(self.node, self.utc)
        if self.lives == 1:
            self.hypervisor = SimulatedHost(clockwork, self.settings)
        else:
            self.hypervisor.clockwork = clockwork
        self.stores: list[MemoryStore] = []
        agent = AgentSettings(
            HYPERVISOR,
            lambda: SimulatedDriver(self.hypervisor),
            lambda node: self._open(node, self.agent_disk),
            self.utc,
        )
        self.parts = Parts(
            lambda node: self._open(node, self.disk),
            self.utc,
            (agent,),
            host_ids={HYPERVISOR: "host-1"},
        )
        self.root = start_tree(self.node, self.parts).get()
        self.scheduler.advance(1.0)

    def _open(self, node: Node, disk: MemoryDisk) -> Future[EmbeddedStore]:
        future: Future[EmbeddedStore] = Future()
        store = MemoryStore(node, disk)
        self.stores.append(store)
        future.set(store)
        return future

    def kill(self) -> None:
        """End the node as kill -9 does."""
        for store in self.stores:
            store.crash()
        self.root.kill()
        self.scheduler.run_ready()
        self.scheduler.nodes.remove(self.node)
        for disk in (self.disk, self.agent_disk):
            disk.taken = False

    @property
    def catalog(self) -> Catalog:
        assert self.parts.fleet is not None
        return self.parts.fleet.world.catalog

    @property
    def operations(self) -> Operations:
        assert self.parts.fleet is not None
        return Operations(self.parts.fleet.world, self.node)

    def submit(self, kind: str, uids: tuple[str, ...], asked: Any = None, **more: Any) -> Operation:
        """Have an operation accepted."""
        wanted = {
            "id": f"op-{kind.replace('_', '-')}-{len(self.catalog.operations)}",
            "kind": kind, "target": uids[0], "principal": "admin", "create_time": self.utc(),
            "deadline": self.utc() + 300.0, "uids": uids, "org": "default",
            "input": msgspec.to_builtins(asked), **more,
        }  # fmt: skip
        operation = Operation(**wanted)
        self.operations.submit(operation).get()
        return operation

    def run(self, kind: str, uids: tuple[str, ...], asked: Any = None, **more: Any) -> Operation:
        """Run an operation to its end."""
        return self.finish(self.submit(kind, uids, asked, **more))

    def finish(self, operation: Operation, patience_s: float = 400.0) -> Operation:
        """Let time pass until an operation has ended."""
        until_s = self.scheduler.now_s + patience_s
        while self.scheduler.now_s < until_s:
            record = self.catalog.operations.record(operation.id)
            assert record is not None
            if record.final:
                return record
            self.scheduler.advance(0.1)
        raise AssertionError(f"it has not ended: {record}")
