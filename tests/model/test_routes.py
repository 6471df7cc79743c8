"""What a network's routes have to be, so that every instance's kernel takes them."""

from __future__ import annotations

import ipaddress
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fifo.model.network import Network
from fifo.model.routes import violations


def network(routes: dict[str, str]) -> Network:
    return Network(uid="", id="n", create_time=0.0, routes=routes)


@pytest.mark.parametrize(
    ("destination", "gateway", "wanted"),
    [
        ("x", "10.0.0.1", ["an address or a CIDR"]),
        ("10.1.0.0/16 dev eth1", "10.0.0.1", ["an address or a CIDR"]),
        ("default", "10.0.0.1", ["an address or a CIDR"]),
        ("fe80::1%eth0", "fe80::2", ["an address or a CIDR"]),
        ("10.1.0.1/16", "10.0.0.1", ["the whole of 10.1.0.0/16, or one address"]),
        ("0.0.0.0/0", "10.0.0.1", ["a part of all addresses"]),
        ("::/0", "fe80::1", ["a part of all addresses"]),
        ("10.1.0.0/16", "", ["the address of a gateway"]),
        ("10.1.0.0/16", "nics[0]", ["the address of a gateway"]),
        ("fd01::/32", "::", ["the address of a gateway"]),
        ("10.1.0.0/16", "224.0.0.1", ["the address of a gateway"]),
        ("fd01::/32", "fe80::1%eth0", ["the address of a gateway"]),
        ("10.1.0.0/16", "fe80::1", ["a gateway of IPv4"]),
        ("fd01::/32", "10.0.0.1", ["a gateway of IPv6"]),
        ("x", "y", ["an address or a CIDR", "the address of a gateway"]),
    ],
)
def test_a_route_is_refused_with_what_is_wanted(
    destination: str, gateway: str, wanted: list[str]
) -> None:
    found = list(violations(network({destination: gateway})))
    assert [violation.field for violation in found] == [f"routes.{destination}"] * len(wanted)
    for violation, start in zip(found, wanted, strict=True):
        assert violation.wanted.startswith(start)


def test_a_destination_stands_once_however_it_is_written() -> None:
    routes = {"10.1.0.0/16": "10.0.0.1", "10.1.0.0/255.255.0.0": "10.0.0.2"}
    (found,) = violations(network(routes))
    assert found.field == "routes.10.1.0.0/255.255.0.0"
    assert found.wanted == "each destination once: 10.1.0.0/16 is the same"


@given(st.data())
def test_routes_of_one_family_are_taken(data: st.DataObject) -> None:
    version: Literal[4, 6] = data.draw(st.sampled_from((4, 6)))
    gateways = st.ip_addresses(v=version).filter(
        lambda own: not own.is_unspecified and not own.is_multicast
    )
    destination = data.draw(st.ip_addresses(v=version))
    length = data.draw(st.integers(1, destination.max_prefixlen))
    whole = ipaddress.ip_network((destination, length), strict=False)
    gateway = str(data.draw(gateways))
    assert list(violations(network({str(whole): gateway}))) == []
