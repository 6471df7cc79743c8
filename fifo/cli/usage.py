"""What `fifo top` shows: each look's numbers against the look before."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import grpc

from fifo.cli.columns import HYPERVISORS
from fifo.cli.output import Column, as_dict, enum, last, table_lines
from fifo.cli.text import safe, size
from fifo.v1 import (
    hypervisor_service_pb2,
    hypervisor_service_pb2_grpc,
    instance_service_pb2,
    instance_service_pb2_grpc,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.cli.client import Client
    from fifo.cli.target import Target

MEASURED: Final = 200
"""Instances whose numbers are asked for in one look; the rest are listed without."""

LEAST_ROWS: Final = 3
"""Instances shown however low the terminal is."""


class Row(NamedTuple):
    """One instance's line; None for what is not known, as rates are not at a first look."""

    name: str
    state: str
    limit_bytes: int
    cpu_percent: float | None = None
    memory_bytes: int | None = None
    processes: int | None = None
    received_bytes_s: float | None = None
    sent_bytes_s: float | None = None


class Sample(NamedTuple):
    """What an instance had used when its host looked; or used in a second, as rates."""

    at: float
    cpu_seconds: float
    received_bytes: float
    sent_bytes: float


def _known(show: Callable[[Any], str], value: float | None) -> str:
    return "-" if value is None else show(value)


COLUMNS: Final = (
    Column("INSTANCE", lambda row: row.name),
    Column("STATE", lambda row: row.state),
    Column("CPU %", lambda row: _known("{:.1f}".format, row.cpu_percent), right=True),
    Column("MEMORY", lambda row: _known(size, row.memory_bytes), right=True),
    Column("LIMIT", lambda row: size(row.limit_bytes), right=True),
    Column("PROCS", lambda row: _known(str, row.processes), right=True),
    Column("IN/S", lambda row: _known(size, row.received_bytes_s), right=True),
    Column("OUT/S", lambda row: _known(size, row.sent_bytes_s), right=True),
)


class Usage:
    """Looks again and again; rates are between two samples of the host."""

    def __init__(self, client: Client, target: Target) -> None:
        self._client = client
        self._target = target
        self._before: dict[str, tuple[Sample, Sample | None]] = {}

    def facts(self, sort: str) -> dict[str, Any]:
        """Give one look for programs: hosts as the API has them, and a row an instance."""
        return {
            "hypervisors": [as_dict(host) for host in self._hosts()],
            "instances": [_facts_of(row) for row in self._rows(sort)],
        }

    def _hosts(self) -> Any:
        request = hypervisor_service_pb2.ListHypervisorsRequest(page_size=100)
        stub = hypervisor_service_pb2_grpc.HypervisorServiceStub(self._client.channel)
        return self._client.call(stub.ListHypervisors, request).hypervisors

    def page(self, sort: str) -> list[str]:
        """Give the lines of a screenful."""
        found = self._hosts()
        columns = [column for column in HYPERVISORS if not column.wide]
        hosts_rows = [[safe(column.value(host)) for column in columns] for host in found]
        rows = [[safe(column.value(row)) for column in COLUMNS] for row in self._rows(sort)]
        room = max(LEAST_ROWS, shutil.get_terminal_size().lines - len(hosts_rows) - 5)
        lines = [
            *table_lines(columns, hosts_rows, cut_to_fit=True),
            "",
            *table_lines(COLUMNS, rows[:room], cut_to_fit=True),
        ]
        if len(rows) > room:
            lines.append(f"and {len(rows) - room} more")
        return lines

    def _rows(self, sort: str) -> list[Row]:
        stub = instance_service_pb2_grpc.InstanceServiceStub(self._client.channel)
        request = instance_service_pb2.ListInstancesRequest(parent=self._target.parent())
        found = self._client.pages(stub.ListInstances, request, "instances", MEASURED)
        # All questions go out at once: one after the other they would take longer than the look.
        asked = [self._ask(stub, own) for own in found]
        rows = [self._row(own, answer) for own, answer in zip(found, asked, strict=True)]
        keys = {
            "cpu": lambda row: -(row.cpu_percent or 0.0),
            "memory": lambda row: -(row.memory_bytes or 0),
            "name": lambda row: row.name,
        }
        return sorted(rows, key=keys[sort])

    def _ask(self, stub: Any, own: Any) -> Any:
        """Ask for an instance's numbers; None for one that has none."""
        if enum(own, "state") != "running":
            return None
        request = instance_service_pb2.GetInstanceStatsRequest(name=f"{own.name}/stats")
        return stub.GetInstanceStats.future(
            request, timeout=self._client.timeout_s, metadata=self._client.metadata
        )

    def _row(self, own: Any, answer: Any) -> Row:
        name, state = last(own.name), enum(own, "state")
        limit_bytes = own.max_physical_memory << 20
        try:
            stats = answer.result() if answer is not None else None
        except grpc.RpcError:
            # It ended between the two questions, or was not measured yet.
            stats = None
        if stats is None:
            return Row(name, state, limit_bytes)
        received = sum(nic.received_bytes for nic in stats.nics)
        sent = sum(nic.sent_bytes for nic in stats.nics)
        sampled = stats.sample_time.seconds + stats.sample_time.nanos / 1e9
        rates = self._rates_of(own.uid, Sample(sampled, stats.cpu_seconds, received, sent))
        row = Row(
            name,
            state,
            stats.memory_limit_bytes or limit_bytes,
            memory_bytes=stats.memory_bytes,
            processes=stats.processes,
        )
        if rates is None:
            return row
        return row._replace(
            cpu_percent=100.0 * rates.cpu_seconds,
            received_bytes_s=rates.received_bytes,
            sent_bytes_s=rates.sent_bytes,
        )

    def _rates_of(self, uid: str, now: Sample) -> Sample | None:
        """Give what was used in a second, between the last two samples of the host, if two came."""
        before, rates = self._before.get(uid, (now, None))
        passed_s = now.at - before.at
        if passed_s > 0:
            # A counter that went back is one that began anew.
            rates = Sample(*(max(0, b - a) / passed_s for a, b in zip(before, now, strict=True)))
        self._before[uid] = (now, rates)
        return rates


def _facts_of(row: Row) -> dict[str, Any]:
    return {name: value for name, value in row._asdict().items() if value is not None}
