"""What an instance may send onto its bridge: a chain of nftables rules a port. Pure text.

One table of the bridge family a node, with a map from port to chain: a frame costs one look-up
however many ports there are, and rules are there before their port is. The text for a port replaces
what was there in one transaction, and may be applied again; so may the text that removes it.

Whatever the leave, frames with a VLAN tag (IEEE 802.1Q, 802.1ad) are dropped: on an operator's
trunk a tag leads to another wire than the network's, and one for VLAN 0, which receivers take for
none, hides what is behind it from the rules.

Without leave to do otherwise, of what comes from a port is dropped:
- frames from another hardware address, and all that is not ARP, IPv4 or IPv6;
- ARP that names another sender, by hardware or IP address (RFC 826); a probe without a sender (RFC
  5227) may only ask for an address of its own;
- IPv4 and IPv6 from another address; IPv6 also from its link-local one;
- neighbour advertisements for what is another's (RFC 4861), router advertisements and redirects;
- IPv6 fragments but those of transports: ICMPv6 and further headers would hide them (RFC 6980);
- answers of DHCP and DHCPv6 servers.

Each leave is for its kind alone: to send from any IP address is none to be a router or a DHCP
server (`dhcp_spoofing`), nor to send what is neither ARP nor IP (`restricted`).

By DHCP an interface is held to the addresses that servers gave it (`leases`). With `addrconf` it
may use any IPv6 address: prefixes come from routers, and the rest of one it makes up itself.

Source of the syntax: nft(8), nftables 1.0.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from fifo.hypervisors.linux import leases

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fifo.hypervisors.linux.addresses import Attachment

MAP: Final = "ports"
CHAIN: Final = "from_"
PRIORITY: Final = -300
"""Before everybody else's rules on bridged frames, and before the bridge learns an address."""
LINK_LOCAL: Final = "fe80::"
FRAGMENTED: Final = ("6", "17", "50", "51", "132")
"""What IPv6 fragments may hold: TCP, UDP, ESP, AH and SCTP, by their numbers (IANA): their names
are in netbase's file, which small hosts do not have."""


TAGGED: Final = "@ll,96,16 { 0x8100, 0x88a8 }"
"""A frame with a tag of either kind. The kernel takes the tag off into metadata: rules about the
frame's type see the tag's, those about IP what is behind it; `ether type vlan` misses 802.1ad."""


class Guard(NamedTuple):
    """A port and what may come from it; no addresses of a family: nothing of that family."""

    port: str
    mac: str
    addresses: tuple[str, ...] = ()
    mac_spoofing: bool = False
    ip_spoofing: bool = False
    dhcp_spoofing: bool = False
    dynamic_v4: bool = False
    dynamic_v6: bool = False
    restricted: bool = False


def guard(port: str, attachment: Attachment) -> Guard:
    """Work out what an interface may send; on a network without isolation, all but tags."""
    nic = attachment.nic
    loose = not attachment.isolated
    own = (*(str(each.ip) for each in attachment.addresses), *nic.allowed_ips)
    return Guard(
        port=port,
        mac=nic.mac.lower(),
        addresses=own,
        mac_spoofing=loose or nic.allow_mac_spoofing,
        ip_spoofing=loose or nic.allow_ip_spoofing,
        dhcp_spoofing=loose or nic.allow_dhcp_spoofing,
        dynamic_v4="dhcp" in nic.ips,
        dynamic_v6="addrconf" in nic.ips,
        restricted=loose or nic.allow_restricted_traffic,
    )


def link_local(mac: str) -> str:
    """Give the IPv6 address that an interface makes itself of its hardware address (RFC 4291)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    made = bytes((octets[0] ^ 2, *octets[1:3], 0xFF, 0xFE, *octets[3:]))
    return str(ipaddress.IPv6Address(ipaddress.IPv6Address(LINK_LOCAL).packed[:8] + made))


def base(table: str) -> str:
    """Give the text that makes the table with nothing in it; what is in it already stays."""
    name = f"bridge {table}"
    return (
        f"add table {name}\n"
        f"add map {name} {MAP} {{ type ifname : verdict ; }}\n"
        f"add chain {name} prerouting"
        f" {{ type filter hook prerouting priority {PRIORITY} ; policy accept ; }}\n"
        f"flush chain {name} prerouting\n"
        f"add rule {name} prerouting iifname vmap @{MAP}\n"
        f"{leases.base(table)}"
    )


def apply(table: str, guards: Iterable[Guard]) -> str:
    """Give the text that puts these ports under their rules, whatever was there."""
    return base(table) + "".join(
        f"{_learning(table, each)}{_empty_chain(table, each.port)}"
        + "".join(f"add rule bridge {table} {chain(each.port)} {rule}\n" for rule in rules(each))
        for each in guards
    )


def remove(table: str, ports: Iterable[str]) -> str:
    """Give the text that removes these ports' rules; those without any are no error."""
    return base(table) + "".join(
        f"{_empty_chain(table, port)}"
        f'delete element bridge {table} {MAP} {{ "{port}" }}\n'
        f"delete chain bridge {table} {chain(port)}\n"
        f"{leases.forget(table, port)}"
        for port in ports
    )


