"""Claims as the placement process writes them: in groups that fit, each request for itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fifo.model import keys, limits, records
from fifo.model.errors import Conflict, FifoError, InvalidInput, StoreFull
from fifo.model.hypervisor import Allocation
from fifo.model.wires import make_mac
from fifo.store.contract import Put
from fifo.store.limits import TXN_COMPARES, TXN_OPERATIONS
from supervisors import Future
from tests.fleet.asking import NOTHING, ask, claimed, client, held, many, nics, settled
from tests.workflows.stage import HOST, Stage, uid, zone

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fifo.model.instance import InstanceSpec
    from fifo.store.contract import Txn, TxnReply

MOST_OF_ONE = limits.PLACED_KEYS - 1
"""Addresses that one instance has of one network at most."""


class Counted:
    """Keeps what is asked of a store, and can have the next transactions be lost."""

    def __init__(self, stage: Stage, lose: int = 0, fail: FifoError | None = None) -> None:
        self.txns: list[Txn] = []
        self.lose = lose
        self.fail = fail
        self._stage = stage
        self._txn = stage.store.txn
        stage.store.txn = self.txn  # type: ignore[method-assign]

    def txn(self, txn: Txn) -> Future[TxnReply]:
        self.txns.append(txn)
        if self.fail is not None:
            future: Future[TxnReply] = Future()
            future.fail(self.fail)
            self.fail = None
            return future
        if self.lose:
            self.lose -= 1
            allocation = self._stage.catalog.allocations.record(HOST) or Allocation(host=HOST)
            # Another control node has written the host's sum meanwhile.
            key = keys.by_uid(keys.ALLOCATION, HOST)
            self._txn(
                msgspec.structs.replace(txn, compares=(), then=(Put(key, _data(allocation)),))
            )
        return self._txn(txn)


def _data(allocation: Allocation) -> bytes:
    return records.encode(allocation)


# --- what one transaction holds ------------------------------------------------------------------


def test_an_instance_with_many_addresses_waits_behind_those_that_fill_the_transaction() -> None:
    stage = Stage()
    asked = [ask(stage, zone(n)) for n in range(1, 28)]
    asked.append(ask(stage, zone(99, nics=nics(99, 1, limits.ADDRESSES_A_NIC))))
    answers = settled(stage, *asked)
    assert [own for answer in answers for own in answer.values() if own.error is not None] == []
    assert len(held(stage)[0]) == 28
    assert held(stage)[1] == claimed(stage)


def test_a_transaction_is_filled_and_never_more_than_that() -> None:
    stage = Stage()
    counted = Counted(stage)
    first = ask(stage, zone(1))
    settled(stage, first, *(ask(stage, zone(n)) for n in range(2, 68)))
    most = max(max(len(txn.compares), len(txn.then)) for txn in counted.txns)
    # Three keys each, and the network and the host's sum for all.
    assert most == 2 + 3 * 32 <= min(TXN_COMPARES, TXN_OPERATIONS)
    assert len(counted.txns) == 4


def test_what_was_taken_back_leaves_no_gap_in_the_pool() -> None:
    stage = Stage()
    asked = [ask(stage, zone(n)) for n in range(1, 80)]
    settled(stage, *asked)
    addresses = sorted(own for own in held(stage)[1] if "/4/" in own)
    numbers = [int(own.rpartition("/")[2], 16) for own in addresses]
    assert numbers == list(range(numbers[0], numbers[0] + 79))


def test_the_most_addresses_that_an_instance_may_have_are_placed_and_given_back() -> None:
    stage = Stage()
    spec = many(1, MOST_OF_ONE)
    (answer,) = settled(stage, ask(stage, spec))
    assert answer[spec.uid].error is None
    assert len(held(stage)[1]) == MOST_OF_ONE
    assert settled(stage, client(stage).release((spec.uid,))) == [None]
    assert held(stage) == NOTHING


def test_one_address_more_is_refused_by_itself_with_the_bound() -> None:
    stage = Stage()
    asked = [ask(stage, zone(1)), ask(stage, many(2, MOST_OF_ONE + 1)), ask(stage, zone(3))]
    answers = settled(stage, *asked)
    error = answers[1][uid(2)].error
    assert isinstance(error, InvalidInput)
    assert str(MOST_OF_ONE) in error.violations[0].wanted
    assert held(stage)[0] == {uid(1), uid(3)}
    assert held(stage)[1] == claimed(stage)


def test_interfaces_at_their_bound_on_as_many_networks_are_placed() -> None:
    stage = Stage()
    (own,) = stage.catalog.networks
    networks = [f"00000000-0000-4000-8000-00000000e0{n:02x}" for n in range(limits.NICS)]
    stage.write(
        *(
            Put(
                keys.by_uid(keys.NETWORK, network),
                records.encode(msgspec.structs.replace(own.record, uid=network, id=f"n{network}")),
            )
            for network in networks
        )
    )
    plain = nics(1, limits.NICS)
    plugged = tuple(
        msgspec.structs.replace(nic, network=network)
        for nic, network in zip(plain, networks, strict=True)
    )
    (answer,) = settled(stage, ask(stage, zone(1, nics=plugged)))
    assert answer[uid(1)].error is None
    assert len(held(stage)[1]) == 2 * limits.NICS


def test_a_place_of_more_than_one_transaction_is_answered_when_all_of_it_is_there() -> None:
    stage = Stage()
    specs = [zone(n, nics=nics(n, 1, 5)) for n in range(1, 26)]
    (answer,) = settled(stage, ask(stage, *specs))
    assert {own: placed.error for own, placed in answer.items()} == {s.uid: None for s in specs}
    assert len(held(stage)[1]) == 125


def test_a_release_of_more_than_one_transaction_gives_all_back() -> None:
    stage = Stage()
    specs = [zone(n, nics=nics(n, 2)) for n in range(1, 21)]
    settled(stage, *(ask(stage, spec) for spec in specs))
    uids = tuple(spec.uid for spec in specs)
    assert settled(stage, client(stage).release(uids)) == [None]
    assert held(stage) == NOTHING
    assert settled(stage, client(stage).release(uids)) == [None]


def test_nothing_to_place_and_nothing_to_release_is_answered() -> None:
    stage = Stage()
    answers = settled(stage, ask(stage), client(stage).release(()))
    assert answers == [{}, None]


def test_addresses_are_exchanged_up_to_one_transaction_and_refused_beyond() -> None:
    stage = Stage()
    half = MOST_OF_ONE // 2
    before = many(1, half)
    settled(stage, ask(stage, before))

    def moved(count: int) -> InstanceSpec:
        own = tuple(
            msgspec.structs.replace(nic, mac=make_mac(uid(1), 20 + n))
            for n, nic in enumerate(many(1, count, first=1_000).nics)
        )
        return msgspec.structs.replace(before, nics=own)

    kept = held(stage)
    (refused,) = settled(stage, client(stage).resize(moved(MOST_OF_ONE - half + 1)))
    assert isinstance(refused.error, InvalidInput)
    assert held(stage) == kept
    (changed,) = settled(stage, client(stage).resize(moved(half)))
    assert changed.error is None
    assert held(stage)[1] == claimed(stage)
    assert len(held(stage)[1]) == half


def test_a_claim_does_not_grow_beyond_what_can_be_given_back() -> None:
    stage = Stage()
    before = many(1, MOST_OF_ONE - 1)
    settled(stage, ask(stage, before))
    more = tuple(
        msgspec.structs.replace(nic, interface=f"more{n}", mac=make_mac(uid(1), 30 + n))
        for n, nic in enumerate(nics(1, 1, 2, first=1_000))
    )
    kept = held(stage)
    wider = msgspec.structs.replace(before, nics=(*before.nics, *more))
    (refused,) = settled(stage, client(stage).resize(wider))
    assert isinstance(refused.error, InvalidInput)
    assert held(stage) == kept
    assert settled(stage, client(stage).release((uid(1),))) == [None]
    assert held(stage) == NOTHING


# --- what becomes of a transaction ---------------------------------------------------------------


def test_a_lost_group_is_decided_again_in_its_order() -> None:
    stage = Stage()
    Counted(stage, lose=3)
    specs = [zone(n, nics=nics(n, 1, 5)) for n in range(1, 41)]
    asked = [ask(stage, *specs[:20]), ask(stage, *specs[20:]), ask(stage, zone(50))]
    answers = settled(stage, *asked)
    assert [len(answer) for answer in answers] == [20, 20, 1]
    assert len(held(stage)[0]) == 41
    assert held(stage)[1] == claimed(stage)
    assert held(stage)[2][3] == 41


@pytest.mark.parametrize("lost", [True, False], ids=["lost for good", "refused by the store"])
def test_a_request_that_fails_in_part_fails_whole_and_is_forgotten(lost: bool) -> None:
    stage = Stage()
    fail = None if lost else StoreFull("the disk is full", "store")
    Counted(stage, limits.CLAIM_ATTEMPTS + 1 if lost else 0, fail)
    specs = [zone(n, nics=nics(n, 1, 5)) for n in range(1, 41)]
    whole, other = settled(stage, ask(stage, *specs), ask(stage, zone(50)))
    assert isinstance(whole, Conflict if lost else StoreFull)
    assert other[uid(50)].error is None
    assert held(stage)[0] == {uid(50)}
    (again,) = settled(stage, ask(stage, *specs))
    assert len(again) == 40
    assert held(stage)[1] == claimed(stage)


# --- whatever waits beside it --------------------------------------------------------------------


@st.composite
def requests(draw: st.DrawFn) -> list[tuple[str, Sequence[int], int, int]]:
    """Draw what is asked for at one time: a verb, its instances, their interfaces and addresses."""
    one = st.tuples(
        st.sampled_from(["place", "place", "place", "release", "resize"]),
        st.lists(st.integers(1, 12), min_size=1, max_size=6, unique=True),
        st.integers(0, 6),
        st.integers(0, limits.ADDRESSES_A_NIC),
    )
    return draw(st.lists(one, min_size=1, max_size=25))


@settings(max_examples=60, deadline=None)
@given(requests())
def test_each_is_placed_or_refused_by_itself_whatever_waits_beside_it(
    asked: list[tuple[str, Sequence[int], int, int]],
) -> None:
    stage = Stage()
    place = client(stage)
    futures: list[tuple[str, Future[Any]]] = []
    for verb, numbers, count, ips in asked:
        specs = tuple(zone(n, nics=nics(n, count, ips)) for n in numbers)
        if verb == "place":
            futures.append((verb, ask(stage, *specs)))
        elif verb == "release":
            futures.append((verb, place.release(tuple(spec.uid for spec in specs))))
        else:
            futures += [(verb, place.resize(spec)) for spec in specs]
    stage.host.run_ready()
    for verb, future in futures:
        # No request fails: each instance has its own answer.
        answer = future.get()
        if verb != "release":
            for placed in answer.values() if verb == "place" else (answer,):
                assert (placed.claim is None) == (placed.error is not None)
    claims, addresses, used = held(stage)
    assert addresses == claimed(stage)
    assert used[3] == len(claims)
    assert settled(stage, place.release(tuple(claims))) == [None]
    assert held(stage) == NOTHING
