"""Events: the inventory first, each end told once, sight lost and found again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fifo.hypervisors.driver import Ended, Inventory

if TYPE_CHECKING:
    from fifo.hypervisors.driver import Wanted
    from tests.hypervisors.conformance.stage import Stage


def ends(stage: Stage, uid: str) -> list[Ended]:
    """List the ends that were told of an instance."""
    return [event for event in stage.heard if isinstance(event, Ended) and event.uid == uid]


def make(stage: Stage, wanted: Wanted) -> str:
    """Create and start an instance; gives its uid."""
    stage.run(stage.driver.create(wanted))
    stage.run(stage.driver.start(wanted, 1))
    return wanted.spec.uid


def test_a_subscriber_hears_the_inventory_first(stage: Stage) -> None:
    uids = {make(stage, stage.wanted()) for _ in range(2)}
    stage.listen()
    stage.wait_for(lambda: bool(stage.heard))
    first = stage.heard[0]
    assert isinstance(first, Inventory)
    assert {(seen.uid, seen.state) for seen in first.instances} == {
        (uid, "running") for uid in uids
    }
    assert sorted(first.instances) == sorted(stage.run(stage.driver.inventory()))


def test_an_exit_code_is_told_once(stage: Stage) -> None:
    stage.listen()
    uid = make(stage, stage.short_lived(stage.own_code))
    stage.wait_for(lambda: bool(ends(stage, uid)))
    stage.pass_time(1.0)
    (told,) = ends(stage, uid)
    assert (told.start_id, told.exit.code, told.exit.signal) == (1, stage.own_code, None)
    assert not told.exit.forced
    found = stage.run(stage.driver.inspect(uid))
    assert found is not None
    assert found.exit == told.exit


def test_a_killing_from_outside_is_told_with_its_signal(stage: Stage) -> None:
    stage.listen()
    uid = make(stage, stage.wanted())
    stage.kill(uid)
    stage.wait_for(lambda: bool(ends(stage, uid)))
    (told,) = ends(stage, uid)
    assert (told.exit.code, told.exit.signal, told.exit.orderly) == (None, 9, False)


def test_a_stop_that_was_asked_for_is_told_too(stage: Stage) -> None:
    stage.listen()
    uid = make(stage, stage.wanted())
    end = stage.run(stage.driver.stop(uid, 0.0))
    stage.wait_for(lambda: bool(ends(stage, uid)))
    assert [told.exit for told in ends(stage, uid)] == [end]


def test_each_start_has_its_own_end(stage: Stage) -> None:
    stage.listen()
    wanted = stage.wanted()
    uid = make(stage, wanted)
    stage.run(stage.driver.stop(uid, 0.0))
    stage.run(stage.driver.start(wanted, 2))
    stage.kill(uid)
    stage.wait_for(lambda: len(ends(stage, uid)) == 2)
    assert [told.start_id for told in ends(stage, uid)] == [1, 2]


def test_an_end_that_nobody_watched_is_told_after_the_inventory(stage: Stage) -> None:
    uid = make(stage, stage.wanted())
    stage.kill(uid)
    stage.restart_driver()
    stage.listen()
    stage.wait_for(lambda: bool(ends(stage, uid)))
    assert isinstance(stage.heard[0], Inventory)
    (seen,) = stage.heard[0].instances
    (told,) = ends(stage, uid)
    assert (seen.state, seen.start_id, seen.exit) == ("stopped", 1, told.exit)
    assert told.exit.signal == 9


def test_an_end_that_was_told_is_not_told_to_the_next_subscriber(stage: Stage) -> None:
    cancel = stage.listen()
    uid = make(stage, stage.wanted())
    stage.kill(uid)
    stage.wait_for(lambda: bool(ends(stage, uid)))
    cancel()
    stage.listen()
    stage.wait_for(lambda: bool(stage.heard))
    stage.pass_time(0.5)
    assert ends(stage, uid) == []


def test_who_has_cancelled_hears_no_more(stage: Stage) -> None:
    cancel = stage.listen()
    uid = make(stage, stage.wanted())
    cancel()
    before = list(stage.heard)
    stage.kill(uid)
    stage.pass_time(0.5)
    assert stage.heard == before


def test_instances_outlive_the_driver(stage: Stage) -> None:
    uid = make(stage, stage.wanted())
    before = stage.run(stage.driver.inspect(uid))
    stage.restart_driver()
    assert stage.run(stage.driver.inspect(uid)) == before
    assert stage.run(stage.driver.inventory()) == (before,)
