"""Every metric of FiFo's own, in one table: name, kind, unit, labels with their bound, meaning.

Names follow Prometheus: base units, `_total` for counters. No label takes what a tenant chose: an
instance is its uid. The metrics of the actor runtime are `supervisors.metrics`' own.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Kind = Literal["counter", "gauge", "histogram"]


class Metric(NamedTuple):
    """One metric; `series` is the most that one node can have of it, by what."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    told: str
    series: str


LATENCY_BUCKETS_S: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)
"""Upper bounds of latencies, from a read out of memory to an image that is fetched."""

METRICS: Final = (
    Metric("fifo_build_info", "gauge", ("version", "node"), "1, with the version.", "1"),
    # The API: names and labels as of the go-grpc middleware, so that ready dashboards fit.
    Metric(
        "grpc_server_started_total", "counter", ("grpc_service", "grpc_method"),
        "Calls begun.", "methods",
    ),
    Metric(
        "grpc_server_handled_total", "counter", ("grpc_service", "grpc_method", "grpc_code"),
        "Calls ended, by their status.", "methods x codes that occurred",
    ),
    Metric(
        "grpc_server_handling_seconds", "histogram", ("grpc_service", "grpc_method"),
        "Time from a unary call's beginning to its end.", "methods x buckets",
    ),
    # Workflows and placement.
    Metric(
        "fifo_operations", "gauge", ("kind", "state"),
        "Operations on record by workflow and state.", "workflows x states",
    ),
    Metric(
        "fifo_operation_step_seconds", "histogram", ("kind", "step"),
        "Time a step took, of operations seen ending here.", "steps x buckets",
    ),
    Metric("fifo_placements_total", "counter", (), "Instances decided about.", "1"),
    Metric(
        "fifo_placement_refusals_total", "counter", ("rule",),
        "Hosts turned away where no host was found, by rule.", "rules",
    ),
    Metric("fifo_cleanups_owed", "gauge", (), "Removals that hosts still owe.", "1"),
    # The store.
    Metric("fifo_store_revision", "gauge", (), "The last durable revision.", "1"),
    Metric("fifo_store_live_bytes", "gauge", (), "Keys and present values.", "1"),
    Metric("fifo_store_file_bytes", "gauge", (), "The database with its history.", "1"),
    Metric("fifo_store_keys", "gauge", (), "Keys that are there.", "1"),
    Metric("fifo_store_commits_total", "counter", (), "Transactions made durable.", "1"),
    Metric("fifo_store_commits_waiting", "gauge", (), "Transactions not durable yet.", "1"),
    Metric("fifo_store_changes_total", "counter", (), "Keys written or deleted.", "1"),
    Metric("fifo_store_alarm", "gauge", (), "1 when the store is nearly full.", "1"),
    Metric("fifo_store_live_alarm_bytes", "gauge", (), "Live bytes that raise the alarm.", "1"),
    Metric("fifo_store_file_alarm_bytes", "gauge", (), "File bytes that raise the alarm.", "1"),
    # Hosts.
    Metric(
        "fifo_hypervisor_ready", "gauge", ("hypervisor",), "1 while a host can be asked.", "hosts"
    ),
    Metric(
        "fifo_hypervisor_capacity", "gauge", ("hypervisor", "part"),
        "What a host has: cpu in hundredths, memory in MiB, disk in GiB.", "hosts x 3",
    ),
    Metric(
        "fifo_hypervisor_claimed", "gauge", ("hypervisor", "part"),
        "What its instances have claimed, in the same units.", "hosts x 3",
    ),
    Metric(
        "fifo_hypervisor_load", "gauge", ("hypervisor", "minutes"),
        "Processes that run or wait to, on average over 1, 5 and 15 minutes.", "hosts x 3",
    ),
    Metric(
        "fifo_hypervisor_cpu_seconds_total", "counter", ("hypervisor", "mode"),
        "Time of all processors of a host by what they did, since its boot.", "hosts x 8",
    ),
    Metric(
        "fifo_hypervisor_memory_bytes", "gauge", ("hypervisor",), "Memory of a host.", "hosts"
    ),
    Metric(
        "fifo_hypervisor_memory_available_bytes", "gauge", ("hypervisor",),
        "Memory that programs could still have.", "hosts",
    ),
    Metric(
        "fifo_hypervisor_storage_bytes", "gauge", ("hypervisor",),
        "The file system of instances and images.", "hosts",
    ),
    Metric(
        "fifo_hypervisor_storage_available_bytes", "gauge", ("hypervisor",),
        "What of it is free.", "hosts",
    ),
    Metric(
        "fifo_agent_store_live_bytes", "gauge", ("hypervisor",),
        "Keys and present values of an agent's own store.", "hosts",
    ),
    Metric(
        "fifo_agent_store_file_bytes", "gauge", ("hypervisor",),
        "The database of an agent's own store.", "hosts",
    ),
    Metric(
        "fifo_agent_store_alarm", "gauge", ("hypervisor",),
        "1 when an agent's own store is nearly full.", "hosts",
    ),
    Metric(
        "fifo_agent_store_live_alarm_bytes", "gauge", ("hypervisor",),
        "Live bytes that raise an agent's alarm.", "hosts",
    ),
    Metric(
        "fifo_agent_store_file_alarm_bytes", "gauge", ("hypervisor",),
        "File bytes that raise an agent's alarm.", "hosts",
    ),
    Metric(
        "fifo_agent_journal_dropped_total", "counter", ("hypervisor",),
        "Reports that an agent dropped unread, its journal being full.", "hosts",
    ),
    Metric(
        "fifo_instances", "gauge", ("hypervisor", "state"),
        "Instances by host and observed state.", "hosts x states",
    ),
    Metric(
        "fifo_driver_calls_total", "counter", ("hypervisor", "verb", "outcome"),
        "Calls of a driver that ended.", "hosts x verbs x 2",
    ),
    Metric(
        "fifo_driver_call_seconds", "histogram", ("hypervisor", "verb"),
        "Time that calls of a driver took.", "hosts x verbs x buckets",
    ),
    # Instances, on the node that runs them.
    Metric(
        "fifo_instance_info", "gauge", ("instance", "brand", "hypervisor"),
        "1, to join an instance's facts.", "instances",
    ),
    Metric("fifo_instance_running", "gauge", ("instance",), "1 while it runs.", "instances"),
    Metric(
        "fifo_instance_restarts_total", "counter", ("instance",),
        "Times it was started again after it had ended by itself.", "instances",
    ),
    Metric(
        "fifo_instance_cpu_seconds_total", "counter", ("instance",),
        "Processor time since its start.", "instances",
    ),
    Metric(
        "fifo_instance_memory_bytes", "gauge", ("instance",), "Memory it holds.", "instances"
    ),
    Metric(
        "fifo_instance_memory_limit_bytes", "gauge", ("instance",),
        "Memory it may hold.", "instances",
    ),
    Metric("fifo_instance_processes", "gauge", ("instance",), "Its processes.", "instances"),
    Metric(
        "fifo_instance_network_receive_bytes_total", "counter", ("instance", "nic"),
        "Bytes that came in.", "interfaces",
    ),
    Metric(
        "fifo_instance_network_transmit_bytes_total", "counter", ("instance", "nic"),
        "Bytes that went out.", "interfaces",
    ),
    Metric(
        "fifo_instance_disk_read_bytes_total", "counter", ("instance", "disk"),
        "Bytes read.", "disks",
    ),
    Metric(
        "fifo_instance_disk_written_bytes_total", "counter", ("instance", "disk"),
        "Bytes written.", "disks",
    ),
    Metric(
        "fifo_instance_filesystem_used_bytes", "gauge", ("instance",),
        "What its file system holds, where the host can tell.", "instances",
    ),
    Metric("fifo_scrape_seconds", "gauge", (), "Time the last scrape took to write.", "1"),
)  # fmt: skip

BY_NAME: Final = {metric.name: metric for metric in METRICS}
