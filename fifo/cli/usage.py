"""What `fifo top` shows: each look's numbers against the look before."""

from __future__ import annotations

import io
import shutil
import time
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import grpc

from fifo.cli.columns import HYPERVISORS
from fifo.cli.output import Column, enum, last, print_table
from fifo.cli.text import safe, size
from fifo.v1 import (
    hypervisor_service_pb2,
    hypervisor_service_pb2_grpc,
    instance_service_pb2,
    instance_service_pb2_grpc,
)

if TYPE_CHECKING:
    from fifo.cli.client import Client
    from fifo.cli.target import Target

MEASURED: Final = 200
"""Instances whose numbers are asked for in one look; the rest are listed without."""


class Row(NamedTuple):
    """One instance's line."""

    name: str
    state: str
    cpu_percent: float
    memory_bytes: int
    limit_bytes: int
    processes: int
    received_bytes_s: float
    sent_bytes_s: float


COLUMNS: Final = (
    Column("INSTANCE", lambda row: row.name),
    Column("STATE", lambda row: row.state),
    Column("CPU %", lambda row: f"{row.cpu_percent:.1f}", right=True),
    Column("MEMORY", lambda row: size(row.memory_bytes), right=True),
    Column("LIMIT", lambda row: size(row.limit_bytes), right=True),
    Column("PROCS", lambda row: str(row.processes), right=True),
    Column("IN/S", lambda row: size(row.received_bytes_s), right=True),
    Column("OUT/S", lambda row: size(row.sent_bytes_s), right=True),
)


class Usage:
    """Looks again and again; rates are between two looks."""

    def __init__(self, client: Client, target: Target) -> None:
        self._client = client
        self._target = target
        self._before: dict[str, tuple[float, float, int, int]] = {}

    def page(self, sort: str) -> str:
        """Give a screenful."""
        hosts_request = hypervisor_service_pb2.ListHypervisorsRequest(page_size=100)
        hosts = hypervisor_service_pb2_grpc.HypervisorServiceStub(self._client.channel)
        found = self._client.call(hosts.ListHypervisors, hosts_request).hypervisors
        page = io.StringIO()
        columns = [column for column in HYPERVISORS if not column.wide]
        rows = [[safe(column.value(host)) for column in columns] for host in found]
        room = shutil.get_terminal_size().lines - len(rows) - 4
        with redirect_stdout(page):
            print_table(columns, rows, cut=True)
            print()
            print_table(
                COLUMNS,
                [[safe(column.value(row)) for column in COLUMNS] for row in self._rows(sort)][
                    : max(3, room)
                ],
                cut=True,
            )
        return page.getvalue()

    def _rows(self, sort: str) -> list[Row]:
        stub = instance_service_pb2_grpc.InstanceServiceStub(self._client.channel)
        request = instance_service_pb2.ListInstancesRequest(parent=self._target.parent())
        found = self._client.pages(stub.ListInstances, request, "instances", MEASURED)
        rows = [self._row(stub, own) for own in found]
        keys = {
            "cpu": lambda row: -row.cpu_percent,
            "memory": lambda row: -row.memory_bytes,
            "name": lambda row: row.name,
        }
        return sorted(rows, key=keys[sort])

    def _row(self, stub: Any, own: Any) -> Row:
        name, state = last(own.name), enum(own, "state")
        if state != "running":
            return Row(name, state, 0.0, 0, own.max_physical_memory << 20, 0, 0.0, 0.0)
        asked = instance_service_pb2.GetInstanceStatsRequest(name=f"{own.name}/stats")
        try:
            stats = self._client.call(stub.GetInstanceStats, asked)
        except grpc.RpcError:
            # It ended between the two questions, or was not measured yet.
            return Row(name, state, 0.0, 0, own.max_physical_memory << 20, 0, 0.0, 0.0)
        received = sum(nic.received_bytes for nic in stats.nics)
        sent = sum(nic.sent_bytes for nic in stats.nics)
        now = (time.monotonic(), stats.cpu_seconds, received, sent)
        before = self._before.get(own.uid, now)
        self._before[own.uid] = now
        passed_s = max(0.001, now[0] - before[0])
        return Row(
            name,
            state,
            100.0 * max(0.0, now[1] - before[1]) / passed_s,
            stats.memory_bytes,
            stats.memory_limit_bytes,
            stats.processes,
            max(0, received - before[2]) / passed_s,
            max(0, sent - before[3]) / passed_s,
        )
