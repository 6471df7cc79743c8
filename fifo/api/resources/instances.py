"""Instances: from spec, status and claim to what callers see."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from fifo.api.resources.values import (
    etag,
    set_duration,
    set_scalars,
    set_time,
)
from fifo.api.resources.view import hypervisor_name, image_name, network_name, package_name
from fifo.model import address_pool, names
from fifo.model.instance import InstanceSpec
from fifo.model.vmadm.in_vain import in_vain
from fifo.model.vmadm.limits import SWAP_LEAST_MIB
from fifo.v1 import instance_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from fifo.model.instance import Claim, InstanceStatus, RestartPolicy
    from fifo.store.catalog import Entry, View

Message = instance_pb2.Instance
TYPE: Final = "fifo/Instance"
_OTHER_NAMES: Final = MappingProxyType({"wanted": "desired_state", "restart": "restart_policy"})
"""Fields of a spec that the API calls otherwise."""
SIGNAL_STATUS: Final = 128
"""What a shell adds to the number of a signal."""

BRANDS: Final = MappingProxyType(
    {
        "joyent": Message.JOYENT,
        "joyent-minimal": Message.JOYENT_MINIMAL,
        "lx": Message.LX,
        "bhyve": Message.BHYVE,
        "kvm": Message.KVM,
    }
)
STATES: Final = MappingProxyType(
    {
        "provisioning": Message.PROVISIONING,
        "stopped": Message.STOPPED,
        "starting": Message.STARTING,
        "running": Message.RUNNING,
        "stopping": Message.STOPPING,
        "backing_off": Message.BACKING_OFF,
        "failed": Message.FAILED,
        "deleting": Message.DELETING,
        "deleted": Message.DELETED,
    }
)
MODES: Final = MappingProxyType(
    {
        "never": instance_pb2.RestartPolicy.NEVER,
        "on_failure": instance_pb2.RestartPolicy.ON_FAILURE,
        "always": instance_pb2.RestartPolicy.ALWAYS,
    }
)
_OF_HOSTS: Final = ("quota", "zfs_io_priority", "max_swap")
"""Properties that one host honours and another does not, which its probe calls so too."""
_USUAL: Final = MappingProxyType(
    {own.name: own.default for own in msgspec.structs.fields(InstanceSpec)}
)
_SETTLED: Final = frozenset({"running", "stopped", "failed", "deleted"})


class Parts(NamedTuple):
    """The records that an instance is seen from; equal parts make equal messages."""

    spec: Entry[InstanceSpec]
    status: Entry[InstanceStatus] | None
    claim: Entry[Claim] | None
    cut_off: bool
    lacks: tuple[str, ...] = ()


def capture(view: View, uid: str) -> Parts | None:
    """Take an instance's records as they are now; None if there is none."""
    spec = view.specs.entries.get(uid)
    if spec is None:
        return None
    claim = view.claims.entries.get(uid)
    cut_off = False
    if claim is not None:
        host = view.host_statuses.entries.get(claim.record.host)
        cut_off = host is not None and host.record.condition == "unreachable"
    lacks = lacking(view, claim.record.host) if claim is not None else ()
    return Parts(spec, view.statuses.entries.get(uid), claim, cut_off, lacks)


def name_of(parts: Parts) -> str:
    """Name it."""
    spec = parts.spec.record
    return names.instance_name(spec.id, spec.org)


def message(view: View, parts: Parts) -> Message:
    """Make what callers see."""
    made = settable(view, parts.spec)
    spec = parts.spec.record
    made.etag = etag(parts.spec.raw)
    set_time(made.create_time, spec.create_time)
    made.generation = spec.generation
    made.unhonoured_properties.extend(unhonoured(spec, parts.lacks))
    status = parts.status.record if parts.status is not None else None
    made.state = state_of(parts)
    made.reconciling = _reconciling(spec, status)
    if parts.claim is not None:
        _add_claim(view, made, parts.claim.record)
    if status is not None:
        _add_status(made, status)
    return made


