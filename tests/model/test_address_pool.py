from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fifo.model.address_pool import bare, bounds, next_free, text, version, violations
from fifo.model.network import AddressPool, Network

V4 = AddressPool(subnet="10.0.0.0/24", first="10.0.0.10", last="10.0.0.19", gateway="10.0.0.1")
V6 = AddressPool(subnet="fd00::/64", first="fd00::10", last="fd00::ffff", gateway="fd00::1")
FIRST, LAST = bounds(V4)
NUMBERS = st.integers(FIRST - 3, LAST + 3)


@given(st.sets(st.integers(FIRST, LAST)), NUMBERS | st.just(-1))
def test_the_next_is_free_and_in_the_pool_or_the_pool_is_full(taken: set[int], after: int) -> None:
    found = next_free(V4, taken, after)
    if found is None:
        assert taken == set(range(FIRST, LAST + 1))
    else:
        assert FIRST <= found <= LAST
        assert found not in taken


@given(st.sets(st.integers(FIRST, LAST)), st.integers(FIRST, LAST - 1))
def test_it_is_the_first_behind_the_last_one_given_and_wraps(taken: set[int], after: int) -> None:
    order = [*range(after + 1, LAST + 1), *range(FIRST, after + 1)]
    assert next_free(V4, taken, after) == next((own for own in order if own not in taken), None)


def test_an_address_that_came_back_is_given_again_last() -> None:
    given_out = []
    taken: set[int] = set()
    last = -1
    for _ in range(20):
        found = next_free(V4, taken, last)
        assert found is not None
        given_out.append(found - FIRST)
        last = found
    assert given_out == [*range(10), *range(10)]


def test_a_full_pool_gives_nothing() -> None:
    assert next_free(V4, range(FIRST, LAST + 1)) is None
    one = AddressPool(subnet="10.0.0.0/24", first="10.0.0.5", last="10.0.0.5")
    assert next_free(one, set()) == int(ipaddress.ip_address("10.0.0.5"))
    assert next_free(one, {int(ipaddress.ip_address("10.0.0.5"))}, FIRST) is None


@given(st.integers(*bounds(V6)))
def test_an_address_is_written_with_the_prefix_of_its_subnet(number: int) -> None:
    written = text(V6, number)
    assert ipaddress.ip_interface(written).network == ipaddress.ip_network(V6.subnet)
    assert int(ipaddress.ip_address(bare(written))) == number


def test_a_low_number_of_an_ipv6_pool_is_no_ipv4_address() -> None:
    low = AddressPool(subnet="::/64", first="::10", last="::20")
    assert (text(low, 16), version(low)) == ("::10/64", 6)
    assert version(V4) == 4


def pool(first: str, last: str, gateway: str = "") -> AddressPool:
    return AddressPool(subnet="10.0.0.0/24", first=first, last=last, gateway=gateway)


@pytest.mark.parametrize(
    ("pools", "fields"),
    [
        ((), []),
        ((V4, V6), []),
        ((pool("10.0.0.9", "10.0.0.2"),), ["pools[0].first"]),
        ((pool("10.0.1.1", "10.0.1.9"),), ["pools[0]"]),
        ((pool("10.0.0.1", "10.0.0.9", "10.0.0.4"),),
         ["pools[0].gateway"]),
        ((pool("10.0.0.1", "10.0.0.9", "10.9.0.4"),),
         ["pools[0]"]),
        ((AddressPool(subnet="10.0.0.7/24", first="10.0.0.1", last="10.0.0.9"),), ["pools[0]"]),
        ((AddressPool(subnet="fd00::/64", first="10.0.0.1", last="fd00::9"),), ["pools[0]"]),
        ((AddressPool(subnet="x", first="y", last="z"), V6), ["pools[0]"]),
        ((V4, V4), ["pools[1]"]),
        ((pool("10.0.0.0", "10.0.0.255"),), ["pools[0].first", "pools[0].last"]),
        ((pool("10.0.0.1", "10.0.0.9", "10.0.0.255"),), ["pools[0].gateway"]),
        ((AddressPool(subnet="10.0.0.0/31", first="10.0.0.0", last="10.0.0.1"),), []),
        ((AddressPool(subnet="ff02::/64", first="ff02::1", last="ff02::9"),),
         ["pools[0].first", "pools[0].last"]),
    ],
)  # fmt: skip
def test_all_that_is_wrong_with_pools_is_told(
    pools: tuple[AddressPool, ...], fields: list[str]
) -> None:
    network = Network(uid="u", id="n", create_time=0.0, pools=pools)
    assert [violation.field for violation in violations(network)] == fields
