"""What the programs about whole nodes share: a node as a process, an aio client, its metrics."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
import urllib.request
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc.aio
from google.longrunning import operations_pb2, operations_pb2_grpc

from fifo.cli.demo.fleet_client import FleetClient
from fifo.hypervisors.linux.guests import spawning, zone_image
from fifo.hypervisors.linux.keeper_client import KeeperClient
from fifo.v1 import instance_pb2, instance_service_pb2, instance_service_pb2_grpc
from tests.system.node_process import NodeProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

MESSAGES = instance_service_pb2


@contextlib.contextmanager
def node(*arguments: str, driver: str = "simulated") -> Iterator[NodeProcess]:
    """Run a node in a temporary directory with an image `zone`; nothing is left of it."""
    base = Path(tempfile.mkdtemp(prefix="fifo-bench-"))
    base.chmod(0o711)
    try:
        with NodeProcess(base, *arguments, driver=driver) as running:
            _import_image(running, real=driver == "linux")
            yield running
            running.stop()
        if driver == "linux":
            asyncio.run(_end_keeper(base))
    finally:
        shutil.rmtree(base, ignore_errors=True)


def _import_image(running: NodeProcess, *, real: bool) -> None:
    file = running.base / "zone.tar"
    if real:
        image = asyncio.run(zone_image.build(spawning.run, running.base / "guests"))
        shutil.copy(image.path("rootfs"), file)
    else:
        file.write_bytes(b"a simulated host never reads this\n")
    client = FleetClient(running.socket)
    client.import_image("zone", file, "ROOTFS_TAR", "LX")
    client.close()


async def _end_keeper(base: Path) -> None:
    keeper = await KeeperClient.connect(base / "run" / "keeper", patience_s=2.0)
    await keeper.shutdown(force=True)
    await keeper.close()


def number(running: NodeProcess, name: str) -> float:
    """Read a metric that has one series."""
    return next(
        float(line.rpartition(" ")[2]) for line in page(running) if line.startswith(f"{name} ")
    )


def page(running: NodeProcess) -> list[str]:
    """Read the lines of the metrics page."""
    with urllib.request.urlopen(running.metrics_url, timeout=30) as answer:  # noqa: S310
        text: str = answer.read().decode()
    return text.splitlines()


def request(name: str, network: str = "") -> instance_service_pb2.CreateInstanceRequest:
    """Ask for a small zone."""
    wanted = MESSAGES.CreateInstanceRequest(
        parent="orgs/default", instance_id=name, request_id=str(uuid.uuid4())
    )
    wanted.instance.brand = instance_pb2.Instance.LX
    wanted.instance.image = "images/zone"
    wanted.instance.max_physical_memory = 64
    wanted.instance.ram = 64
    wanted.instance.quota = 1
    wanted.instance.restart_policy.mode = instance_pb2.RestartPolicy.ALWAYS
    if network:
        wanted.instance.nics.add(network=network)
    return wanted


class AioClient:
    """The node's API on its local socket, for many calls in flight."""

    def __init__(self, running: NodeProcess) -> None:
        options = [("grpc.default_authority", "localhost")]
        self.channel = grpc.aio.insecure_channel(f"unix:{running.socket}", options)
        self.instances: Any = instance_service_pb2_grpc.InstanceServiceStub(self.channel)
        stub: Any = operations_pb2_grpc.OperationsStub
        self._operations = stub(self.channel)

    async def finish(self, operation: Any) -> Any:
        """Wait until an operation has ended well."""
        while not operation.done:
            wanted = operations_pb2.WaitOperationRequest(name=operation.name)
            operation = await self._operations.WaitOperation(wanted)
        assert not operation.HasField("error"), operation.error
        return operation

    async def create(self, name: str) -> None:
        """Create an instance and wait until it runs."""
        await self.finish(await self.instances.CreateInstance(request(name)))

    async def create_batch(self, names: list[str], network: str = "") -> None:
        """Create instances by one call and wait until they run."""
        wanted = MESSAGES.BatchCreateInstancesRequest(
            parent="orgs/default", request_id=str(uuid.uuid4())
        )
        for name in names:
            one = wanted.requests.add()
            one.CopyFrom(request(name, network))
            one.ClearField("request_id")
        operation = await self.finish(await self.instances.BatchCreateInstances(wanted))
        assert operation.done


def is_able() -> bool:
    """Tell whether real zones can be measured here."""
    return os.geteuid() == 0 and bool(shutil.which("runc"))