def lacking(view: View, host: str) -> tuple[str, ...]:
    """List the properties that mean nothing on a host; none for no host."""
    status = view.host_statuses.record(host) if host else None
    missing = status.probe.missing if status is not None and status.probe is not None else {}
    return tuple(name for name in _OF_HOSTS if name in missing)


def unhonoured(spec: InstanceSpec, lacks: tuple[str, ...]) -> tuple[str, ...]:
    """List wanted properties that come to nothing: anywhere, or on a host that lacks some.

    What everybody gets who asks for nothing is not wanted.
    """
    usual = {
        "quota": spec.quota if spec.is_vm else _USUAL["quota"],
        "zfs_io_priority": _USUAL["zfs_io_priority"],
        "max_swap": max(SWAP_LEAST_MIB, spec.max_physical_memory),
    }
    here = (name for name in lacks if getattr(spec, name) != usual[name])
    return tuple(dict.fromkeys((*spec.unhonoured, *in_vain(spec), *here)))


def settable(view: View, entry: Entry[InstanceSpec]) -> Message:
    """Make what a caller may set, with its name and uid: what an update starts from."""
    spec = entry.record
    made = Message(
        name=names.instance_name(spec.id, spec.org),
        uid=spec.uid,
        alias=spec.alias,
        deletion_protection=spec.deletion_protection,
        owner_uuid=spec.owner_uuid,
        billing_id=spec.billing_id,
        brand=BRANDS[spec.brand],
        image=image_name(view, spec.image),
        package=package_name(view, spec.package),
        hypervisor=hypervisor_name(view, spec.wanted_host),
        autoboot=spec.autoboot,
        desired_state=Message.RUNNING if spec.wanted == "running" else Message.STOPPED,
        cpu_cap=spec.cpu_cap,
        cpu_shares=spec.cpu_shares,
        vcpus=spec.vcpus,
        ram=spec.ram,
        max_physical_memory=spec.max_physical_memory,
        max_locked_memory=spec.max_locked_memory,
        max_swap=spec.max_swap,
        max_lwps=spec.max_lwps,
        quota=spec.quota,
        tmpfs=spec.tmpfs,
        zfs_io_priority=spec.zfs_io_priority,
        hostname=spec.hostname,
        dns_domain=spec.dns_domain,
        resolvers=spec.resolvers,
        routes=spec.routes,
        firewall_enabled=spec.firewall_enabled,
        init=spec.init,
        kernel_version=spec.kernel_version,
    )
    _add_parts(view, made, spec)
    set_scalars(made.customer_metadata, spec.customer_metadata)
    set_scalars(made.internal_metadata, spec.internal_metadata)
    set_scalars(made.tags, spec.tags)
    set_scalars(made.extra, spec.extra)
    _set_policy(made.restart_policy, spec.restart)
    return made


def state_of(parts: Parts) -> Message.State.ValueType:
    """Tell what it is doing, as callers are told."""
    if parts.spec.record.deleting:
        return Message.DELETING
    if parts.cut_off:
        return Message.LIMBO
    return STATES[parts.status.record.state] if parts.status is not None else Message.PROVISIONING


def addresses(claim: Claim) -> tuple[str, ...]:
    """Give every address of a claim, without prefix lengths, in the order of the interfaces."""
    found = (address_pool.bare(text) for texts in claim.addresses.values() for text in texts)
    return tuple(dict.fromkeys(found))


# -- its parts ------------------------------------------------------------------------------------


