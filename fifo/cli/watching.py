"""`--watch`: what there is, then each change, until interrupted."""

from __future__ import annotations

import importlib
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fifo.cli.following import Following
from fifo.cli.output import enum
from fifo.cli.rows import Rows
from fifo.v1 import event_service_pb2, event_service_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fifo.cli.client import Client
    from fifo.cli.output import Column


class Watched(NamedTuple):
    """A type of resource that can be watched: where its message is."""

    module: str
    message: str


WATCHED: Final = {
    "fifo/Instance": Watched("fifo.v1.instance_pb2", "Instance"),
    "fifo/Hypervisor": Watched("fifo.v1.hypervisor_pb2", "Hypervisor"),
    "fifo/Image": Watched("fifo.v1.image_pb2", "Image"),
    "fifo/Package": Watched("fifo.v1.package_pb2", "Package"),
    "fifo/Network": Watched("fifo.v1.network_pb2", "Network"),
    "fifo/Address": Watched("fifo.v1.network_pb2", "Address"),
    "fifo/Snapshot": Watched("fifo.v1.snapshot_pb2", "Snapshot"),
    "fifo/Operation": Watched("google.longrunning.operations_pb2", "Operation"),
    "fifo/Event": Watched("fifo.v1.event_pb2", "Event"),
}


def resource_of(event: Any) -> Any:
    """Unpack the resource of a change; of what is gone only the name may be known."""
    watched = WATCHED[event.resource_type]
    resource = getattr(importlib.import_module(watched.module), watched.message)()
    if event.HasField("resource"):
        event.resource.Unpack(resource)
    else:
        resource.name = event.name
    return resource


def watch_resources(
    client: Client,
    output: str,
    resource_type: str,
    columns: Sequence[Column],
    *,
    parent: str = "",
    filter_text: str = "",
    first: Callable[[list[Any]], list[Any]] = list,
) -> None:
    """Print what is there, chosen and ordered by `first`, then each change, until interrupted."""
    stub = event_service_pb2_grpc.EventServiceStub(client.channel)
    request = event_service_pb2.WatchRequest(
        resource_types=[resource_type], parent=parent, filter=filter_text
    )
    following = Following(
        lambda asked: client.stream(stub.Watch, asked), request, time.monotonic, time.sleep
    )
    rows = Rows(output, columns)
    for batch in following.batches():
        if batch.fresh:
            rows.show(("current", own) for own in first([resource_of(e) for e in batch.events]))
        else:
            rows.show((enum(event, "type"), resource_of(event)) for event in batch.events)
