"""What one zone may send to another on the same bridge: each rule, by a frame that breaks it.

A neighbour sends a frame, then one that is certainly let through; the other zone has seen the first
by the time it sees the second, or never will.
"""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import pytest

from fifo.hypervisors.linux.firewall import link_local
from tests.hypervisors.linux import ethernet
from tests.hypervisors.linux.ethernet import (
    ADVERTISE,
    ARP,
    BROADCAST,
    IPV4,
    IPV6,
    REDIRECT,
    ROUTER_ADVERT,
    SERVICE_VLAN,
    SOLICIT,
    VLAN,
    arp,
    frame,
    ipv4,
    ipv6,
    neighbour,
    tagged,
    udp,
    untagged,
)
from tests.hypervisors.linux.zone_host import ZoneHost, small_zone, why_not

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from fifo.hypervisors.driver import Wanted


class End(NamedTuple):
    """A zone on the bridge, and a socket for raw frames in it; `other4` and 6 are nobody's."""

    wanted: Wanted
    mac: str
    v4: str
    v6: str
    local: str
    other4: str
    other6: str
    line: socket.socket


class Pair(NamedTuple):
    """Two zones on a bridge; `host` has them."""

    host: ZoneHost
    here: End
    there: End

    def passes(self, sent: bytes) -> bool:
        """Send a frame from the one, and tell whether the other has seen it, tagged or not."""
        # The kernel hands a frame over without its tag, and may pad it.
        body = untagged(sent)[14:]
        mark = frame(
            self.here.mac,
            self.there.mac,
            IPV4,
            ipv4(self.here.v4, self.there.v4, udp(9, 9, b"after " + sent[:32])),
        )
        self.here.line.send(sent)
        self.here.line.send(mark)
        seen = False
        while (received := self.there.line.recv(2048)) != mark:
            seen = seen or body in received
        return seen


async def end(host: ZoneHost) -> End:
    """Start a zone; gives its addresses and a socket in it."""
    wanted = await host.running(script="sleep 1000")
    (nic,) = wanted.spec.nics
    v4, v6 = (each.partition("/")[0] for each in wanted.claim.addresses[nic.mac])
    found = await host.driver.inspect(wanted.spec.uid)
    assert found is not None
    line = ethernet.raw_socket(found.pid, "eth0")
    others = (host.address(0, 200, bare=True), host.address(1, 200, bare=True))
    return End(wanted, nic.mac, v4, v6, link_local(nic.mac), *others, line)


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """Two zones whose neighbour is not to be trusted."""
    if reason := why_not():
        pytest.skip(reason)
    host = ZoneHost.make(small_zone()[0])

    async def begin() -> Pair:
        await host.open()
        found = Pair(host, await end(host), await end(host))
        await host.close()
        return found

    made = asyncio.run(begin())
    yield made
    for each in (made.here, made.there):
        each.line.close()
    host.clear()


OTHER_MAC = "02:00:00:00:99:99"
ANY = "0.0.0.0"  # noqa: S104 -- a sender that has no address yet
ALL_NODES, ALL_NODES_MAC = "ff02::1", "33:33:00:00:00:01"


def forged_mac(a: End, b: End) -> bytes:
    return frame(OTHER_MAC, b.mac, IPV4, ipv4(a.v4, b.v4, udp(7, 7, b"x")))


def forged_v4(a: End, b: End) -> bytes:
    return frame(a.mac, b.mac, IPV4, ipv4(a.other4, b.v4, udp(7, 7, b"x")))


def forged_v6(a: End, b: End) -> bytes:
    return frame(a.mac, b.mac, IPV6, ipv6(a.other6, b.v6, udp(7, 7, b"x")))


def forged_link_local(a: End, b: End) -> bytes:
    return frame(a.mac, b.mac, IPV6, ipv6(b.local, b.v6, udp(7, 7, b"x")))


def arp_of_another(a: End, b: End) -> bytes:
    return frame(a.mac, BROADCAST, ARP, arp(2, a.mac, a.other4, b.v4))


def arp_with_another_mac(a: End, b: End) -> bytes:
    return frame(a.mac, BROADCAST, ARP, arp(2, OTHER_MAC, a.v4, b.v4))


def gratuitous_arp_for_the_neighbour(a: End, b: End) -> bytes:
    return frame(a.mac, BROADCAST, ARP, arp(1, a.mac, b.v4, b.v4))


def arp_probe_for_another(a: End, _: End) -> bytes:
    return frame(a.mac, BROADCAST, ARP, arp(1, a.mac, ANY, a.other4))


def dhcp_server(a: End, b: End) -> bytes:
    return frame(a.mac, b.mac, IPV4, ipv4(a.v4, b.v4, udp(67, 68, b"offer")))


def dhcpv6_server(a: End, b: End) -> bytes:
    return frame(a.mac, b.mac, IPV6, ipv6(a.local, b.local, udp(547, 546, b"advertise")))


def advertisement_of_another(a: End, b: End) -> bytes:
    return frame(a.mac, b.mac, IPV6, neighbour(a.v6, b.v6, ADVERTISE, a.other6))


