"""Snapshots, where the host has them; a reason where it has not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fifo.model import limits
from fifo.model.errors import NoRoom, NotFound, Unsupported, WrongState

if TYPE_CHECKING:
    from tests.hypervisors.conformance.stage import Stage


@pytest.fixture
def uid(stage: Stage) -> str:
    """A stopped instance on a host that can make snapshots."""
    if "snapshot" in stage.cannot:
        pytest.skip("this host has no snapshots")
    wanted = stage.wanted()
    stage.run(stage.driver.create(wanted))
    return wanted.spec.uid


def names(stage: Stage, uid: str) -> list[str]:
    """List the names of an instance's snapshots."""
    return [taken.name for taken in stage.run(stage.driver.snapshots(uid))]


def test_snapshots_are_listed_oldest_first(stage: Stage, uid: str) -> None:
    for name in ("c", "a", "b"):
        stage.run(stage.driver.snapshot(uid, name))
        stage.pass_time(0.01)
    listed = stage.run(stage.driver.snapshots(uid))
    assert [taken.name for taken in listed] == ["c", "a", "b"]
    assert [taken.created for taken in listed] == sorted(taken.created for taken in listed)
    assert all(taken.size_bytes >= 0 for taken in listed)


def test_to_take_one_that_is_there_gives_that_one(stage: Stage, uid: str) -> None:
    first = stage.run(stage.driver.snapshot(uid, "a"))
    again = stage.run(stage.driver.snapshot(uid, "a"))
    assert (again.name, again.created) == (first.name, first.created)
    assert names(stage, uid) == ["a"]


def test_a_running_instance_has_its_snapshot_taken(stage: Stage) -> None:
    if "snapshot" in stage.cannot:
        pytest.skip("this host has no snapshots")
    wanted = stage.wanted()
    stage.run(stage.driver.create(wanted))
    stage.run(stage.driver.start(wanted, 1))
    stage.run(stage.driver.snapshot(wanted.spec.uid, "live"))
    assert names(stage, wanted.spec.uid) == ["live"]
    found = stage.run(stage.driver.inspect(wanted.spec.uid))
    assert found is not None
    assert found.state == "running"


def test_to_roll_back_destroys_the_newer_ones(stage: Stage, uid: str) -> None:
    for name in ("a", "b", "c"):
        stage.run(stage.driver.snapshot(uid, name))
    stage.run(stage.driver.roll_back(uid, "b"))
    assert names(stage, uid) == ["a", "b"]
    stage.run(stage.driver.roll_back(uid, "b"))
    assert names(stage, uid) == ["a", "b"]


def test_what_runs_is_not_rolled_back(stage: Stage) -> None:
    if "snapshot" in stage.cannot:
        pytest.skip("this host has no snapshots")
    wanted = stage.wanted()
    stage.run(stage.driver.create(wanted))
    stage.run(stage.driver.snapshot(wanted.spec.uid, "a"))
    stage.run(stage.driver.start(wanted, 1))
    with pytest.raises(WrongState, match="running"):
        stage.run(stage.driver.roll_back(wanted.spec.uid, "a"))


def test_to_roll_back_to_none_is_refused(stage: Stage, uid: str) -> None:
    with pytest.raises(NotFound):
        stage.run(stage.driver.roll_back(uid, "none"))


def test_to_delete_one_that_is_gone_is_success(stage: Stage, uid: str) -> None:
    stage.run(stage.driver.snapshot(uid, "a"))
    stage.run(stage.driver.delete_snapshot(uid, "a"))
    stage.run(stage.driver.delete_snapshot(uid, "a"))
    assert names(stage, uid) == []


def test_there_is_a_bound_on_snapshots(stage: Stage, uid: str) -> None:
    if stage.coarse:
        pytest.skip("a snapshot takes real time here")
    for number in range(limits.SNAPSHOTS):
        stage.run(stage.driver.snapshot(uid, f"s{number}"))
    with pytest.raises(NoRoom) as told:
        stage.run(stage.driver.snapshot(uid, "one-more"))
    assert told.value.remedy
    stage.run(stage.driver.delete_snapshot(uid, "s0"))
    stage.run(stage.driver.snapshot(uid, "one-more"))


def test_snapshots_go_with_their_instance(stage: Stage) -> None:
    if "snapshot" in stage.cannot:
        pytest.skip("this host has no snapshots")
    wanted = stage.wanted()
    stage.run(stage.driver.create(wanted))
    stage.run(stage.driver.snapshot(wanted.spec.uid, "a"))
    stage.run(stage.driver.delete(wanted.spec.uid))
    stage.run(stage.driver.create(wanted))
    assert names(stage, wanted.spec.uid) == []


def test_a_host_without_them_says_why(stage: Stage) -> None:
    if "snapshot" not in stage.cannot:
        pytest.skip("this host has snapshots")
    wanted = stage.wanted()
    stage.run(stage.driver.create(wanted))
    reason = stage.run(stage.driver.probe()).missing["snapshot"]
    assert reason
    with pytest.raises(Unsupported, match=reason):
        stage.run(stage.driver.snapshot(wanted.spec.uid, "a"))
    assert stage.run(stage.driver.snapshots(wanted.spec.uid)) == ()
