from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fifo.model import keys

if TYPE_CHECKING:
    import ipaddress

PREFIXES = {
    name: own
    for name, own in vars(keys).items()
    if isinstance(own, bytes) and own.endswith(b"/") and name.isupper()
}
UIDS = st.uuids().map(str)


def test_no_prefix_is_the_beginning_of_another() -> None:
    for one, other in itertools.permutations(PREFIXES.values(), 2):
        assert not one.startswith(other)


@pytest.mark.parametrize("prefix", PREFIXES.values(), ids=PREFIXES.keys())
def test_the_range_of_a_prefix_holds_its_keys_and_no_other(prefix: bytes) -> None:
    end = keys.end_of(prefix)
    assert prefix <= prefix + b"\x00" < end
    assert prefix <= prefix + b"\xff" * 40 < end
    for other in PREFIXES.values():
        assert (prefix <= other + b"x" < end) is (other == prefix)


@given(UIDS, st.sampled_from(sorted(PREFIXES.values())))
def test_the_uid_comes_back_from_a_key(uid: str, prefix: bytes) -> None:
    assert keys.uid_of(keys.by_uid(prefix, uid)) == uid


V4 = st.ip_addresses(v=4)
V6 = st.ip_addresses(v=6)


@given(st.lists(V4, min_size=2, max_size=5) | st.lists(V6, min_size=2, max_size=5))
def test_keys_of_addresses_stand_in_the_order_of_the_addresses(
    addresses: list[ipaddress.IPv4Address] | list[ipaddress.IPv6Address],
) -> None:
    by_key = sorted(addresses, key=lambda own: keys.address("n", str(own)))
    assert by_key == sorted(addresses, key=int)


@given(V4 | V6, V4 | V6)
def test_two_addresses_have_two_keys(one: object, other: object) -> None:
    same = keys.address("n", str(one)) == keys.address("n", str(other))
    assert same is (one == other)


@given(V6)
def test_however_an_address_is_written_it_has_one_key(own: ipaddress.IPv6Address) -> None:
    assert keys.address("n", own.exploded) == keys.address("n", own.compressed.upper())


@given(st.integers(0, 2**63), st.integers(0, 2**63))
def test_what_is_numbered_stands_in_the_order_of_the_numbers(one: int, other: int) -> None:
    assert (keys.story("u", one) < keys.story("u", other)) is (one < other)
    assert (keys.journal(one) < keys.journal(other)) is (one < other)


@given(st.integers(0, 2**31), st.integers(0, 2**31))
def test_chunks_of_an_operation_stand_in_order(one: int, other: int) -> None:
    first, second = keys.operation_input("o", one), keys.operation_input("o", other)
    assert (first < second) is (one < other)


def test_keys_of_one_owner_stand_below_its_prefix() -> None:
    assert keys.story("u", 5).startswith(keys.stories("u"))
    assert keys.operation_input("o", 5).startswith(keys.operation_inputs("o"))
    assert keys.cleanup("h", "u").startswith(keys.CLEANUP)
    assert keys.index("instances", "default", "web").startswith(keys.INDEX)
    assert keys.result("o", "s", "u").startswith(keys.AGENT_RESULT)


def test_a_key_is_far_below_the_stores_bound() -> None:
    longest = keys.index("instances", "x" * 63, "y" * 63)
    assert len(longest) < 512


def test_what_the_fleet_tells_stands_between_what_an_agent_tells() -> None:
    found = [keys.story("u", number, after) for number in (0, 7, 8) for after in (0, 1, 2, 0xFFFF)]
    assert found == sorted(found)
    assert [keys.story_number(key) for key in found] == [
        (number, after) for number in (0, 7, 8) for after in (0, 1, 2, 0xFFFF)
    ]
