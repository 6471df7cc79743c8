"""The addresses that DHCP gave to an instance: nftables learns them from the answers. Pure text.

A host does not know which address a server gives, so the kernel notes it as the answer passes to
the port: a set of addresses a port, filled by a chain on what leaves the bridge there. It works
without the node, and stays through its restarts. What is noted is the address of an answer to the
nic's own hardware address (`yiaddr` for `chaddr`, RFC 2131); answers come only from whom `firewall`
lets answer. An offer counts as an acknowledgement does, since only the option's place tells the two
apart, and servers differ in that: what is offered to an instance is nobody else's.

An address stays as long as it is used, and for a while after. How long a lease is stands in an
option too; so does the client's identifier, by which an instance may ask for another's lease: a
server that hands those out to another hardware address is not guarded against.

What is given has no name in nft, so that all that is looked up in the set is said by its place in
the packet: newer versions take no bits for an address. Source of the syntax: nft(8), "Raw payload
expression" and "Set statement", nftables 1.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

MAP: Final = "leases"
CHAIN: Final = "to_"
SET: Final = "leased_"
ADDRESSES: Final = 16
"""Of a port at once: one is usual, an instance may ask under several identifiers."""
UNUSED: Final = "7d"
"""How long an address stays that nothing is sent from; a lease is seldom longer."""
UDP_BYTES: Final = 8
REPLY: Final = f"@th,{8 * UDP_BYTES},8 2"
"""The message's first byte: an answer."""
GIVEN: Final = f"@th,{8 * (UDP_BYTES + 16)},32"
OF_HARDWARE: Final = f"@th,{8 * (UDP_BYTES + 28)},48"
IS_DHCP: Final = f"@th,{8 * (UDP_BYTES + 236)},32 0x63825363"
"""What stands before the options (RFC 2131, section 3)."""
SENDER: Final = "@nh,96,32"
"""IPv4: who sends it (RFC 791)."""
ARP_SENDER: Final = "@nh,112,32"
ARP_TARGET: Final = "@nh,192,32"
"""ARP for IPv4 on Ethernet (RFC 826)."""
ASKS: Final = "ether type ip udp sport 68 udp dport 67"
ANSWERS: Final = "ether type ip udp sport 67 udp dport 68"


def base(table: str) -> str:
    """Give the text that looks at what leaves a bridge; ports that nothing is learned of pass."""
    name = f"bridge {table}"
    return (
        f"add map {name} {MAP} {{ type ifname : verdict ; }}\n"
        f"add chain {name} postrouting"
        f" {{ type filter hook postrouting priority 0 ; policy accept ; }}\n"
        f"flush chain {name} postrouting\n"
        f"add rule {name} postrouting oifname vmap @{MAP}\n"
    )


def learn(table: str, port: str, mac: str) -> str:
    """Give the text that has the port's addresses noted; those that are known stay."""
    rule = f"{ANSWERS} {REPLY} {OF_HARDWARE} {_number(mac)} {IS_DHCP} {GIVEN} != 0"
    noted = f"update @{SET}{port} {{ {GIVEN} }}"
    return f"{_empty(table, port)}add rule bridge {table} {CHAIN}{port} {rule} {noted}\n"


def forget(table: str, port: str) -> str:
    """Give the text that removes all of a port's, once no rule refers to it; none is no error."""
    return (
        f"{_empty(table, port)}"
        f'delete element bridge {table} {MAP} {{ "{port}" }}\n'
        f"delete chain bridge {table} {CHAIN}{port}\n"
        f"delete set bridge {table} {SET}{port}\n"
    )


def _empty(table: str, port: str) -> str:
    kind = f"typeof {SENDER} ; flags dynamic, timeout ; timeout {UNUSED} ; size {ADDRESSES} ;"
    return (
        f"add set bridge {table} {SET}{port} {{ {kind} }}\n"
        f"add chain bridge {table} {CHAIN}{port}\n"
        f"flush chain bridge {table} {CHAIN}{port}\n"
        f'add element bridge {table} {MAP} {{ "{port}" : jump {CHAIN}{port} }}\n'
    )


def arp(port: str, form: str) -> Iterator[str]:
    """Yield the rules for ARP of such a port."""
    yield f"{form} {_used(port, ARP_SENDER)} accept"
    # Before it takes an address that it was given it asks whether another has it (RFC 5227).
    yield f"{form} arp saddr ip 0.0.0.0 {ARP_TARGET} @{SET}{port} accept"


def ipv4(port: str, mac: str, *, mac_spoofing: bool) -> Iterator[str]:
    """Yield the rules for IPv4 of such a port: asking in its own name, and using what was given."""
    if not mac_spoofing:
        yield f"{ASKS} {OF_HARDWARE} != {_number(mac)} counter drop"
    yield f"{ASKS} ip saddr 0.0.0.0 accept"
    yield f"ether type ip {_used(port, SENDER)} accept"


def _used(port: str, sender: str) -> str:
    return f"{sender} @{SET}{port} update @{SET}{port} {{ {sender} }}"


def _number(mac: str) -> str:
    return f"0x{mac.replace(':', '')}"
