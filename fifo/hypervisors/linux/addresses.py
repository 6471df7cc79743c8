"""The addresses and routes of an instance's interfaces, from its spec, claim and networks. Pure."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from fifo.hypervisors.driver import Wanted
from fifo.model.errors import InvalidInput, Violation
from fifo.model.wires import is_wire

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fifo.hypervisors.linux.layout import Kept
    from fifo.model.instance import Nic
    from fifo.model.network import Network

DYNAMIC = frozenset({"dhcp", "addrconf"})
"""What may stand in the place of an address (vmadm)."""

Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface


class Route(NamedTuple):
    """Where to send what is for `destination` (`default` for all else)."""

    destination: str
    gateway: str


class Attachment(NamedTuple):
    """One interface as the instance sees it, and the network that it is on."""

    nic: Nic
    network: Network | None
    addresses: tuple[Interface, ...]
    routes: tuple[Route, ...]

    @property
    def nic_tag(self) -> str:
        """The tag by which the host knows where to attach it."""
        return self.nic.nic_tag or (self.network.nic_tag if self.network else "")

    @property
    def vlan_id(self) -> int:
        """The VLAN within the tag, 0 for none."""
        return self.nic.vlan_id or (self.network.vlan_id if self.network else 0)

    @property
    def mtu(self) -> int:
        """The largest packet: no more than the network carries."""
        return min(self.nic.mtu, self.network.mtu if self.network else self.nic.mtu)

    @property
    def isolated(self) -> bool:
        """Whether what it sends is held to its own addresses."""
        return self.network is None or self.network.isolated


def attachments(wanted: Wanted) -> tuple[Attachment, ...]:
    """Work out every interface; raises InvalidInput for what is no address, network or gateway."""
    networks = {network.uid: network for network in wanted.networks}
    found = []
    for index, nic in enumerate(wanted.spec.nics):
        uid = nic.network or wanted.claim.networks.get(nic.mac, "")
        network = networks.get(uid)
        path = f"nics[{index}]"
        if uid and network is None and not is_wire(uid):
            raise InvalidInput(wanted.spec.uid, (Violation(f"{path}.network", "a known network"),))
        texts = wanted.claim.addresses.get(nic.mac) or nic.ips
        addresses = tuple(
            interface(text, network, f"{path}.ips") for text in texts if text not in DYNAMIC
        )
        found.append(Attachment(nic, network, addresses, ()))
    routed = dict(_routes(wanted, tuple(found)))
    return tuple(
        each._replace(routes=tuple(routed.get(index, ()))) for index, each in enumerate(found)
    )


def of_running(kept: Kept) -> tuple[Attachment, ...]:
    """Work out the interfaces that an instance was started with, whatever is wanted by now."""
    runs = kept.runs_with
    spec = msgspec.structs.replace(kept.spec, nics=runs.nics, routes=runs.routes)
    return attachments(Wanted(spec, runs.claim, runs.networks))


def interface(text: str, network: Network | None, field: str) -> Interface:
    """Read an address; one without a prefix length gets its pool's, else stands alone."""
    try:
        found = ipaddress.ip_interface(text)
        if "/" in text or network is None:
            return found
        subnets = (ipaddress.ip_network(pool.subnet) for pool in network.pools)
        length = next((net.prefixlen for net in subnets if found.ip in net), None)
        return found if length is None else ipaddress.ip_interface(f"{text}/{length}")
    except ValueError as error:
        raise InvalidInput(text, (Violation(field, f"an IP address ({error})"),)) from None


def gateways(attachment: Attachment) -> Iterator[str]:
    """Yield an interface's default gateways: its own, else its pools' where it has an address."""
    if attachment.nic.gateways:
        yield from attachment.nic.gateways
        return
    pools = attachment.network.pools if attachment.network else ()
    for pool in pools:
        subnet = ipaddress.ip_network(pool.subnet)
        if pool.gateway and any(address.ip in subnet for address in attachment.addresses):
            yield pool.gateway


def _routes(
    wanted: Wanted, found: tuple[Attachment, ...]
) -> Iterator[tuple[int, tuple[Route, ...]]]:
    """Yield each interface's routes by its place; only the primary one has the default route.

    A kernel has one route to a destination: the instance's own comes before those of its networks,
    and of these that of the primary interface before others'.
    """
    primary = next((i for i, each in enumerate(found) if each.nic.primary), 0)
    own = _by_interface(wanted.spec.routes, found)
    taken = {route.destination for routes in own.values() for route in routes}
    for index, each in sorted(enumerate(found), key=lambda one: one[0] != primary):
        default = gateways(each) if index == primary else ()
        to_all = (Route("default", via) for via in default if _everywhere(via) not in taken)
        shared = tuple(_shared(each.network, taken)) if each.network is not None else ()
        yield index, (*to_all, *shared, *own.get(index, ()))


def _everywhere(gateway: str) -> str:
    """Give the destination that is everything, of a gateway's family."""
    return "::/0" if ":" in gateway else "0.0.0.0/0"


def _shared(network: Network, taken: set[str]) -> Iterator[Route]:
    """Yield the routes of a network whose destination is not taken yet, and take it."""
    for text, gateway in network.routes.items():
        destination = _destination(text)
        if destination not in taken:
            taken.add(destination)
            yield Route(destination, gateway)


def _by_interface(
    routes: Mapping[str, str], found: tuple[Attachment, ...]
) -> dict[int, tuple[Route, ...]]:
    """Sort the spec's routes by the interface each leaves through (`nics[0]`, `macs[..]`)."""
    sorted_out: dict[int, tuple[Route, ...]] = {}
    for destination, gateway in routes.items():
        index = _leaves_through(gateway, found)
        if index is None:
            wanted = "a gateway on one of the networks, nics[N] or macs[..]"
            raise InvalidInput(destination, (Violation("routes", wanted),))
        direct = gateway.startswith(("nics[", "macs["))
        route = Route(_destination(destination), "" if direct else gateway)
        sorted_out[index] = (*sorted_out.get(index, ()), route)
    return sorted_out


def _destination(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError as error:
        raise InvalidInput(text, (Violation("routes", f"a network ({error})"),)) from None


def _leaves_through(gateway: str, found: tuple[Attachment, ...]) -> int | None:
    for index, each in enumerate(found):
        if gateway in {f"nics[{index}]", f"macs[{each.nic.mac}]"}:
            return index
    try:
        address = ipaddress.ip_address(gateway)
    except ValueError:
        return None
    for index, each in enumerate(found):
        if any(address in own.network for own in each.addresses):
            return index
    return None
