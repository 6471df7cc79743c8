"""An instance by DHCP is held to what a server gave it: real frames, a real server and client."""

from __future__ import annotations

import ipaddress
import struct
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from tests.hypervisors.linux import ethernet, runner
from tests.hypervisors.linux.ethernet import ARP, BROADCAST, IPV4, arp, frame, ipv4, octets, udp

if TYPE_CHECKING:
    import socket

    from fifo.hypervisors.driver import Wanted
    from tests.hypervisors.linux.zone_host import ZoneHost

ANYBODY, EVERYBODY = "0.0.0.0", "255.255.255.255"  # noqa: S104 -- who has no address yet
OTHER_MAC = "02:00:00:00:99:99"
ASKS, ANSWERS = 1, 2


def dhcp(operation: int, hardware: str, given: str) -> bytes:
    """Make a message (RFC 2131) whose option for its type does not stand first."""
    addresses = bytes(4) + bytes(int(part) for part in given.split(".")) + bytes(8)
    head = struct.pack(">BBBBIHH", operation, 1, 6, 0, 7, 0, 0) + addresses
    options = bytes((1, 4, 255, 255, 255, 0, 53, 1, 5, 255))
    return head + octets(hardware) + bytes(10 + 64 + 128) + b"\x63\x82\x53\x63" + options


class Wire(NamedTuple):
    """A zone by DHCP, and a neighbour that may answer it."""

    host: ZoneHost
    client: Wanted
    server: Wanted
    here: socket.socket
    there: socket.socket

    @property
    def mac(self) -> str:
        """The client's."""
        return self.client.spec.nics[0].mac

    @property
    def server_mac(self) -> str:
        """The neighbour's."""
        return self.server.spec.nics[0].mac

    def asks(self, hardware: str, sender: str = ANYBODY) -> bytes:
        """Give a question of the client."""
        message = udp(68, 67, dhcp(ASKS, hardware, ANYBODY))
        return frame(self.mac, BROADCAST, IPV4, ipv4(sender, EVERYBODY, message))

    def answers(self, hardware: str, given: str) -> None:
        """Have the neighbour give an address, and wait until the client has seen that."""
        message = udp(67, 68, dhcp(ANSWERS, hardware, given))
        own = self.host.address(0, 200, bare=True)
        sent = frame(self.server_mac, BROADCAST, IPV4, ipv4(own, EVERYBODY, message))
        self.there.send(sent)
        while self.here.recv(2048) != sent:
            pass

    def passes(self, sent: bytes) -> bool:
        """Send a frame from the client, and tell whether the neighbour has seen it."""
        mark = self.asks(self.mac)
        self.here.send(sent)
        self.here.send(mark)
        seen = False
        while (received := self.there.recv(2048)) != mark:
            seen = seen or received[: len(sent)] == sent
        return seen

    def uses(self, address: str) -> tuple[bool, bool, bool]:
        """Tell whether the client may send from it, speak for it, and ask for it."""
        packet = ipv4(address, self.host.address(0, 200, bare=True), udp(7, 7, b"x"))
        return (
            self.passes(frame(self.mac, self.server_mac, IPV4, packet)),
            self.passes(frame(self.mac, BROADCAST, ARP, arp(1, self.mac, address, address))),
            self.passes(frame(self.mac, BROADCAST, ARP, arp(1, self.mac, ANYBODY, address))),
        )


def by_dhcp(wanted: Wanted) -> Wanted:
    """Give what is wanted with addresses of DHCP's alone."""
    nics = tuple(msgspec.structs.replace(nic, ips=("dhcp",)) for nic in wanted.spec.nics)
    spec = msgspec.structs.replace(wanted.spec, nics=nics)
    claim = msgspec.structs.replace(wanted.claim, addresses={})
    return wanted._replace(spec=spec, claim=claim)


def may(wanted: Wanted, **leave: bool) -> Wanted:
    """Give what is wanted with a leave."""
    nics = tuple(msgspec.structs.replace(nic, **leave) for nic in wanted.spec.nics)
    return wanted._replace(spec=msgspec.structs.replace(wanted.spec, nics=nics))