def _add_parts(view: View, made: Message, spec: InstanceSpec) -> None:
    for nic in spec.nics:
        made.nics.add(
            interface=nic.interface,
            mac=nic.mac,
            network=network_name(view, nic.network),
            nic_tag=nic.nic_tag,
            ips=nic.ips,
            gateways=nic.gateways,
            vlan_id=nic.vlan_id,
            mtu=nic.mtu,
            primary=nic.primary,
            model=nic.model,
            allow_dhcp_spoofing=nic.allow_dhcp_spoofing,
            allow_ip_spoofing=nic.allow_ip_spoofing,
            allow_mac_spoofing=nic.allow_mac_spoofing,
            allow_restricted_traffic=nic.allow_restricted_traffic,
            allowed_ips=nic.allowed_ips,
        )
    for disk in spec.disks:
        made.disks.add(
            path=disk.path,
            image=image_name(view, disk.image),
            size=disk.size,
            boot=disk.boot,
            media=disk.media,
            model=disk.model,
        )
    for own in spec.filesystems:
        made.filesystems.add(
            source=own.source, target=own.target, type=own.type, options=own.options
        )


def _set_policy(into: instance_pb2.RestartPolicy, policy: RestartPolicy) -> None:
    into.mode = MODES[policy.when]
    set_duration(into.first_wait, policy.first_s)
    set_duration(into.longest_wait, policy.most_s)
    into.factor = policy.factor
    into.attempts = policy.attempts
    set_duration(into.window, policy.window_s)


def _add_claim(view: View, made: Message, claim: Claim) -> None:
    made.hypervisor = hypervisor_name(view, claim.host)
    made.addresses.extend(addresses(claim))
    for nic in made.nics:
        if not nic.ips:
            nic.ips.extend(claim.addresses.get(nic.mac, ()))


def field_names(names: Iterable[str]) -> Iterator[str]:
    """Yield what the API calls fields of a spec; those that it has none for are left out."""
    for name in names:
        own = _OTHER_NAMES.get(name, name)
        if own in Message.DESCRIPTOR.fields_by_name:
            yield own


def _add_status(made: Message, status: InstanceStatus) -> None:
    set_time(made.state_time, status.since)
    made.state_reason = status.reason
    made.observed_generation = status.generation
    made.pid = status.pid
    made.restarts = status.restarts
    made.pending_reboot.extend(field_names(status.pending_reboot))
    if status.exit is not None:
        set_time(made.exit_time, status.exit.at)
        if status.exit.signal is not None:
            made.exit_status = SIGNAL_STATUS + status.exit.signal
        elif status.exit.code is not None:
            made.exit_status = status.exit.code
    if status.snapshots:
        summary = made.snapshot_summary
        summary.count = len(status.snapshots)
        summary.size_bytes = sum(snapshot.size_bytes for snapshot in status.snapshots)
        latest = max(snapshot.created for snapshot in status.snapshots)
        set_time(summary.latest_create_time, latest)


def _reconciling(spec: InstanceSpec, status: InstanceStatus | None) -> bool:
    """Tell whether work goes on to make it what is wanted."""
    if spec.deleting or status is None or status.generation < spec.generation:
        return True
    return status.state not in _SETTLED


class Cache:
    """The bytes of instances as they were sent last, good as long as their records are the same.

    On the node's loop. A Get of an instance that did not change costs a few look-ups.
    """

    def __init__(self, view: View, most: int) -> None:
        self._view = view
        self._most = most
        self._kept: dict[str, tuple[Parts, bytes]] = {}

    def data(self, uid: str) -> bytes | None:
        """Give an instance as bytes of its message; None if there is none."""
        parts = capture(self._view, uid)
        if parts is None:
            self._kept.pop(uid, None)
            return None
        kept = self._kept.get(uid)
        if kept is not None and kept[0] == parts:
            return kept[1]
        data = message(self._view, parts).SerializeToString()
        if len(self._kept) >= self._most and uid not in self._kept:
            del self._kept[next(iter(self._kept))]
        self._kept[uid] = (parts, data)
        return data


def from_table(table: Mapping[str, int], value: int) -> str:
    """Give the word of the model for an enum's value; nothing for the unspecified one."""
    return next((word for word, number in table.items() if number == value), "")
