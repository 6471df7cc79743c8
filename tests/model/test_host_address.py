from __future__ import annotations

import ipaddress

import pytest

from fifo.model.host_address import gateway_objection, interface_objection, objection


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("224.0.0.1/24", "multicast"),
        ("239.255.255.250/32", "multicast"),
        ("ff02::1/64", "multicast"),
        ("127.0.0.1/8", "loopback"),
        ("127.8.8.8/32", "loopback"),
        ("::1/128", "loopback"),
        ("0.0.0.0/0", "no host's"),
        ("0.1.2.3/24", "no host's"),
        ("::/64", "no host's"),
        ("255.255.255.255/32", "the broadcast address"),
        ("192.168.77.255/24", "the broadcast address of 192.168.77.0/24"),
        ("10.91.0.0/24", "the address of 10.91.0.0/24 itself"),
        ("10.0.0.3/30", "the broadcast address of 10.0.0.0/30"),
    ],
)
def test_an_address_that_no_host_can_have_is_told_with_its_reason(text: str, why: str) -> None:
    told = interface_objection(text)
    assert told.startswith(f"an address that a host can have: {text.partition('/')[0]} is ")
    assert told.endswith(why) or f" {why} " in told


@pytest.mark.parametrize(
    "text",
    [
        "10.0.0.1/24", "10.0.1.0/23", "10.0.0.255/23", "10.0.0.0/31", "10.0.0.1/31", "10.0.0.0/32",
        "169.254.1.1/16", "240.0.0.1/24", "fe80::1/64", "fd00::/64", "2001:db8::ffff/112",
    ],
)  # fmt: skip
def test_any_other_address_can_be_a_hosts(text: str) -> None:
    assert interface_objection(text) == ""


def test_without_its_subnet_an_address_is_not_taken_for_a_subnets_own() -> None:
    assert objection(ipaddress.ip_address("10.0.0.255")) == ""


@pytest.mark.parametrize(
    ("gateway", "refused"),
    [
        ("10.0.0.1", False),
        ("10.0.0.255", True),
        ("10.0.0.0", True),
        ("10.9.0.255", False),
        ("127.0.0.1", True),
        ("ff02::2", True),
        ("fe80::1", False),
    ],
)
def test_a_gateway_is_an_address_of_a_host_in_the_subnets_of_its_interface(
    gateway: str, *, refused: bool
) -> None:
    assert bool(gateway_objection(gateway, ["10.0.0.7/24", "fd00::7/64"])) == refused
