"""Instances as they were asked for: vmadm's form beside those that all resources have."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fifo.cli import columns, output
from fifo.cli.options import VMADM

if TYPE_CHECKING:
    from fifo.cli.client import Client
    from fifo.cli.target import Target


def show_instances(client: Client, target: Target, found: list[Any], *, alone: bool) -> None:
    """Print instances; one `alone` is no list."""
    if target.output != VMADM:
        if alone:
            output.show_one(target.output, found[0], columns.INSTANCES)
        else:
            output.show(target.output, found, columns.INSTANCES)
        return
    made = _vmadm(client, found)
    print(json.dumps(made[0] if alone else made, indent=2))


def _vmadm(client: Client, found: list[Any]) -> list[Any]:
    from fifo.cli.vmadm_form import Uids, vmadm
    from fifo.v1 import snapshot_service_pb2, snapshot_service_pb2_grpc

    uids = Uids(client)
    stub = snapshot_service_pb2_grpc.SnapshotServiceStub(client.channel)
    made = []
    for own in found:
        request = snapshot_service_pb2.ListSnapshotsRequest(parent=own.name)
        has_some = own.snapshot_summary.count
        snapshots = client.pages(stub.ListSnapshots, request, "snapshots", 0) if has_some else []
        made.append(vmadm(own, uids, snapshots))
    return made
