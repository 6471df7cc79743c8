"""An instance as `vmadm get` tells it, for scripts that read that.

What only ZFS and zones have (zonepath, zfs_filesystem, zoneid and the like) is left out, or null
where vmadm always has the name; times are in vmadm's form.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from typing import TYPE_CHECKING, Any, Final

from fifo.model.vmadm import texts
from fifo.model.vmadm.properties import NOBODY, PROPERTIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fifo.model.instance import Claim, Disk, InstanceSpec, InstanceStatus, Nic, Snapshot

TYPES: Final[Mapping[str, str]] = {
    "joyent": "OS", "joyent-minimal": "OS", "lx": "LX", "bhyve": "BHYV", "kvm": "KVM",
}  # fmt: skip
STATES: Final[Mapping[str, tuple[str, str]]] = {
    "provisioning": ("provisioning", "installed"),
    "stopped": ("stopped", "installed"),
    "starting": ("ready", "ready"),
    "running": ("running", "running"),
    "stopping": ("stopping", "shutting_down"),
    "backing_off": ("stopped", "installed"),
    "failed": ("failed", "installed"),
    "deleting": ("down", "down"),
    "deleted": ("incomplete", "incomplete"),
}
"""Our states in vmadm's words: `state` and `zone_state`."""
_MIB: Final = 1024 * 1024
_SIGNAL: Final = 128
"""A shell's way to tell an end by a signal: 128 and its number."""
_NAMES: Final = {row.field: name for name, row in PROPERTIES.items() if row.becomes == "field"}
_PLAIN: Final = (
    "alias", "brand", "image", "hostname", "dns_domain", "kernel_version",
    "cpu_cap", "cpu_shares", "max_physical_memory", "max_locked_memory", "max_swap", "max_lwps",
    "zfs_io_priority",
)  # fmt: skip
_ALWAYS: Final = ("autoboot", "firewall_enabled", "quota")
_OBJECTS: Final = ("customer_metadata", "internal_metadata", "tags", "routes")


def render(
    spec: InstanceSpec, status: InstanceStatus | None = None, claim: Claim | None = None
) -> dict[str, Any]:
    """Give an instance as the object that `vmadm get` prints."""
    state, zone_state = STATES[status.state if status is not None else "provisioning"]
    made: dict[str, Any] = {
        "uuid": spec.uid,
        "zonename": spec.uid,
        "state": state,
        "zone_state": zone_state,
        "zoneid": None,
        "type": TYPES[spec.brand],
        "owner_uuid": spec.owner_uuid or NOBODY,
        "billing_id": spec.billing_id or NOBODY,
        "create_timestamp": _time(spec.create_time),
        "resolvers": list(spec.resolvers),
    }
    made |= {_NAMES[field]: getattr(spec, field) for field in _PLAIN if getattr(spec, field)}
    made |= {_NAMES[field]: getattr(spec, field) for field in _ALWAYS}
    made |= {name: dict(getattr(spec, name)) for name in _OBJECTS}
    made |= _of_kind(spec)
    addresses = claim.addresses if claim is not None else {}
    made["nics"] = [_nic(nic, addresses.get(nic.mac, ())) for nic in spec.nics]
    if spec.deletion_protection:
        made["indestructible_zoneroot"] = True
    if claim is not None:
        made["server_uuid"] = claim.host
    made["snapshots"] = [_snapshot(own) for own in status.snapshots] if status is not None else []
    if status is not None:
        made |= _observed(status)
    return made | _extra(spec)


def _of_kind(spec: InstanceSpec) -> dict[str, Any]:
    if spec.is_vm:
        return {
            "ram": spec.ram,
            "vcpus": spec.vcpus,
            "disks": [_disk(disk) for disk in spec.disks],
        }
    made: dict[str, Any] = {"tmpfs": spec.tmpfs}
    if spec.init:
        made["init_name"] = " ".join(spec.init)
    if spec.restart.when == "never":
        made["restart_init"] = False
    if spec.filesystems:
        made["filesystems"] = [
            {"source": own.source, "target": own.target, "type": own.type,
             "options": list(own.options)}
            for own in spec.filesystems
        ]  # fmt: skip
    return made


def _observed(status: InstanceStatus) -> dict[str, Any]:
    made: dict[str, Any] = {"last_modified": _time(status.since)}
    if status.pid:
        made["pid"] = status.pid
    end = status.exit
    if end is not None:
        made["exit_timestamp"] = _time(end.at)
        if end.signal is not None:
            made["exit_status"] = _SIGNAL + end.signal
        elif end.code is not None:
            made["exit_status"] = end.code
    return made


def _nic(nic: Nic, claimed: tuple[str, ...]) -> dict[str, Any]:
    ips = list(nic.ips or claimed)
    made: dict[str, Any] = {
        "interface": nic.interface,
        "mac": nic.mac,
        "nic_tag": nic.nic_tag,
        "ips": ips,
        "gateways": list(nic.gateways),
        "mtu": nic.mtu,
    }
    if ips and texts.is_interface_address(ips[0]) and ":" not in ips[0]:
        # The form of before `ips`, which vmadm still tells for the first address.
        own = ipaddress.IPv4Interface(ips[0])
        made |= {"ip": str(own.ip), "netmask": str(own.netmask)}
        if nic.gateways:
            made["gateway"] = nic.gateways[0]
    if nic.network:
        made["network_uuid"] = nic.network
    made |= {
        name: own
        for name in ("vlan_id", "model", "allow_ip_spoofing", "allow_mac_spoofing",
                     "allow_dhcp_spoofing", "allow_restricted_traffic", "primary")
        if (own := getattr(nic, name))
    }  # fmt: skip
    if nic.allowed_ips:
        made["allowed_ips"] = list(nic.allowed_ips)
    return made


def _disk(disk: Disk) -> dict[str, Any]:
    made: dict[str, Any] = {
        "path": disk.path,
        "boot": disk.boot,
        "model": disk.model,
        "media": disk.media,
        "size": disk.size,
    }
    if disk.image:
        made |= {"image_uuid": disk.image, "image_size": disk.size}
    return made


def _snapshot(own: Snapshot) -> dict[str, Any]:
    return {
        "name": own.name,
        "created_at": _time(own.created),
        "size": -(-own.size_bytes // _MIB),
    }


def _extra(spec: InstanceSpec) -> dict[str, Any]:
    """Give what was only kept as it was given: lists were written down with commas."""
    made: dict[str, Any] = {}
    for name, own in spec.extra.items():
        row = PROPERTIES.get(name)
        is_list = row is not None and row.kind == "list" and isinstance(own, str)
        made[name] = str(own).split(",") if is_list else own
    return made


def _time(utc: float) -> str:
    found = dt.datetime.fromtimestamp(utc, dt.UTC).isoformat(timespec="milliseconds")
    return found.replace("+00:00", "Z")
