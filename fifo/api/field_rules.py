"""What single fields of requests may hold, beyond what their types and annotations say.

By message and field. A text without a rule is one line of at most `STRING_CHARACTERS`; a list or a
map holds at most `ITEMS`; a number without a rule is not negative.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from fifo.api import limits
from fifo.model import limits as model_limits
from fifo.model import names

if TYPE_CHECKING:
    from collections.abc import Mapping


class Rule(NamedTuple):
    """Bounds of a field: of a number's value, a text's length, or the entries of a list or map.

    `lines` lets a text have more than one; `each` bounds the texts in a list, or a map's values;
    `waives` names what is required of the messages in it elsewhere, and not here.
    """

    most: float | None = None
    least: float | None = None
    pattern: re.Pattern[str] | None = None
    wanted: str = ""
    lines: bool = False
    each: int = limits.STRING_CHARACTERS
    waives: frozenset[str] = frozenset()


ID: Final = Rule(63, pattern=names.ID, wanted="an id like web-1: [a-z]([a-z0-9-]{0,61}[a-z0-9])?")
UID: Final = Rule(36, pattern=names.UID, wanted="a lower-case uuid")
SNAPSHOT: Final = Rule(64, pattern=names.SNAPSHOT_ID, wanted="1 to 64 of letters, digits and _.:%-")
SHA256: Final = Rule(64, pattern=re.compile(r"[0-9a-f]{64}"), wanted="64 hexadecimal digits")
TEXT: Final = Rule(limits.STRING_CHARACTERS, lines=True)
ALIAS: Final = Rule(model_limits.ALIAS_CHARACTERS)
HOST: Final = Rule(
    253,
    pattern=re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"),
    wanted="a host name",
)
LABELS: Final = Rule(model_limits.TAGS, each=256)
MEMORY: Final = Rule(16 * 1024 * 1024, 0)
"""In MiB: up to 16 TiB."""
DISK: Final = Rule(1024 * 1024, 0)
"""In GiB: up to a PiB."""
CPUS: Final = Rule(100 * 1024, 0)
"""In hundredths of a processor: up to 1,024 of them."""
PERCENT: Final = Rule(65_535, 0)
MTU: Final = Rule(9_000, 576)
VLAN: Final = Rule(4_094, 0)
BATCH: Final = Rule(model_limits.BATCH_INSTANCES, 1)
SECRETS: Final = Rule(128, lines=True)

PAGE_SIZE: Final = Rule(
    2**31 - 1, 0, wanted=f"1 to {model_limits.PAGE_RESOURCES_MAX:,}, or nothing"
)
"""Of every list; more than a page holds is taken for the most that it holds (AIP-158)."""

RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        "Instance.uid": UID,
        "Instance.alias": ALIAS,
        "Instance.hostname": HOST,
        "Instance.dns_domain": HOST,
        "Instance.owner_uuid": UID,
        "Instance.billing_id": UID,
        "Instance.cpu_cap": CPUS,
        "Instance.cpu_shares": PERCENT,
        "Instance.vcpus": Rule(64, 1),
        "Instance.ram": Rule(16 * 1024 * 1024, 1),
        "Instance.max_physical_memory": Rule(16 * 1024 * 1024, 1),
        "Instance.max_locked_memory": MEMORY,
        "Instance.max_swap": Rule(16 * 1024 * 1024, 256),
        "Instance.max_lwps": Rule(1_000_000, 1),
        "Instance.quota": DISK,
        "Instance.tmpfs": MEMORY,
        "Instance.zfs_io_priority": Rule(16_384, 0),
        "Instance.resolvers": Rule(16),
        "Instance.routes": Rule(64, each=64),
        "Instance.nics": Rule(model_limits.NICS),
        "Instance.disks": Rule(model_limits.DISKS),
        "Instance.filesystems": Rule(64),
        "Instance.init": Rule(128),
        "Instance.kernel_version": Rule(64),
        "Nic.interface": Rule(
            15, pattern=re.compile(r"[A-Za-z][A-Za-z0-9_]{0,14}"), wanted="a name like net0"
        ),
        "Nic.mac": Rule(
            17,
            pattern=re.compile(r"[0-9a-f]{1,2}(?::[0-9a-f]{1,2}){5}"),
            wanted="a hardware address like 02:00:00:00:00:01",
        ),
        "Nic.nic_tag": Rule(
            31, pattern=re.compile(r"[A-Za-z0-9_-]{1,31}"), wanted="a nic tag like external"
        ),
        "Nic.ips": Rule(model_limits.ADDRESSES_A_NIC, each=64),
        "Nic.gateways": Rule(8, each=64),
        "Nic.vlan_id": VLAN,
        "Nic.mtu": MTU,
        "Nic.model": Rule(32),
        "Nic.allowed_ips": Rule(13, each=64),
        "Disk.path": Rule(256),
        "Disk.size": Rule(64 * 1024 * 1024, 0),
        "Disk.media": Rule(8, pattern=re.compile(r"disk|cdrom"), wanted="disk or cdrom"),
        "Disk.model": Rule(8, pattern=re.compile(r"virtio|ide|scsi|ahci|nvme"), wanted="virtio"),
        "Filesystem.source": Rule(1_024),
        "Filesystem.target": Rule(1_024),
        "Filesystem.type": Rule(16, pattern=re.compile(r"[a-z0-9_]{1,16}"), wanted="lofs"),
        "Filesystem.options": Rule(16, each=64),
        "RestartPolicy.factor": Rule(100.0, 1.0),
        "RestartPolicy.attempts": Rule(1_000, 1),
        "RestartPolicy.first_wait": Rule(3_600.0, 0.0),
        "RestartPolicy.longest_wait": Rule(86_400.0, 0.0),
        "RestartPolicy.window": Rule(86_400.0, 1.0),
        "CreateInstanceRequest.instance_id": ID,
        "CreateInstanceRequest.vmadm_json": Rule(limits.VMADM_BYTES),
        "BatchCreateInstancesRequest.requests": BATCH._replace(waives=frozenset({"parent"})),
        "BatchDeleteInstancesRequest.names": BATCH,
        "BatchGetInstancesRequest.names": BATCH,
        "StopInstanceRequest.timeout": Rule(model_limits.STOP_PATIENCE_MOST_S, 0.0),
        "RebootInstanceRequest.timeout": Rule(model_limits.STOP_PATIENCE_MOST_S, 0.0),
        "Open.command": Rule(1_024, each=limits.COMMAND_BYTES),
        "Open.environment": Rule(1_024, each=limits.COMMAND_BYTES),
        "Open.upload_id": Rule(36),
        "ExecInstanceRequest.stdin": Rule(limits.FRAME_BYTES),
        "AttachRequest.data": Rule(limits.FRAME_BYTES),
        "TerminalSize.rows": Rule(1_000, 1),
        "TerminalSize.columns": Rule(1_000, 1),
        "ReadInstanceLogsRequest.tail_lines": Rule(1_000_000, 0),
        "ReadInstanceLogsRequest.seen": Rule(4096),
        "CreateSnapshotRequest.snapshot_id": SNAPSHOT,
        "Hypervisor.labels": LABELS,
        "AdoptForeignInstanceRequest.uid": UID,
        "AdoptForeignInstanceRequest.instance_id": ID,
        "RemoveForeignInstanceRequest.uid": UID,
        "Image.uid": UID,
        "Image.alias": ALIAS,
        "Image.description": TEXT,
        "Image.tags": LABELS,
        "Image.os": Rule(32),
        "Image.version": Rule(64),
        "Image.command": Rule(128),
        "Image.min_ram": MEMORY,
        "ImportImageRequest.image_id": ID,
        "ImportImageRequest.url": Rule(2_048),
        "ImportImageRequest.file": Rule(4_096),
        "ImportImageRequest.oci_reference": Rule(512),
        "ImportImageRequest.sha256": SHA256,
        "UploadImageRequest.data": Rule(limits.CHUNK_BYTES),
        "CreateImageFromInstanceRequest.image_id": ID,
        "Package.alias": ALIAS,
        "Package.description": TEXT,
        "Package.tags": LABELS,
        "Package.required_labels": LABELS,
        "Package.max_physical_memory": Rule(16 * 1024 * 1024, 1),
        "Package.max_swap": Rule(16 * 1024 * 1024, 256),
        "Package.max_lwps": Rule(1_000_000, 1),
        "Package.cpu_cap": CPUS,
        "Package.vcpus": Rule(64, 1),
        "Package.quota": DISK,
        "Package.zfs_io_priority": Rule(16_384, 0),
        "CreatePackageRequest.package_id": ID,
        "Network.uid": UID,
        "Network.alias": ALIAS,
        "Network.description": TEXT,
        "Network.tags": LABELS,
        "Network.nic_tag": Rule(
            31, pattern=re.compile(r"[A-Za-z0-9_-]{1,31}"), wanted="a nic tag like external"
        ),
        "Network.vlan_id": VLAN,
        "Network.mtu": MTU,
        "Network.pools": Rule(2),
        "Network.resolvers": Rule(16),
        "Network.routes": Rule(64, each=64),
        "CreateNetworkRequest.network_id": ID,
        "ReserveAddressRequest.note": Rule(256),
        "WatchRequest.resource_types": Rule(16, each=64),
        "WatchRequest.filter": Rule(limits.FILTER_CHARACTERS),
        "WatchRequest.max_delay": Rule(limits.WATCH_DELAY_MOST_S, 0.0),
        "WatchRequest.heartbeat": Rule(limits.HEARTBEAT_MOST_S, limits.HEARTBEAT_LEAST_S),
        "GetTreeRequest.depth": Rule(16, 1),
        "GetTreeRequest.max_children": Rule(10_000, 1),
        "WatchTreeRequest.depth": Rule(16, 1),
        "WatchTreeRequest.max_children": Rule(10_000, 1),
        "Shares.cpu": Rule(model_limits.SHARES_MAX, 0),
        "Shares.memory": Rule(model_limits.SHARES_MAX, 0),
        "Shares.disk": Rule(model_limits.SHARES_MAX, 0),
        "FieldMask.paths": Rule(256, each=256),
    }
)
