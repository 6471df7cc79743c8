"""What is decided together in one transaction sees what was decided before it."""

from __future__ import annotations

import msgspec

from fifo.model import keys, records
from fifo.model.errors import NoRoom
from fifo.model.instance import Claim, Shares
from fifo.store.contract import Put
from tests.fleet.asking import NOTHING, ask, claimed, client, held, nics, settled
from tests.workflows.stage import HOST, NETWORK, Stage, uid, zone


def behind(stage: Stage) -> None:
    """Have a transaction in flight, so that what is asked for then is decided together."""
    ask(stage, zone(77))


def test_a_claim_that_is_given_back_in_the_group_that_makes_it_leaves_nothing() -> None:
    stage = Stage()
    behind(stage)
    placed, released = ask(stage, zone(2)), client(stage).release((uid(2),))
    settled(stage, placed, released)
    assert held(stage)[0] == {uid(77)}
    assert settled(stage, client(stage).release((uid(77),))) == [None]
    assert held(stage) == NOTHING


def test_what_was_given_back_in_its_own_group_can_be_given_to_another() -> None:
    stage = Stage()
    behind(stage)
    own = nics(2, 1, 1)
    first, back = ask(stage, zone(2, nics=own)), client(stage).release((uid(2),))
    again = ask(stage, zone(3, nics=own))
    *_, answer = settled(stage, first, back, again)
    assert answer[uid(3)].error is None
    assert held(stage)[1] == claimed(stage)


def test_an_instance_that_is_placed_twice_in_one_group_is_charged_once() -> None:
    stage = Stage()
    behind(stage)
    one, other = settled(stage, ask(stage, zone(2)), ask(stage, zone(2)))
    assert one[uid(2)].claim == other[uid(2)].claim
    assert held(stage)[2][3] == 2
    settled(stage, client(stage).release((uid(2), uid(77))))
    assert held(stage) == NOTHING


def test_a_claim_that_is_released_twice_in_one_group_is_given_back_once() -> None:
    stage = Stage()
    settled(stage, ask(stage, zone(1)), ask(stage, zone(2)))
    behind(stage)
    place = client(stage)
    settled(stage, place.release((uid(1),)), place.release((uid(1), uid(1))))
    assert held(stage)[0] == {uid(2), uid(77)}
    assert held(stage)[2][3] == 2


def test_a_claim_is_changed_in_the_group_that_makes_it() -> None:
    stage = Stage()
    behind(stage)
    wider = zone(2, nics=nics(2, 2), max_physical_memory=512)
    _, changed = settled(stage, ask(stage, zone(2)), client(stage).resize(wider))
    assert changed.error is None
    assert held(stage)[1] == claimed(stage)
    assert held(stage)[2][:2] == (0, 256 + 512)


def test_an_adopted_claim_can_be_disowned_in_its_own_group_and_adopted_again() -> None:
    stage = Stage()
    behind(stage)
    claim = Claim(
        uid=uid(5), host=HOST, shares=Shares(memory=100), networks={"m": NETWORK},
        addresses={"m": ("10.0.0.99/24",)}, operation="op-adopt",
    )  # fmt: skip
    place = client(stage)
    adopt, disown = place.adopt(claim), place.disown(uid(5), "op-adopt")
    assert settled(stage, adopt, disown)[0].error is None
    assert held(stage)[0] == {uid(77)}
    (entry,) = (own for own in stage.catalog.addresses if own.record.address == "10.0.0.99")
    assert (entry.record.stranger, entry.record.uid) == (uid(5), "")
    assert settled(stage, place.adopt(claim))[0].error is None
    assert held(stage)[2][1] == 256 + 100


def test_two_interfaces_do_not_share_the_last_address_of_a_pool() -> None:
    stage = Stage()
    (entry,) = stage.catalog.networks
    small = msgspec.structs.replace(entry.record.pools[0], last="10.0.0.10")
    network = msgspec.structs.replace(entry.record, pools=(small,))
    stage.write(Put(keys.by_uid(keys.NETWORK, NETWORK), records.encode(network)))
    (answer,) = settled(stage, ask(stage, zone(1, nics=nics(1, 2))))
    assert isinstance(answer[uid(1)].error, NoRoom)
    assert held(stage) == NOTHING
    (answer,) = settled(stage, ask(stage, zone(2)))
    assert answer[uid(2)].error is None
