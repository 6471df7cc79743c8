"""Interfaces: from a request's to those of a spec, with hardware addresses made where absent."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Final

import msgspec

from fifo.model import names
from fifo.model.instance import Nic
from fifo.model.wires import make_mac, network_with

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fifo.api.drafts.found import Drafting
    from fifo.model.network import Network
    from fifo.v1 import instance_pb2

MTU: Final = 1500
DYNAMIC: Final = frozenset({"dhcp", "addrconf"})
"""Addresses that the guest gets by itself (vmadm)."""
_GROUP: Final = 0x01
"""The bit of the first octet that says 'for many' (IEEE 802)."""


def nics_of(
    drafting: Drafting,
    given: Sequence[instance_pb2.Nic],
    uid: str,
    is_vm: bool,  # noqa: FBT001 - the last of four
) -> tuple[Nic, ...]:
    """Make the interfaces of a spec; what is wrong is noted."""
    made: list[Nic] = []
    for index, nic in enumerate(given):
        made.append(_nic(drafting, nic, index, uid, is_vm=is_vm))
    if made and not any(nic.primary for nic in made):
        made[0] = msgspec.structs.replace(made[0], primary=True)
    _refuse_repeats(drafting, made)
    primaries = [index for index, nic in enumerate(made) if nic.primary]
    for index in primaries[1:]:
        drafting.refuse(f"nics[{index}].primary", f"one primary interface: nics[{primaries[0]}] is")
    return tuple(made)


def _nic(drafting: Drafting, given: instance_pb2.Nic, index: int, uid: str, *, is_vm: bool) -> Nic:
    field = f"nics[{index}]"
    network_uid = drafting.uid(names.NETWORKS, given.network, f"{field}.network")
    network = drafting.catalog.networks.record(network_uid)
    if network is None and not given.network:
        if not given.nic_tag:
            drafting.refuse(field, "a network, or a nic_tag")
        network = _implied(drafting, given)
        network_uid = network.uid if network is not None else ""
    if network is not None:
        _refuse_contradictions(drafting, given, network, field)
    return Nic(
        interface=given.interface or f"net{index}",
        mac=_mac(drafting, given.mac, f"{field}.mac") or make_mac(uid, index),
        nic_tag=network.nic_tag if network is not None else given.nic_tag,
        network=network_uid,
        ips=_ips(drafting, given.ips, network, f"{field}.ips"),
        gateways=_gateways(drafting, given, network, f"{field}.gateways"),
        primary=given.primary,
        model=given.model or ("virtio" if is_vm else ""),
        vlan_id=network.vlan_id if network is not None else given.vlan_id,
        mtu=given.mtu if given.HasField("mtu") else (network.mtu if network is not None else MTU),
        allow_ip_spoofing=given.allow_ip_spoofing,
        allow_mac_spoofing=given.allow_mac_spoofing,
        allow_dhcp_spoofing=given.allow_dhcp_spoofing,
        allow_restricted_traffic=given.allow_restricted_traffic,
        allowed_ips=_allowed(drafting, given.allowed_ips, f"{field}.allowed_ips"),
    )


def _implied(drafting: Drafting, given: instance_pb2.Nic) -> Network | None:
    """Find the network that has an interface's addresses: it is as if it had been named."""
    static = tuple(text for text in given.ips if text not in DYNAMIC)
    networks = (entry.record for entry in drafting.catalog.networks)
    try:
        return network_with(networks, given.nic_tag, given.vlan_id, static)
    except ValueError:
        return None  # What is no address is told where addresses are read.


def _refuse_contradictions(
    drafting: Drafting, given: instance_pb2.Nic, network: Network, field: str
) -> None:
    where = f"{names.NETWORKS}/{network.id}"
    if given.nic_tag and given.nic_tag != network.nic_tag:
        drafting.refuse(f"{field}.nic_tag", f"{network.nic_tag}, which {where} has, or nothing")
    if given.vlan_id and given.vlan_id != network.vlan_id:
        drafting.refuse(f"{field}.vlan_id", f"{network.vlan_id}, which {where} has, or nothing")


def _mac(drafting: Drafting, text: str, field: str) -> str:
    if not text:
        return ""
    octets = [int(part, 16) for part in text.split(":")]
    if octets[0] & _GROUP:
        drafting.refuse(field, "a hardware address of one interface, its first octet even")
    return ":".join(f"{octet:02x}" for octet in octets)


def _ips(
    drafting: Drafting, given: Sequence[str], network: Network | None, field: str
) -> tuple[str, ...]:
    made = []
    for index, text in enumerate(given):
        if text in DYNAMIC:
            made.append(text)
        else:
            made.append(_ip(drafting, text, network, f"{field}[{index}]"))
    if len(set(made)) != len(made):
        drafting.refuse(field, "each address once")
    return tuple(made)


def _ip(drafting: Drafting, text: str, network: Network | None, field: str) -> str:
    """Read an address with its prefix length, which may be left out where a network says it."""
    try:
        own = ipaddress.ip_interface(text)
    except ValueError:
        drafting.refuse(field, "an address with its prefix length (10.0.0.7/24), dhcp or addrconf")
        return text
    if network is None:
        # That a host can have it is a rule of the whole spec (fifo.model.vmadm.validity).
        if "/" not in text:
            drafting.refuse(field, "a prefix length as well: 10.0.0.7/24")
        return str(own)
    for pool in network.pools:
        subnet = ipaddress.ip_network(pool.subnet)
        if own.ip in subnet:
            if "/" in text and own.network.prefixlen != subnet.prefixlen:
                drafting.refuse(field, f"the prefix length of its network, /{subnet.prefixlen}")
            if pool.gateway and own.ip == ipaddress.ip_address(pool.gateway):
                drafting.refuse(field, "another address: this is its network's gateway")
            return f"{own.ip}/{subnet.prefixlen}"
    subnets = ", ".join(pool.subnet for pool in network.pools) or "which has no pool"
    drafting.refuse(field, f"an address of its network, {subnets}")
    return text


def _gateways(
    drafting: Drafting, given: instance_pb2.Nic, network: Network | None, field: str
) -> tuple[str, ...]:
    if not given.gateways and network is not None:
        return tuple(pool.gateway for pool in network.pools if pool.gateway)
    for index, text in enumerate(given.gateways):
        if not is_address(text):
            drafting.refuse(f"{field}[{index}]", "an address")
    return tuple(given.gateways)


def _allowed(drafting: Drafting, given: Sequence[str], field: str) -> tuple[str, ...]:
    for index, text in enumerate(given):
        if not is_network(text):
            drafting.refuse(f"{field}[{index}]", "an address or a CIDR")
    return tuple(given)


def _refuse_repeats(drafting: Drafting, made: list[Nic]) -> None:
    for what in ("mac", "interface"):
        seen: dict[str, int] = {}
        for index, nic in enumerate(made):
            own = getattr(nic, what)
            if own in seen:
                drafting.refuse(f"nics[{index}].{what}", f"not the one of nics[{seen[own]}]")
            seen.setdefault(own, index)


def is_address(text: str) -> bool:
    """Tell whether a text is an address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_network(text: str) -> bool:
    """Tell whether a text is an address or a CIDR."""
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


HOST_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.IGNORECASE)
"""What an alias has to look like to be a host name too."""
