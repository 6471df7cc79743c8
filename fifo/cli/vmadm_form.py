"""Instances in vmadm's form, for scripts that read `vmadm get`: the API's messages made into it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from google.protobuf import json_format

from fifo.api.resources.instances import BRANDS, MODES, STATES
from fifo.cli.kinds import KINDS, messages_of, stub_of
from fifo.model.instance import (
    Claim,
    Disk,
    Exit,
    Filesystem,
    InstanceSpec,
    InstanceStatus,
    Nic,
    RestartPolicy,
    Shares,
    Snapshot,
)
from fifo.model.vmadm.rendering import render

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.cli.client import Client
    from fifo.v1.instance_pb2 import Instance

    Uid = Callable[[str, str], str]
    """(word of a kind, name) -> uid; nothing for nothing."""

_TEXTS: Final = (
    "alias", "owner_uuid", "billing_id", "hostname", "dns_domain", "kernel_version",
    "deletion_protection", "firewall_enabled",
)  # fmt: skip
_NUMBERS: Final = (
    "ram", "max_physical_memory", "max_locked_memory", "max_swap", "max_lwps", "cpu_cap",
    "cpu_shares", "vcpus", "quota", "zfs_io_priority", "tmpfs", "autoboot",
)  # fmt: skip
ETHERNET_MTU: Final = 1500
_NIC: Final = (
    "interface", "mac", "nic_tag", "primary", "model", "vlan_id", "allow_ip_spoofing",
    "allow_mac_spoofing", "allow_dhcp_spoofing", "allow_restricted_traffic",
)  # fmt: skip


class Uids:
    """Finds the uids that vmadm names things by; asks for each once."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: dict[str, str] = {}

    def __call__(self, word: str, name: str) -> str:
        """Give the uid of what has this name; what is not by name is a uid already."""
        if not name.startswith(f"{KINDS[word].plural}/"):
            return name
        if name not in self._known:
            kind = KINDS[word].title
            request = getattr(messages_of(word), f"Get{kind}Request")(name=name)
            found = self._client.call(getattr(stub_of(self._client, word), f"Get{kind}"), request)
            self._known[name] = found.uid
        return self._known[name]


def vmadm(instance: Instance, uid: Uid, snapshots: list[Any]) -> dict[str, Any]:
    """Give an instance as the object that `vmadm get` prints."""
    spec = _spec(instance, uid)
    host = uid("hypervisor", instance.hypervisor)
    claim = Claim(uid=instance.uid, host=host, shares=Shares()) if host else None
    return render(spec, _status(instance, host, snapshots), claim)


def _spec(own: Instance, uid: Uid) -> InstanceSpec:
    _, org, _, own_id = own.name.split("/")
    given: dict[str, Any] = {name: getattr(own, name) for name in _TEXTS}
    given |= {name: getattr(own, name) for name in _NUMBERS if own.HasField(name)}
    given |= {
        name: json_format.MessageToDict(getattr(own, name))
        for name in ("customer_metadata", "internal_metadata", "tags", "extra")
    }
    return InstanceSpec(
        uid=own.uid,
        id=own_id,
        org=org,
        generation=own.generation,
        wanted="stopped" if own.desired_state == own.STOPPED else "running",
        brand=_word(BRANDS, own.brand, "lx"),
        create_time=_utc(own.create_time),
        image=uid("image", own.image),
        resolvers=tuple(own.resolvers),
        routes=dict(own.routes),
        init=tuple(own.init),
        restart=RestartPolicy(when=_word(MODES, own.restart_policy.mode, "on_failure")),
        nics=tuple(_nic(nic, uid) for nic in own.nics),
        disks=tuple(_disk(disk, uid) for disk in own.disks),
        filesystems=tuple(
            Filesystem(source=one.source, target=one.target, type=one.type,
                       options=tuple(one.options))
            for one in own.filesystems
        ),
        **given,
    )  # fmt: skip


def _nic(own: Any, uid: Uid) -> Nic:
    return Nic(
        **{name: getattr(own, name) for name in _NIC},
        network=uid("network", own.network),
        mtu=own.mtu if own.HasField("mtu") else ETHERNET_MTU,
        ips=tuple(own.ips),
        gateways=tuple(own.gateways),
        allowed_ips=tuple(own.allowed_ips),
    )


def _disk(own: Any, uid: Uid) -> Disk:
    return Disk(
        path=own.path,
        image=uid("image", own.image),
        size=own.size,
        boot=own.boot,
        model=own.model,
        media="cdrom" if own.media == "cdrom" else "disk",
    )


def _status(own: Instance, host: str, snapshots: list[Any]) -> InstanceStatus:
    end = None
    if own.HasField("exit_time"):
        code = own.exit_status if own.HasField("exit_status") else None
        end = Exit(at=_utc(own.exit_time), code=code)
    return InstanceStatus(
        uid=own.uid,
        host=host,
        # A host that is cut off is nothing vmadm knows; what it last told of was running.
        state=_word(STATES, own.state, "running"),
        generation=own.observed_generation,
        since=_utc(own.state_time),
        pid=own.pid,
        exit=end,
        snapshots=tuple(
            Snapshot(
                name=one.name.rpartition("/")[2],
                created=_utc(one.create_time),
                size_bytes=one.size_bytes,
            )
            for one in snapshots
        ),
    )


def _word(table: Any, value: int, otherwise: Any) -> Any:
    return next((word for word, number in table.items() if number == value), otherwise)


def _utc(timestamp: Any) -> float:
    return float(timestamp.seconds + timestamp.nanos / 1e9)
