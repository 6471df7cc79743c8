"""`--watch`: a table's rows again whenever they change, from one revision without a gap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fifo.cli.output import Column, enum, print_table, show
from fifo.cli.text import safe
from fifo.v1 import event_service_pb2, event_service_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fifo.cli.client import Client
    from fifo.cli.target import Target


def watch_resources(
    client: Client,
    target: Target,
    resource_type: str,
    kind: Any,
    columns: Sequence[Column],
    *,
    filter_text: str,
) -> None:
    """Print what is there, then each change, until interrupted."""
    stub = event_service_pb2_grpc.EventServiceStub(client.channel)
    request = event_service_pb2.WatchRequest(
        resource_types=[resource_type], parent=target.parent(), filter=filter_text, snapshot=True
    )
    started = False
    rows: list[Any] = []
    for frame in client.stream(stub.Watch, request):
        for event in frame.events:
            resource = kind()
            if event.HasField("resource"):
                event.resource.Unpack(resource)
            else:
                resource.name = event.name
            if started:
                _print_change(target, event, resource, columns)
            else:
                rows.append(resource)
        if frame.snapshot_done and not started:
            started = True
            show(target.output, rows, columns)


def _print_change(target: Target, event: Any, resource: Any, columns: Sequence[Column]) -> None:
    if target.output not in {"table", "wide"}:
        show(target.output, [resource], columns)
        return
    wanted = [column for column in columns if target.output == "wide" or not column.wide]
    word = enum(event, "type")
    change = Column("CHANGE", lambda _: word)
    rows = [[safe(column.value(resource)) for column in (change, *wanted)]]
    print_table((change, *wanted), rows, cut=True)
