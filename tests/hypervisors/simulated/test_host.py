"""The host itself: its room, its reboot, what it costs, and that a seed decides everything."""

from __future__ import annotations

import tracemalloc

import msgspec
import pytest

from fifo.hypervisors.driver import Broken, Ended, Inventory
from fifo.hypervisors.simulated import limits
from fifo.hypervisors.simulated.host import SimulatedHost
from fifo.hypervisors.simulated.settings import HostSettings
from fifo.model.errors import NoRoom, NotFound
from fifo.model.instance import Claim, Exit, Shares
from tests.hypervisors.conformance.simulated_stage import SimulatedStage


def test_room_is_counted_and_given_back(stage: SimulatedStage) -> None:
    room = Shares(cpu=200, memory=10_000, disk=100)
    stage.host.settings = HostSettings(capacity=room)
    first, second, third = (stage.wanted() for _ in range(3))
    stage.run(stage.driver.create(first))
    stage.run(stage.driver.create(second))
    with pytest.raises(NoRoom, match="no cpu left on the host: 300 wanted of 200"):
        stage.run(stage.driver.create(third))
    stage.run(stage.driver.delete(first.spec.uid))
    stage.run(stage.driver.create(third))
    assert stage.host.used == Shares(cpu=200, memory=512, disk=20)


def test_an_update_beyond_the_room_changes_nothing(stage: SimulatedStage) -> None:
    wanted = stage.wanted()
    stage.run(stage.driver.create(wanted))
    used = stage.host.used
    large = Claim(uid=wanted.spec.uid, host="simulated", shares=Shares(memory=1 << 30))
    with pytest.raises(NoRoom):
        stage.run(stage.driver.update(wanted._replace(claim=large)))
    assert stage.host.used == used
    assert stage.host.find(wanted.spec.uid).wanted is wanted


def test_after_a_reboot_nothing_runs_and_nobody_saw_how_it_ended(stage: SimulatedStage) -> None:
    stage.listen()
    wanted = stage.wanted()
    stage.run(stage.driver.create(wanted))
    before = stage.run(stage.driver.start(wanted, 1))
    stage.host.reboot_host()
    assert stage.heard[-1] == Broken("the host was rebooted")
    stage.listen()
    (told,) = stage.heard
    assert isinstance(told, Inventory)
    (seen,) = told.instances
    assert (seen.state, seen.start_id, seen.boot_id) == ("stopped", 1, before.boot_id)
    assert seen.exit is not None
    assert (seen.exit.code, seen.exit.signal, seen.exit.orderly) == (None, None, False)
    probe = stage.run(stage.driver.probe())
    assert probe.boot_id != before.boot_id
    assert stage.run(stage.driver.start(wanted, 2)).boot_id == probe.boot_id


def test_only_what_runs_can_be_ended_from_outside(stage: SimulatedStage) -> None:
    wanted = stage.wanted()
    stage.run(stage.driver.create(wanted))
    with pytest.raises(NotFound):
        stage.host.end(wanted.spec.uid)
    stage.run(stage.driver.start(wanted, 1))
    stage.listen()
    stage.host.end(wanted.spec.uid, Exit(at=1.0, code=7))
    assert stage.heard[-1] == Ended(wanted.spec.uid, 1, Exit(at=1.0, code=7))


def test_a_channel_that_nobody_reads_is_closed_and_the_guest_lives(stage: SimulatedStage) -> None:
    wanted = stage.wanted()
    stage.run(stage.driver.create(wanted))
    stage.run(stage.driver.start(wanted, 1))
    channel = stage.run(stage.driver.console(wanted.spec.uid))
    for _ in range(limits.CHANNEL_BYTES // 1000 + 10):
        stage.run(channel.write(b"x" * 1000))
    total = 0
    while (part := stage.run(channel.read())) is not None:
        total += len(part[1])
    assert total <= limits.CHANNEL_BYTES
    assert channel.fell_behind
    assert stage.host.find(wanted.spec.uid).running
    assert len(stage.run(stage.driver.logs(wanted.spec.uid, 1 << 30))) <= limits.LOG_BYTES


def test_the_same_seed_gives_the_same_host() -> None:
    def run() -> list[object]:
        stage = SimulatedStage()
        stage.listen()
        for _ in range(20):
            wanted = stage.short_lived(1)
            stage.run(stage.driver.create(wanted))
            stage.run(stage.driver.start(wanted, 1))
        stage.pass_time(10.0)
        return [stage.time.now_s, *stage.heard]

    assert run() == run()


def test_an_instance_costs_less_than_two_kilobytes(stage: SimulatedStage) -> None:
    plain = SimulatedHost(stage.host.clockwork)
    spec = stage.wanted()
    count = 500
    uids = [f"00000000-0000-4000-8000-{number:012x}" for number in range(count)]
    room = Claim(uid="", host="", shares=Shares())
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for uid in uids:
        wanted = spec._replace(spec=msgspec.structs.replace(spec.spec, uid=uid), claim=room)
        guest = plain.make(wanted)
        guest.whole = True
        plain.boot(guest, 1)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (after - before) / count < 2_000