async def started(zones: ZoneHost, wanted: Wanted) -> socket.socket:
    """Start a zone; gives a socket in it."""
    await zones.driver.create(wanted)
    seen = await zones.driver.start(wanted, 1)
    return ethernet.raw_socket(seen.pid, "eth0")


async def wire(zones: ZoneHost) -> Wire:
    """Start both."""
    await zones.open()
    asleep = "sleep 1000"
    server = may(zones.wanted(script=asleep), allow_dhcp_spoofing=True, allow_ip_spoofing=True)
    client = by_dhcp(zones.wanted(script=asleep))
    there = await started(zones, server)
    return Wire(zones, client, server, await started(zones, client), there)


async def test_an_instance_may_use_the_addresses_that_it_was_given_alone(zones: ZoneHost) -> None:
    pair = await wire(zones)
    given, another = zones.address(0, 77, bare=True), zones.address(0, 78, bare=True)
    assert pair.uses(given) == (False, False, False)
    pair.answers(OTHER_MAC, given)
    pair.answers(pair.mac, ANYBODY)
    assert pair.uses(given) == (False, False, False)
    assert not pair.uses(ANYBODY)[0]
    pair.answers(pair.mac, given)
    assert pair.uses(given) == (True, True, True)
    assert pair.uses(another) == (False, False, False)
    pair.here.close()
    pair.there.close()


async def test_an_instance_asks_in_its_own_name_alone(zones: ZoneHost) -> None:
    pair = await wire(zones)
    given = zones.address(0, 77, bare=True)
    pair.answers(pair.mac, given)
    assert not pair.passes(pair.asks(OTHER_MAC))
    assert not pair.passes(pair.asks(OTHER_MAC, given))
    assert not pair.passes(pair.asks(pair.mac, zones.address(0, 78, bare=True)))
    assert pair.passes(pair.asks(pair.mac, given))
    pair.here.close()
    pair.there.close()


async def test_what_was_given_stays_through_changes_and_another_node_and_goes_with_the_start(
    zones: ZoneHost,
) -> None:
    pair = await wire(zones)
    given = zones.address(0, 77, bare=True)
    pair.answers(pair.mac, given)
    loose = may(pair.client, allow_dhcp_spoofing=True)
    assert (await zones.driver.update(loose)).live == ("nics",)
    await zones.close()
    await zones.open()
    assert pair.uses(given) == (True, True, True)
    pair.here.close()
    await zones.driver.stop(loose.spec.uid, 0.0)
    seen = await zones.driver.start(loose, 2)
    again = pair._replace(here=ethernet.raw_socket(seen.pid, "eth0"))
    assert again.uses(given) == (False, False, False)
    again.here.close()
    again.there.close()
    left = await zones.remove_all()
    assert left.none, left


CONFIG = (
    "start {0}\\nend {0}\\ninterface eth0\\nlease_file /run/leases\\noption subnet 255.255.255.0\\n"
)
SERVE = "printf '{}' >/run/udhcpd.conf; touch /run/leases; exec udhcpd -f -S /run/udhcpd.conf"


async def test_what_a_real_server_tells_a_real_client_is_learned(zones: ZoneHost) -> None:
    await zones.open()
    given = zones.address(0, 77, bare=True)
    script = SERVE.format(CONFIG.format(given))
    server = may(zones.wanted(script=script), allow_dhcp_spoofing=True)
    client = by_dhcp(zones.wanted(script="sleep 1000"))
    (await started(zones, server)).close()
    (await started(zones, client)).close()
    asks = "udhcpc -f -q -n -t 20 -T 1 -i eth0 -s /bin/true"
    code, said = await zones.execute(client, "sh", "-c", asks)
    assert code == 0, said
    assert f"lease of {given} obtained" in said
    argv = ["nft", "list", "table", "bridge", zones.settings.table]
    listed = (await runner.run(argv, deadline_s=5.0)).stdout.decode()
    assert f"elements = {{ {int(ipaddress.ip_address(given)):#x} expires 6d" in listed