def advertisement_of_the_neighbours_link_local(a: End, b: End) -> bytes:
    return frame(a.mac, b.mac, IPV6, neighbour(a.local, b.v6, ADVERTISE, b.local))


def advertisement_in_a_fragment(a: End, b: End) -> bytes:
    packet = ethernet.fragmented(neighbour(a.v6, b.v6, ADVERTISE, a.other6))
    return frame(a.mac, b.mac, IPV6, packet)


def router_advertisement(a: End, _: End) -> bytes:
    return frame(a.mac, ALL_NODES_MAC, IPV6, neighbour(a.local, ALL_NODES, ROUTER_ADVERT, a.local))


def _behind_options(a: End) -> bytes:
    """Make a router advertisement of which the first 8 bytes do not say what it is."""
    return ethernet.with_options(neighbour(a.local, ALL_NODES, ROUTER_ADVERT, a.local))


def options_before_a_router_advertisement(a: End, _: End) -> bytes:
    return frame(a.mac, ALL_NODES_MAC, IPV6, ethernet.fragmented(_behind_options(a), 0, 8))


def router_advertisement_behind_options(a: End, _: End) -> bytes:
    return frame(a.mac, ALL_NODES_MAC, IPV6, ethernet.fragmented(_behind_options(a), 8))


def options_before_options(a: End, _: End) -> bytes:
    packet = ethernet.with_options(_behind_options(a))
    return frame(a.mac, ALL_NODES_MAC, IPV6, ethernet.fragmented(packet, 0, 8))


def a_fragment_in_a_fragment(a: End, b: End) -> bytes:
    inner = ethernet.fragmented(neighbour(a.v6, b.v6, ADVERTISE, a.other6))
    return frame(a.mac, b.mac, IPV6, ethernet.fragmented(inner))


def redirect(a: End, b: End) -> bytes:
    return frame(a.mac, b.mac, IPV6, neighbour(a.local, b.v6, REDIRECT, a.other6))


def duplicate_detection_for_another(a: End, _: End) -> bytes:
    return frame(a.mac, ALL_NODES_MAC, IPV6, neighbour("::", ALL_NODES, SOLICIT, a.other6))


def a_bridges_message(a: End, _: End) -> bytes:
    message = b"\x42\x42\x03" + bytes(35)
    return frame(a.mac, "01:80:c2:00:00:00", len(message), message)


def another_protocol(a: End, b: End) -> bytes:
    return frame(a.mac, b.mac, 0x88B5, b"local experimental")


def an_old_kind_of_tag(a: End, b: End) -> bytes:
    return tagged(own_v4(a, b), 0x9100, 7)


def a_packet_in_a_session(a: End, b: End) -> bytes:
    packet = ipv4(a.v4, b.v4, udp(7, 7, b"x"))
    return frame(
        a.mac, b.mac, 0x8864, struct.pack(">BBHHH", 0x11, 0, 1, 2 + len(packet), 0x21) + packet
    )


FORGED = (
    forged_mac, forged_v4, forged_v6, forged_link_local, arp_of_another, arp_with_another_mac,
    gratuitous_arp_for_the_neighbour, arp_probe_for_another, dhcp_server, dhcpv6_server,
    advertisement_of_another, advertisement_of_the_neighbours_link_local,
    advertisement_in_a_fragment, router_advertisement, redirect, duplicate_detection_for_another,
    options_before_a_router_advertisement, router_advertisement_behind_options,
    options_before_options, a_fragment_in_a_fragment, another_protocol, a_bridges_message,
    an_old_kind_of_tag, a_packet_in_a_session,
)  # fmt: skip


@pytest.mark.parametrize("make", FORGED)
def test_a_forged_frame_does_not_reach_the_neighbour(
    pair: Pair, make: Callable[[End, End], bytes]
) -> None:
    assert not pair.passes(make(pair.here, pair.there))


def own_v4(a: End, b: End) -> bytes:
    return frame(a.mac, b.mac, IPV4, ipv4(a.v4, b.v4, udp(7, 7, b"x")))


def own_v6(a: End, b: End) -> bytes:
    return frame(a.mac, b.mac, IPV6, ipv6(a.v6, b.v6, udp(7, 7, b"x")))


def a_first_fragment(a: End, b: End) -> bytes:
    packet = ipv6(a.v6, b.v6, udp(7, 7, bytes(64)))
    return frame(a.mac, b.mac, IPV6, ethernet.fragmented(packet, 0, 32))


def a_last_fragment(a: End, b: End) -> bytes:
    packet = ipv6(a.v6, b.v6, udp(7, 7, bytes(64)))
    return frame(a.mac, b.mac, IPV6, ethernet.fragmented(packet, 32))


def own_link_local(a: End, b: End) -> bytes:
    return frame(a.mac, b.mac, IPV6, ipv6(a.local, b.local, udp(7, 7, b"x")))


def own_arp(a: End, b: End) -> bytes:
    return frame(a.mac, BROADCAST, ARP, arp(1, a.mac, a.v4, b.v4))


def own_arp_probe(a: End, _: End) -> bytes:
    return frame(a.mac, BROADCAST, ARP, arp(1, a.mac, ANY, a.v4))


