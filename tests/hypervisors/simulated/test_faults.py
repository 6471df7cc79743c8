"""Each line of the table of faults, and that a seed decides them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from fifo.hypervisors.driver import Broken, Ended, Inventory
from fifo.hypervisors.simulated.faults import EVENTS, GUEST, Fault, Faults
from fifo.model.errors import DriverFailed, NoRoom, Unavailable
from supervisors import CallTimeout, SimulatedHost, within

if TYPE_CHECKING:
    from fifo.hypervisors.driver import Wanted
    from tests.hypervisors.conformance.simulated_stage import SimulatedStage


def running(stage: SimulatedStage, wanted: Wanted) -> str:
    """Create and start an instance; gives its uid."""
    stage.run(stage.driver.create(wanted))
    stage.run(stage.driver.start(wanted, 1))
    return wanted.spec.uid


def test_an_error_does_nothing_and_has_the_hosts_words(stage: SimulatedStage) -> None:
    wanted = stage.wanted()
    stage.run(stage.driver.create(wanted))
    stage.host.faults.add(Fault("start", "error", times=1, text="exec format error"))
    with pytest.raises(DriverFailed, match="exec format error"):
        stage.run(stage.driver.start(wanted, 1))
    assert not stage.host.find(wanted.spec.uid).running
    stage.run(stage.driver.start(wanted, 1))


def test_a_full_disk_is_no_room(stage: SimulatedStage) -> None:
    stage.host.faults.add(Fault("create", "disk_full"))
    with pytest.raises(NoRoom, match="disk"):
        stage.run(stage.driver.create(stage.wanted()))
    assert stage.host.guests == {}


def test_what_hangs_does_so_until_it_is_given_up(stage: SimulatedStage) -> None:
    stage.host.faults.add(Fault("create", "hang"))
    with pytest.raises(CallTimeout):
        stage.run(within(30.0, stage.driver.create(stage.wanted())))
    assert stage.time.now_s >= 30.0


def test_the_work_is_done_when_the_reply_is_lost(stage: SimulatedStage) -> None:
    wanted = stage.wanted()
    for verb in ("create", "start", "stop", "delete"):
        stage.host.faults.add(Fault(verb, "lost_reply", times=1))
    uid = wanted.spec.uid
    with pytest.raises(Unavailable):
        stage.run(stage.driver.create(wanted))
    assert stage.host.find(uid).whole
    with pytest.raises(Unavailable):
        stage.run(stage.driver.start(wanted, 1))
    assert stage.host.find(uid).running
    with pytest.raises(Unavailable):
        stage.run(stage.driver.stop(uid, 1.0))
    assert not stage.host.find(uid).running
    with pytest.raises(Unavailable):
        stage.run(stage.driver.delete(uid))
    assert stage.host.guests == {}


def test_one_image_may_crash_at_each_start_and_others_live(stage: SimulatedStage) -> None:
    stage.host.faults.add(Fault(GUEST, "exit", image="bad", after_s=2.0, code=None, signal=11))
    bad = stage.wanted()
    bad = bad._replace(spec=msgspec.structs.replace(bad.spec, image="bad"))
    good = running(stage, stage.wanted())
    stage.listen()
    uid = running(stage, bad)
    for start_id in (2, 3):
        stage.pass_time(3.0)
        stage.run(stage.driver.start(bad, start_id))
    stage.pass_time(3.0)
    told = [event for event in stage.heard if isinstance(event, Ended)]
    assert [(end.uid, end.start_id, end.exit.signal) for end in told] == [
        (uid, 1, 11), (uid, 2, 11), (uid, 3, 11)
    ]  # fmt: skip
    assert stage.host.find(good).running


def test_lost_sight_is_told_and_found_again_with_what_ended_meanwhile(
    stage: SimulatedStage,
) -> None:
    stage.host.faults.add(Fault(EVENTS, "broken", after_s=5.0, lasts_s=10.0, text="gone", times=1))
    stage.listen()
    uid = running(stage, stage.wanted())
    stage.wait_for(lambda: Broken("gone") in stage.heard)
    stage.kill(uid)
    stage.pass_time(11.0)
    after = stage.heard[stage.heard.index(Broken("gone")) + 1 :]
    assert [type(event) for event in after] == [Inventory, Ended]


def test_sight_that_stays_lost_comes_back_with_a_new_subscription(stage: SimulatedStage) -> None:
    cancel = stage.listen()
    stage.host.break_events("gone")
    stage.pass_time(100.0)
    assert stage.heard[-1] == Broken("gone")
    cancel()
    stage.listen()
    assert [type(event) for event in stage.heard] == [Inventory]


def test_chance_is_drawn_from_the_seed() -> None:
    def strikes(seed: int) -> list[bool]:
        dice = SimulatedHost(seed=seed).random.random
        faults = Faults((Fault("start", "error", chance=0.3),), dice)
        return [faults.strike("start") is not None for _ in range(200)]

    assert strikes(1) == strikes(1) != strikes(2)
    assert 30 < sum(strikes(1)) < 90


def test_a_cleared_table_strikes_no_more(stage: SimulatedStage) -> None:
    stage.host.faults.add(Fault("create", "error"))
    stage.host.faults.clear()
    stage.run(stage.driver.create(stage.wanted()))
