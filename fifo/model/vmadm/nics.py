"""Interfaces of a payload: brought to the present form, checked each, then all together."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any, Final

from fifo.model import host_address
from fifo.model.instance import VM_BRANDS, Nic
from fifo.model.vmadm import limits, texts
from fifo.model.vmadm.findings import REQUIRED
from fifo.model.vmadm.gathering import Asked, gather
from fifo.model.vmadm.parts import NIC

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fifo.model.vmadm.findings import Findings

IP_WANTED: Final = "an address with its prefix length (10.0.0.7/24), dhcp or addrconf"


def read(
    given: Sequence[Mapping[str, Any]], name: str, brand: str, driver: str, found: Findings
) -> tuple[Nic, ...]:
    """Read new interfaces; `driver` is the model of those that have none. Macs may be absent."""
    made = []
    asked = Asked(brand, "a")
    groups = []
    for index, raw in enumerate(given):
        path = f"{name}[{index}]"
        values = gather_one(raw, path, asked, found)
        # A value that was refused is told of already.
        if not any(values.get(own) or raw.get(own) for own in ("nic_tag", "network_uuid")):
            found.refuse(f"{path}.nic_tag", REQUIRED)
        if brand in VM_BRANDS and not values.setdefault("model", driver):
            found.refuse(f"{path}.model", f"{REQUIRED}, here or as nic_driver")
        groups.append(values)
        made.append(Nic(**{"interface": "", "mac": "", **fields_of(values)}))
    _check_vrrp(groups, name, found)
    check_together(made, name, found)
    return tuple(made)


def gather_one(raw: Mapping[str, Any], path: str, asked: Asked, found: Findings) -> dict[str, Any]:
    """Read what is given of one interface, by vmadm's names; unset ones are left out."""
    values = gather(NIC, raw, f"{path}.", asked, found)
    values = {key: own for key, own in values.items() if own is not None}
    _upgrade(values, path, found)
    for index, text in enumerate(values.get("ips", ())):
        if wanted := ip_wanted(text):
            found.refuse(f"{path}.ips[{index}]", wanted)
    counted = [values.get("ips", ()), values.get("allowed_ips", ())]
    total = sum(map(len, counted)) + ("vrrp_primary_ip" in values)
    if total > limits.ADDRESSES:
        found.refuse(path, f"at most {limits.ADDRESSES} addresses in all, not {total}")
    return values


def ip_wanted(text: str) -> str:
    """Say what is wanted in `ips` in place of a text; nothing if it may stand there."""
    if text in texts.DYNAMIC:
        return ""
    if not texts.is_interface_address(text):
        return IP_WANTED
    return host_address.interface_objection(text)


def gateway_wanted(text: str, ips: Sequence[str]) -> str:
    """Say what is wanted in `gateways` in place of a text, with the interface's `ips`."""
    if not texts.is_address(text):
        return "an address"
    static = [own for own in ips if texts.is_interface_address(own)]
    return host_address.gateway_objection(text, static)


def fields_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Give what an interface's values are in a Nic."""
    fields = {NIC[name].field: own for name, own in values.items() if NIC[name].becomes == "field"}
    if "mac" in fields:
        fields["mac"] = texts.whole_mac(fields["mac"])
    return fields


def _upgrade(values: dict[str, Any], path: str, found: Findings) -> None:
    """Bring `ip`, `netmask` and `gateway` to `ips` and `gateways`; present ones win."""
    ip, netmask = values.pop("ip", None), values.pop("netmask", None)
    gateway = values.pop("gateway", None)
    if ip is not None and "ips" not in values:
        text = ip if ip in texts.DYNAMIC or "/" in ip else _with_prefix(ip, netmask, path, found)
        if text:
            values["ips"] = (text,)
    if gateway is not None and "gateways" not in values:
        if texts.is_ipv4(gateway):
            values["gateways"] = (gateway,)
        else:
            found.refuse(f"{path}.gateway", "an IPv4 address")