def own_advertisement(a: End, b: End) -> bytes:
    return frame(a.mac, b.mac, IPV6, neighbour(a.v6, b.v6, ADVERTISE, a.v6))


def a_question(a: End, b: End) -> bytes:
    return frame(a.mac, b.mac, IPV6, neighbour(a.v6, b.v6, SOLICIT, b.v6))


def own_duplicate_detection(a: End, _: End) -> bytes:
    return frame(a.mac, ALL_NODES_MAC, IPV6, neighbour("::", ALL_NODES, SOLICIT, a.v6))


def a_dhcp_client(a: End, b: End) -> bytes:
    return frame(a.mac, b.mac, IPV4, ipv4(a.v4, b.v4, udp(68, 67, b"discover")))


RIGHT = (
    own_v4, own_v6, own_link_local, own_arp, own_arp_probe, own_advertisement, a_question,
    own_duplicate_detection, a_dhcp_client, a_first_fragment, a_last_fragment,
)  # fmt: skip


@pytest.mark.parametrize("make", RIGHT)
def test_what_is_its_own_reaches_the_neighbour(
    pair: Pair, make: Callable[[End, End], bytes]
) -> None:
    assert pair.passes(make(pair.here, pair.there))


TAGS = ((VLAN, 0), (VLAN, 7), (SERVICE_VLAN, 0), (SERVICE_VLAN, 7))


@pytest.mark.parametrize("make", [*FORGED, *RIGHT])
def test_no_frame_passes_by_a_tag(pair: Pair, make: Callable[[End, End], bytes]) -> None:
    sent = make(pair.here, pair.there)
    assert [tag for tag in TAGS if pair.passes(tagged(sent, *tag))] == []
    double = [(outer, inner) for outer in TAGS for inner in TAGS]
    assert [two for two in double if pair.passes(tagged(tagged(sent, *two[1]), *two[0]))] == []


SPOOFING: dict[str, set[Callable[[End, End], bytes]]] = {
    "allow_mac_spoofing": {forged_mac, arp_with_another_mac},
    "allow_ip_spoofing": {
        forged_v4, forged_v6, forged_link_local, arp_of_another, gratuitous_arp_for_the_neighbour,
        arp_probe_for_another, advertisement_of_another,
        advertisement_of_the_neighbours_link_local, duplicate_detection_for_another,
    },
    "allow_dhcp_spoofing": {dhcp_server, dhcpv6_server, router_advertisement, redirect},
    "allow_restricted_traffic": {
        another_protocol, a_bridges_message, an_old_kind_of_tag, a_packet_in_a_session,
    },
}  # fmt: skip


@pytest.mark.parametrize("flag", SPOOFING)
async def test_a_nic_may_send_what_it_is_allowed_to_and_nothing_else(
    zones: ZoneHost, flag: str
) -> None:
    await zones.open()
    there = await end(zones)
    here = await end(zones)
    pair = Pair(zones, here, there)
    allowed = {make.__name__ for make in FORGED if pair.passes(make(here, there))}
    assert allowed == set()
    spec = here.wanted.spec
    nics = tuple(msgspec.structs.replace(nic, **{flag: True}) for nic in spec.nics)
    changed = here.wanted._replace(spec=msgspec.structs.replace(spec, nics=nics))
    applied = await zones.driver.update(changed)
    assert applied.live == ("nics",)
    found = {make.__name__ for make in FORGED if pair.passes(make(here, there))}
    assert found == {make.__name__ for make in SPOOFING[flag]}
    for tag in TAGS:
        sent = [tagged(make(here, there), *tag) for make in (*FORGED, *RIGHT)]
        assert [each for each in sent if pair.passes(each)] == []
    here.line.close()
    there.line.close()


async def test_on_a_network_without_isolation_all_but_tagged_frames_pass(zones: ZoneHost) -> None:
    zones.network = msgspec.structs.replace(zones.network, isolated=False)
    await zones.open()
    pair = Pair(zones, await end(zones), await end(zones))
    for make in (*FORGED, *RIGHT):
        sent = make(pair.here, pair.there)
        assert pair.passes(sent), make.__name__
        assert [tag for tag in TAGS if pair.passes(tagged(sent, *tag))] == []
    pair.here.line.close()
    pair.there.line.close()


async def test_zones_reach_each_other_and_the_host_reaches_them(zones: ZoneHost) -> None:
    await zones.open()
    here, there = await zones.running(), await zones.running()
    for target in there.claim.addresses[there.spec.nics[0].mac]:
        address = target.partition("/")[0]
        code, said = await zones.execute(here, "ping", "-c", "1", "-W", "5", address)
        assert code == 0, said
    there_v4 = there.claim.addresses[there.spec.nics[0].mac][0].partition("/")[0]
    url = f"http://{there_v4}/cgi-bin/index.cgi"
    code, said = await zones.execute(here, "wget", "-qO-", url)
    assert (code, said.splitlines()[0]) == (0, "hostname: zone-2")
    gateway = zones.network.pools[0].gateway
    code, said = await zones.execute(here, "ping", "-c", "1", "-W", "5", gateway)
    assert code == 0, said