def clear(table: str) -> str:
    """Give the text that removes the table with all in it."""
    return f"add table bridge {table}\ndelete table bridge {table}\n"


def chain(port: str) -> str:
    """Name a port's chain."""
    return f"{CHAIN}{port}"


def chains(listed: str) -> tuple[str, ...]:
    """Name the ports that a listing of the table (nft list table) has chains for."""
    return tuple(re.findall(rf"^\s*chain {CHAIN}(\S+) \{{", listed, re.MULTILINE))


def _learning(table: str, guarded: Guard) -> str:
    if not guarded.dynamic_v4 or guarded.ip_spoofing:
        return ""
    return leases.learn(table, guarded.port, guarded.mac)


def _empty_chain(table: str, port: str) -> str:
    return (
        f"add chain bridge {table} {chain(port)}\n"
        f"flush chain bridge {table} {chain(port)}\n"
        f'add element bridge {table} {MAP} {{ "{port}" : jump {chain(port)} }}\n'
    )


def rules(guarded: Guard) -> Iterator[str]:
    """Yield a port's rules, in order; the last drops what none of them accepted."""
    # A network in host form is no network: `strict=False` takes 10.0.0.5/24 as 10.0.0.0/24.
    own = [ipaddress.ip_network(each, strict=False) for each in guarded.addresses]
    v4 = [_text(net) for net in own if isinstance(net, ipaddress.IPv4Network)]
    v6 = [net for net in own if isinstance(net, ipaddress.IPv6Network)]
    # Before all others: a rule that does not see behind a tag would let the frame go on.
    yield f"{TAGGED} counter drop"
    if not guarded.mac_spoofing:
        yield f"ether saddr != {guarded.mac} counter drop"
    if not guarded.dhcp_spoofing:
        yield "ether type ip udp sport 67 counter drop"
        yield "ether type ip6 udp sport 547 counter drop"
    yield from _arp(guarded, v4)
    yield from _ipv4(guarded, v4)
    yield from _ipv6(guarded, v6)
    if guarded.restricted:
        yield "ether type != { arp, ip, ip6 } accept"
    yield "counter drop"


def _arp(guarded: Guard, own: list[str]) -> Iterator[str]:
    if guarded.ip_spoofing and guarded.mac_spoofing:
        yield "ether type arp accept"
        return
    form = "ether type arp arp htype 1 arp ptype ip arp hlen 6 arp plen 4"
    form += " arp operation { request, reply }"
    if not guarded.mac_spoofing:
        yield f"{form} arp saddr ether != {guarded.mac} counter drop"
    if guarded.ip_spoofing:
        # Whoever may use any address may also speak for it; frames still are its own.
        yield f"{form} accept"
        return
    if guarded.dynamic_v4:
        yield from leases.arp(guarded.port, form)
    if own:
        yield f"{form} arp saddr ip {_set(own)} accept"
        yield f"{form} arp saddr ip 0.0.0.0 arp daddr ip {_set(own)} accept"


def _ipv4(guarded: Guard, own: list[str]) -> Iterator[str]:
    if guarded.ip_spoofing:
        yield "ether type ip accept"
        return
    if guarded.dynamic_v4:
        yield from leases.ipv4(guarded.port, guarded.mac, mac_spoofing=guarded.mac_spoofing)
    if own:
        yield f"ip saddr {_set(own)} accept"


def _ipv6(guarded: Guard, own: list[ipaddress.IPv6Network]) -> Iterator[str]:
    any_address = guarded.dynamic_v6 or guarded.ip_spoofing
    if not own and not any_address:
        return
    # Of what a fragment holds the kernel knows only what its header says comes next: behind other
    # headers it finds no protocol, and a rule about the protocol would not match.
    if not (any_address and guarded.dhcp_spoofing):
        yield f"ether type ip6 frag nexthdr != {_set(list(FRAGMENTED))} counter drop"
    if not guarded.dhcp_spoofing:
        yield "ether type ip6 icmpv6 type { nd-router-advert, nd-redirect } counter drop"
    if any_address:
        yield "ether type ip6 accept"
        return
    local = link_local(guarded.mac)
    # An advertisement's target has no name in nft: 128 bits after the first 64 of the header.
    targets = _set([_bits(net) for net in [ipaddress.IPv6Network(local), *own]])
    target = "@th,64,128"
    yield f"ether type ip6 icmpv6 type nd-neighbor-advert {target} != {targets} counter drop"
    # Asking whether an address is taken (RFC 4862) and joining groups is done without a sender.
    yield f"ip6 saddr :: icmpv6 type nd-neighbor-solicit {target} {targets} accept"
    yield "ip6 saddr :: icmpv6 type { mld-listener-report, mld2-listener-report } accept"
    yield f"ip6 saddr {_set([local, *map(_text, own)])} accept"


def _text(net: ipaddress.IPv4Network | ipaddress.IPv6Network) -> str:
    return str(net) if net.num_addresses > 1 else str(net[0])


def _bits(net: ipaddress.IPv6Network) -> str:
    low, high = f"0x{int(net[0]):032x}", f"0x{int(net[-1]):032x}"
    return low if low == high else f"{low}-{high}"


def _set(items: list[str]) -> str:
    return f"{{ {', '.join(items)} }}"