def _with_prefix(ip: str, netmask: str | None, path: str, found: Findings) -> str:
    if netmask is None:
        found.refuse(f"{path}.netmask", "a value: `ip` needs it; better use `ips`")
        return ""
    if not texts.is_ipv4(ip):
        found.refuse(f"{path}.ip", "an IPv4 address; better use `ips`")
        return ""
    try:
        return f"{ip}/{ipaddress.IPv4Network((0, netmask)).prefixlen}"
    except ValueError:
        found.refuse(f"{path}.netmask", "a netmask like 255.255.255.0")
        return ""


# -- all of them ----------------------------------------------------------------------------------


def check_together(nics: Sequence[Nic], name: str, found: Findings) -> None:
    """Check what holds between interfaces: one primary, nothing of theirs twice."""
    primaries = [index for index, nic in enumerate(nics) if nic.primary]
    for index in primaries[1:]:
        found.refuse(f"{name}[{index}].primary", f"one primary interface: [{primaries[0]}] is")
    for what in ("mac", "interface"):
        seen: dict[str, int] = {}
        for index, nic in enumerate(nics):
            own = getattr(nic, what)
            if own and seen.setdefault(own, index) != index:
                found.refuse(f"{name}[{index}].{what}", f"not the one of [{seen[own]}]")
    taken: dict[str, int] = {}
    for index, nic in enumerate(nics):
        for place, text in enumerate(nic.ips):
            address = text.partition("/")[0]
            if address in texts.DYNAMIC:
                continue
            if address in taken:
                told = f"each address once: [{taken[address]}] has it"
                found.refuse(f"{name}[{index}].ips[{place}]", told)
            taken.setdefault(address, index)


def _check_vrrp(groups: Sequence[Mapping[str, Any]], name: str, found: Findings) -> None:
    """Check virtual routers: never alone, and standing on an address of an ordinary interface."""
    ordinary = [values for values in groups if "vrrp_vrid" not in values]
    if groups and not ordinary:
        found.refuse(name, "an interface without vrrp_vrid as well")
    own = {
        text.partition("/")[0]
        for values in ordinary
        for text in values.get("ips", ())
        if text not in texts.DYNAMIC
    }
    seen: set[int] = set()
    for index, values in enumerate(groups):
        vrid = values.get("vrrp_vrid")
        if vrid is None:
            continue
        path = f"{name}[{index}]"
        if vrid in seen:
            found.refuse(f"{path}.vrrp_vrid", "each router once")
        seen.add(vrid)
        primary = values.get("vrrp_primary_ip")
        if primary is None:
            found.refuse(f"{path}.vrrp_primary_ip", f"{REQUIRED} with vrrp_vrid")
        elif primary not in own:
            found.refuse(f"{path}.vrrp_primary_ip", "an address of another of its interfaces")
        if "mac" in values:
            found.refuse(f"{path}.mac", "nothing: it follows from vrrp_vrid")


def check_routes(
    routes: Mapping[str, Any], nics: Sequence[Nic], name: str, found: Findings
) -> None:
    """Check routes: from an IPv4 network to a gateway, or to an interface with a fixed address.

    An interface is `nics[N]` by its place, or `macs[..]` by its hardware address.
    """
    for destination, gateway in routes.items():
        path = f"{name}.{texts.shown(destination)}"
        if not texts.is_ipv4_network(destination):
            found.refuse(path, "an IPv4 address or CIDR as the destination")
        if not isinstance(gateway, str):
            found.refuse(path, "a text")
        elif texts.is_ipv4(gateway):
            continue
        elif (nic := _interface(gateway, nics)) is None:
            found.refuse(path, "an IPv4 gateway, or an interface there is: nics[0] or macs[..]")
        elif nic.ips and all(text in texts.DYNAMIC for text in nic.ips):
            found.refuse(path, "an interface with a fixed address")


def _interface(gateway: str, nics: Sequence[Nic]) -> Nic | None:
    if (place := texts.NICS_N.fullmatch(gateway)) and int(place[1]) < len(nics):
        return nics[int(place[1])]
    if (mac := texts.MACS_M.fullmatch(gateway)) and texts.is_mac(mac[1]):
        wanted = texts.whole_mac(mac[1])
        return next((nic for nic in nics if nic.mac == wanted), None)
    return None
