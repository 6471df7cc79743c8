"""The columns of every resource's table."""

from __future__ import annotations

from typing import Any, Final

from fifo.cli.client import metadata_of
from fifo.cli.output import Column, enum, last, since
from fifo.cli.text import size


def _pools(network: Any) -> str:
    return ", ".join(pool.subnet for pool in network.pools)


def _free(network: Any) -> str:
    return str(sum(pool.free_count for pool in network.pools if ":" not in pool.subnet))


def _share(host: Any, part: str) -> str:
    return f"{getattr(host.allocated, part)}/{getattr(host.capacity, part)}"


def _outcome(operation: Any) -> str:
    if not operation.done:
        metadata = metadata_of(operation)
        return f"{metadata.stage} {metadata.progress_percent} %"
    return operation.error.message if operation.HasField("error") else "ok"


def _memory(instance: Any) -> str:
    """Give what a guest may use: a VM has its own memory, a zone its limit."""
    mebibytes = instance.ram if instance.disks else instance.max_physical_memory
    return size(mebibytes << 20)


def _image(instance: Any) -> str:
    """Name what it is made from; a VM has that in its disks."""
    disk = next((disk.image for disk in instance.disks if disk.image), "")
    return last(instance.image or disk)


INSTANCES: Final = (
    Column("NAME", lambda own: last(own.name)),
    Column("UID", lambda own: own.uid[:8]),
    Column("BRAND", lambda own: enum(own, "brand")),
    Column("STATE", lambda own: enum(own, "state")),
    Column("MEMORY", _memory, right=True),
    Column("ADDRESSES", lambda own: ", ".join(own.addresses)),
    Column("HOST", lambda own: last(own.hypervisor)),
    Column("AGE", lambda own: since(own.create_time), right=True),
    Column("ALIAS", lambda own: own.alias, wide=True),
    Column("IMAGE", _image, wide=True),
    Column("PACKAGE", lambda own: last(own.package), wide=True),
    Column("RESTARTS", lambda own: str(own.restarts), wide=True, right=True),
    Column("REASON", lambda own: own.state_reason, wide=True),
    Column("PENDING", lambda own: ", ".join(own.pending_reboot), wide=True),
    Column("NOT HONOURED", lambda own: ", ".join(own.unhonoured_properties), wide=True),
)
STATS: Final = (
    Column("CPU", lambda own: f"{own.cpu_seconds:.2f} s"),
    Column("MEMORY", lambda own: f"{size(own.memory_bytes)} of {size(own.memory_limit_bytes)}"),
    Column("PROCESSES", lambda own: str(own.processes)),
    Column(
        "NETWORK",
        lambda own: "; ".join(
            f"{nic.interface} in {size(nic.received_bytes)} out {size(nic.sent_bytes)}"
            for nic in own.nics
        ),
    ),
    Column(
        "DISKS",
        lambda own: "; ".join(
            f"{disk.disk} read {size(disk.read_bytes)} written {size(disk.written_bytes)}"
            for disk in own.disks
        ),
    ),
    Column(
        "FILESYSTEM",
        lambda own: (
            f"{size(own.filesystem_used_bytes)} of {size(own.filesystem_size_bytes)}"
            if own.filesystem_size_bytes
            else ""
        ),
    ),
    Column("MEASURED", lambda own: f"{since(own.sample_time)} ago"),
)
SNAPSHOTS: Final = (
    Column("NAME", lambda own: last(own.name)),
    Column("AGE", lambda own: since(own.create_time), right=True),
    Column("SIZE", lambda own: size(own.size_bytes) if own.size_bytes else "", right=True),
)
IMAGES: Final = (
    Column("NAME", lambda own: last(own.name)),
    Column("UID", lambda own: own.uid[:8]),
    Column("STATE", lambda own: enum(own, "state")),
    Column("FORMAT", lambda own: enum(own, "format")),
    Column("OS", lambda own: own.os),
    Column("SIZE", lambda own: size(own.size_bytes), right=True),
    Column("USED BY", lambda own: str(own.instance_count), right=True, counted=True),
    Column("AGE", lambda own: since(own.create_time), right=True),
    Column("SOURCE", lambda own: own.source, wide=True),
    Column("SHA256", lambda own: own.sha256, wide=True),
)
UPLOADS: Final = (
    Column("UPLOAD", lambda own: own.upload_id),
    Column("SIZE", lambda own: size(own.size_bytes)),
    Column("SHA256", lambda own: own.sha256),
)
PACKAGES: Final = (
    Column("NAME", lambda own: last(own.name)),
    Column("MEMORY", lambda own: size(own.max_physical_memory << 20), right=True),
    Column("CPU CAP", lambda own: str(own.cpu_cap), right=True),
    Column("VCPUS", lambda own: str(own.vcpus), right=True),
    Column("QUOTA", lambda own: size(own.quota << 30), right=True),
    Column("USED BY", lambda own: str(own.instance_count), right=True, counted=True),
    Column("DESCRIPTION", lambda own: own.description, wide=True),
)
NETWORKS: Final = (
    Column("NAME", lambda own: last(own.name)),
    Column("NIC TAG", lambda own: own.nic_tag),
    Column("VLAN", lambda own: str(own.vlan_id or ""), right=True),
    Column("SUBNETS", _pools),
    Column("FREE V4", _free, right=True),
    Column("AGE", lambda own: since(own.create_time), right=True),
    Column("RESOLVERS", lambda own: ", ".join(own.resolvers), wide=True),
    Column("DESCRIPTION", lambda own: own.description, wide=True),
)
ADDRESSES: Final = (
    Column("ADDRESS", lambda own: own.address),
    Column("STATE", lambda own: enum(own, "state")),
    Column("INSTANCE", lambda own: last(own.instance)),
    Column("MAC", lambda own: own.mac),
    Column("NOTE", lambda own: own.note),
)
HYPERVISORS: Final = (
    Column("NAME", lambda own: last(own.name)),
    Column("STATE", lambda own: "cordoned" if own.cordoned else enum(own, "state")),
    Column("DRIVER", lambda own: own.driver),
    Column("INSTANCES", lambda own: str(own.instance_count), right=True),
    Column("CPU %", lambda own: _share(own, "cpu"), right=True),
    Column("MEMORY MIB", lambda own: _share(own, "memory"), right=True),
    Column("DISK GIB", lambda own: _share(own, "disk"), right=True),
    Column("SINCE", lambda own: since(own.state_time), right=True),
    Column("RUNTIME", lambda own: own.runtime, wide=True),
    Column("QEMU", lambda own: f"{own.qemu_version} {own.accelerator}".strip(), wide=True),
    Column("KERNEL", lambda own: own.kernel, wide=True),
    Column(
        "LABELS",
        lambda own: ", ".join(f"{key}={value}" for key, value in sorted(own.labels.items())),
        wide=True,
    ),
    Column("FOREIGN", lambda own: str(len(own.foreign_instances)), wide=True, right=True),
    Column(
        "CANNOT",
        lambda own: "; ".join(f"{key}: {why}" for key, why in sorted(own.missing.items())),
        wide=True,
    ),
)
OPERATIONS: Final = (
    Column("NAME", lambda own: last(own.name)),
    Column("VERB", lambda own: metadata_of(own).verb),
    Column("TARGET", lambda own: last(metadata_of(own).target)),
    Column("STATE", lambda own: enum(metadata_of(own), "state")),
    Column("OUTCOME", _outcome),
    Column("AGE", lambda own: since(metadata_of(own).create_time), right=True),
    Column("BY", lambda own: metadata_of(own).principal, wide=True),
)
EVENTS: Final = (
    Column("AGE", lambda own: since(own.time), right=True),
    Column("SUBJECT", lambda own: last(own.subject)),
    Column("EVENT", lambda own: enum(own, "kind")),
    Column("WHAT", lambda own: own.message),
    Column("HOST", lambda own: last(own.hypervisor)),
    Column("OPERATION", lambda own: last(own.operation), wide=True),
)
