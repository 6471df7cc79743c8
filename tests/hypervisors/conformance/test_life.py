"""Create, start, stop, update, delete: each does its work once however often it is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from fifo.model.errors import NotFound

if TYPE_CHECKING:
    from fifo.hypervisors.driver import Wanted
    from tests.hypervisors.conformance.stage import Stage

ABSENT = "00000000-0000-4000-8000-ffffffffffff"


def running(stage: Stage) -> Wanted:
    """Create and start another instance."""
    wanted = stage.wanted()
    stage.run(stage.driver.create(wanted))
    stage.run(stage.driver.start(wanted, 1))
    return wanted


def test_what_is_created_is_there_and_does_not_run(stage: Stage) -> None:
    wanted = stage.wanted()
    stage.run(stage.driver.create(wanted))
    found = stage.run(stage.driver.inspect(wanted.spec.uid))
    assert found is not None
    assert (found.uid, found.state, found.start_id) == (wanted.spec.uid, "stopped", 0)
    assert found.exit is None


def test_to_create_what_is_there_changes_nothing(stage: Stage) -> None:
    wanted = running(stage)
    before = stage.run(stage.driver.inspect(wanted.spec.uid))
    stage.run(stage.driver.create(wanted))
    assert stage.run(stage.driver.inspect(wanted.spec.uid)) == before
    assert [seen.uid for seen in stage.run(stage.driver.inventory())] == [wanted.spec.uid]


def test_half_a_create_is_not_in_the_inventory_and_a_second_one_finishes_it(stage: Stage) -> None:
    wanted = stage.wanted()
    stage.fail_in_create(wanted)
    assert stage.run(stage.driver.inspect(wanted.spec.uid)) is None
    assert stage.run(stage.driver.inventory()) == ()
    stage.run(stage.driver.create(wanted))
    assert stage.run(stage.driver.start(wanted, 1)).state == "running"


def test_half_a_create_can_be_deleted(stage: Stage) -> None:
    wanted = stage.wanted()
    stage.fail_in_create(wanted)
    stage.run(stage.driver.delete(wanted.spec.uid))
    stage.run(stage.driver.create(wanted))
    stage.run(stage.driver.delete(wanted.spec.uid))
    assert stage.run(stage.driver.inventory()) == ()


def test_a_started_instance_runs_under_the_id_it_was_started_with(stage: Stage) -> None:
    wanted = stage.wanted()
    stage.run(stage.driver.create(wanted))
    told = stage.run(stage.driver.start(wanted, 7))
    assert (told.uid, told.state, told.start_id) == (wanted.spec.uid, "running", 7)
    assert told.pid > 0
    assert told.boot_id == stage.run(stage.driver.probe()).boot_id
    assert stage.run(stage.driver.inspect(wanted.spec.uid)) == told


@pytest.mark.parametrize("start_id", [1, 2])
def test_to_start_what_runs_leaves_it_as_it_is(stage: Stage, start_id: int) -> None:
    wanted = running(stage)
    before = stage.run(stage.driver.inspect(wanted.spec.uid))
    assert stage.run(stage.driver.start(wanted, start_id)) == before


def test_what_stops_in_order_is_not_forced(stage: Stage) -> None:
    wanted = running(stage)
    end = stage.run(stage.driver.stop(wanted.spec.uid, 30.0))
    assert end is not None
    assert not end.forced
    found = stage.run(stage.driver.inspect(wanted.spec.uid))
    assert found is not None
    assert (found.state, found.start_id, found.exit, found.pid) == ("stopped", 1, end, 0)


def test_what_takes_no_notice_is_forced_when_patience_is_over(stage: Stage) -> None:
    wanted = stage.deaf()
    stage.run(stage.driver.create(wanted))
    stage.run(stage.driver.start(wanted, 1))
    end = stage.run(stage.driver.stop(wanted.spec.uid, 0.5))
    assert end is not None
    assert end.forced
    found = stage.run(stage.driver.inspect(wanted.spec.uid))
    assert found is not None
    assert found.state == "stopped"


def test_without_patience_it_is_forced_at_once(stage: Stage) -> None:
    wanted = running(stage)
    end = stage.run(stage.driver.stop(wanted.spec.uid, 0.0))
    assert end is not None
    assert end.forced


@pytest.mark.parametrize("patience_s", [0.0, 0.5])
def test_a_stop_with_less_patience_shortens_the_one_under_way(
    stage: Stage, patience_s: float
) -> None:
    wanted = stage.deaf()
    uid = wanted.spec.uid
    stage.run(stage.driver.create(wanted))
    stage.run(stage.driver.start(wanted, 1))
    first, second = stage.both(
        stage.driver.stop(uid, 3_600.0), lambda: stage.driver.stop(uid, patience_s)
    )
    assert first is not None
    assert first == second
    assert first.forced
    found = stage.run(stage.driver.inspect(uid))
    assert found is not None
    assert (found.state, found.exit) == ("stopped", first)


def test_a_stop_with_more_patience_gives_the_one_under_way_no_more(stage: Stage) -> None:
    wanted = stage.deaf()
    uid = wanted.spec.uid
    stage.run(stage.driver.create(wanted))
    stage.run(stage.driver.start(wanted, 1))
    first, second = stage.both(stage.driver.stop(uid, 2.0), lambda: stage.driver.stop(uid, 3_600.0))
    assert first is not None
    assert first == second
    assert first.forced


def test_to_stop_what_does_not_run_is_success(stage: Stage) -> None:
    wanted = stage.wanted()
    stage.run(stage.driver.create(wanted))
    assert stage.run(stage.driver.stop(wanted.spec.uid, 1.0)) is None
    assert stage.run(stage.driver.stop(ABSENT, 1.0)) is None


def test_a_stopped_instance_starts_again(stage: Stage) -> None:
    wanted = running(stage)
    stage.run(stage.driver.stop(wanted.spec.uid, 0.0))
    told = stage.run(stage.driver.start(wanted, 2))
    assert (told.state, told.start_id, told.exit) == ("running", 2, None)


def test_delete_removes_what_runs_and_is_success_when_repeated(stage: Stage) -> None:
    wanted = running(stage)
    stage.run(stage.driver.delete(wanted.spec.uid))
    assert stage.run(stage.driver.inspect(wanted.spec.uid)) is None
    assert stage.run(stage.driver.inventory()) == ()
    stage.run(stage.driver.delete(wanted.spec.uid))
    stage.run(stage.driver.delete(ABSENT))


def test_one_is_not_touched_by_what_happens_to_another(stage: Stage) -> None:
    kept, dropped = running(stage), running(stage)
    before = stage.run(stage.driver.inspect(kept.spec.uid))
    stage.run(stage.driver.stop(dropped.spec.uid, 0.0))
    stage.run(stage.driver.delete(dropped.spec.uid))
    assert stage.run(stage.driver.inventory()) == (before,)


def test_an_update_says_what_counts_now_and_what_at_the_next_start(stage: Stage) -> None:
    wanted = running(stage)
    before = stage.run(stage.driver.inspect(wanted.spec.uid))
    spec = msgspec.structs.replace(
        wanted.spec, generation=2, max_physical_memory=512, hostname="renamed"
    )
    applied = stage.run(stage.driver.update(wanted._replace(spec=spec)))
    assert {"max_physical_memory", "hostname"} == {*applied.live, *applied.at_start}
    assert not set(applied.live) & set(applied.at_start)
    assert stage.run(stage.driver.inspect(wanted.spec.uid)) == before
    again = stage.run(stage.driver.update(wanted._replace(spec=spec)))
    assert again.live == ()


def test_an_absent_instance_is_named_by_what_needs_it(stage: Stage) -> None:
    wanted = stage.wanted()
    uid = wanted.spec.uid
    assert stage.run(stage.driver.inspect(uid)) is None
    for refused in (
        stage.driver.start(wanted, 1),
        stage.driver.update(wanted),
        stage.driver.snapshots(uid),
        stage.driver.logs(uid, 100),
    ):
        with pytest.raises(NotFound) as told:
            stage.run(refused)
        assert told.value.subject == uid
        assert told.value.remedy
