"""The demo's client: the calls that its steps make, on the node's local socket."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final

import grpc
from google.longrunning import operations_pb2, operations_pb2_grpc

from fifo.cli.client import Client
from fifo.cli.target import Target
from fifo.model.errors import Cancelled, DeadlineExceeded, DriverFailed
from fifo.v1 import (
    console_service_pb2_grpc,
    event_service_pb2,
    event_service_pb2_grpc,
    image_pb2,
    image_service_pb2,
    image_service_pb2_grpc,
    instance_pb2,
    instance_service_pb2,
    instance_service_pb2_grpc,
    network_service_pb2,
    network_service_pb2_grpc,
    supervision_service_pb2,
    supervision_service_pb2_grpc,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OPERATION_S: Final = 60.0
LOOK_S: Final = 0.02
"""How often a state is looked at while something is to come back: its time is told in hundredths
of a second."""
AGAIN_S: Final = 0.2
"""Between two attempts to delete what could not be deleted yet."""
QUOTA_GIB: Final = 1
"""What a zone of the demo may fill; vmadm's own 10 would ask for more disk than small hosts have
for the fifty zones that the benchmarks start."""


class FleetClient:
    """Calls that wait for their operations; used on the demo's own thread.

    `give_up` alone is called from another one.
    """

    def __init__(self, socket: Path) -> None:
        self._given_up = threading.Event()
        self._client = Client(
            Target(
                server=f"unix:{socket}", ca_file=None, token_file=None, output="table",
                org="default", timeout_s=OPERATION_S,
            )
        )  # fmt: skip
        channel = self._client.channel
        self.instances = instance_service_pb2_grpc.InstanceServiceStub(channel)
        self.images = image_service_pb2_grpc.ImageServiceStub(channel)
        self.networks = network_service_pb2_grpc.NetworkServiceStub(channel)
        self.events = event_service_pb2_grpc.EventServiceStub(channel)
        self.consoles = console_service_pb2_grpc.ConsoleServiceStub(channel)
        self.supervision = supervision_service_pb2_grpc.SupervisionServiceStub(channel)
        stub: Any = operations_pb2_grpc.OperationsStub
        self._operations = stub(channel)

    def close(self) -> None:
        """Close the connection."""
        self._client.channel.close()

    def give_up(self) -> None:
        """Have the call that is under way end now, and all others; they raise Cancelled."""
        self._given_up.set()
        self.close()

    def call(self, method: Callable[..., Any], request: Any) -> Any:
        """Make a call."""
        self.pause(0)
        try:
            return self._client.call(method, request)
        except (grpc.RpcError, ValueError):
            # gRPC has a ValueError for a channel that was closed before the call.
            self.pause(0)
            raise

    def pause(self, seconds: float) -> None:
        """Wait; raises Cancelled as soon as the client was given up."""
        if self._given_up.wait(seconds):
            raise Cancelled("the demo ends", "the call", "start it again")

    def wait(self, operation: Any) -> Any:
        """Wait for an operation; raises DriverFailed with its error."""
        while not operation.done:
            request = operations_pb2.WaitOperationRequest(name=operation.name)
            operation = self.call(self._operations.WaitOperation, request)
        if operation.HasField("error"):
            raise DriverFailed(operation.error.message, operation.name, "see the node's log")
        return operation

    def import_image(self, name: str, file: Path, kind: str, brand: str) -> None:
        """Bring an image in from a file."""
        request = image_service_pb2.ImportImageRequest(
            image_id=name,
            file=str(file),
            format=image_pb2.Image.Format.Value(kind),
            request_id=self._client.request_id(),
        )
        request.image.brands.append(instance_pb2.Instance.Brand.Value(brand))
        self.wait(self.call(self.images.ImportImage, request))

    def create_network(self, name: str, subnet: str) -> None:
        """Make a network of a subnet's addresses 10 to 99, with its gateway at 1."""
        base = subnet.rpartition(".")[0]
        request = network_service_pb2.CreateNetworkRequest(
            network_id=name, request_id=self._client.request_id()
        )
        request.network.nic_tag = "lan"
        request.network.pools.add(
            subnet=subnet, first=f"{base}.10", last=f"{base}.99", gateway=f"{base}.1"
        )
        self.call(self.networks.CreateNetwork, request)

    def begin_create(self, name: str, brand: str, image: str, memory: int) -> Any:
        """Ask for an instance on the demo's network; gives its operation."""
        request = instance_service_pb2.CreateInstanceRequest(
            parent="orgs/default", instance_id=name, request_id=self._client.request_id()
        )
        own = request.instance
        own.brand = instance_pb2.Instance.Brand.Value(brand)
        if brand == "LX":
            own.image = f"images/{image}"
            own.quota = QUOTA_GIB
        else:
            own.disks.add(image=f"images/{image}", boot=True)
        own.ram = memory
        own.max_physical_memory = memory if brand == "LX" else memory + 256
        own.restart_policy.mode = instance_pb2.RestartPolicy.ALWAYS
        own.nics.add(network="networks/lan")
        return self.call(self.instances.CreateInstance, request)

    def get(self, name: str) -> Any:
        """Read an instance."""
        request = instance_service_pb2.GetInstanceRequest(name=f"orgs/default/instances/{name}")
        return self.call(self.instances.GetInstance, request)

    def await_restart(self, name: str, restarts: int, patience_s: float = 15.0) -> Any:
        """Wait until an instance runs after more restarts than it had."""
        until_s = time.monotonic() + patience_s
        while time.monotonic() < until_s:
            found = self.get(name)
            if found.restarts > restarts and found.state == instance_pb2.Instance.RUNNING:
                return found
            self.pause(LOOK_S)
        raise DeadlineExceeded(f"it was not back within {patience_s:g} s", name, "see its events")

    def story(self, name: str) -> list[str]:
        """Tell what happened to an instance, oldest first."""
        request = event_service_pb2.ListEventsRequest(
            parent=f"orgs/default/instances/{name}", page_size=100
        )
        found = self.call(self.events.ListEvents, request).events
        return [own.message for own in reversed(found)]

    def tree(self) -> Any:
        """Read the supervision tree."""
        request = supervision_service_pb2.GetTreeRequest(depth=6, max_children=10)
        return self.call(self.supervision.GetTree, request)

    def names(self) -> set[str]:
        """List the instances, those of a page."""
        request = instance_service_pb2.ListInstancesRequest(parent="orgs/default")
        return {own.name for own in self.call(self.instances.ListInstances, request).instances}

    def delete_all(self, patience_s: float = OPERATION_S) -> int:
        """Delete every instance, whatever else is done to it; gives how many there were.

        One that cannot be deleted now is tried again. Raises the last attempt's error after
        `patience_s`.
        """
        until_s = time.monotonic() + patience_s
        deleted: set[str] = set()
        while found := self.names():
            deleted |= found
            try:
                for operation in [self._delete(name) for name in sorted(found)]:
                    self.wait(operation)
            except (DriverFailed, grpc.RpcError):
                if time.monotonic() > until_s:
                    raise
                self.pause(AGAIN_S)
        return len(deleted)

    def _delete(self, name: str) -> Any:
        request = instance_service_pb2.DeleteInstanceRequest(
            name=name, request_id=self._client.request_id(), force=True, allow_missing=True
        )
        return self.call(self.instances.DeleteInstance, request)
