"""What a session settles with its host: what that owes, and what it has not heard of."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from fifo.agent.supervisor import LocalLink
from fifo.fleet import limits
from fifo.fleet.placement import PlacementClient
from fifo.hypervisors.simulated.faults import Fault
from fifo.model import keys, records
from fifo.model.errors import Conflict, Unavailable
from fifo.model.image import Image
from fifo.model.instance import Cleanup, Disk
from fifo.model.link import CommandResult
from fifo.model.story import StoryEvent
from fifo.store.contract import Put, Txn
from fifo.store.memory import MemoryDisk
from fifo.workflows.failures import failure_of
from supervisors import Future
from tests.simulation.machine import HYPERVISOR, Machine
from tests.simulation.test_one_machine import bare_zone
from tests.simulation.test_sight import wait_for
from tests.workflows.stage import uid, zone

if TYPE_CHECKING:
    from fifo.model.link import Command
    from fifo.model.operation import Operation
    from fifo.store.contract import KeyValue

IMAGE = "00000000-0000-4000-8000-00000000c001"
MISSING = (
    "its data is not on this host: it was deleted since the backup that was restored, or its disk"
    " is lost"
)
AT_ONCE_S = 5.0
"""A removal on a simulated host, and the commits around it."""


def owe(machine: Machine, *uids: str) -> None:
    """Write down that the host owes the removal of instances."""
    puts = []
    for own in uids:
        claim = machine.catalog.claims.record(own)
        debt = Cleanup(uid=own, host=HYPERVISOR, operation="op-x", since=machine.utc(), claim=claim)
        puts.append(Put(keys.cleanup(HYPERVISOR, own), records.encode(debt)))
    assert machine.catalog.store.txn(Txn(then=tuple(puts))).get().succeeded


def owed(machine: Machine) -> set[str]:
    return {entry.record.uid for entry in machine.catalog.cleanups}


def with_zones(*numbers: int) -> Machine:
    machine = Machine()
    for number in numbers:
        machine.run("create_instance", (uid(number),), bare_zone(number))
    return machine


def lose(machine: Machine) -> None:
    machine.hypervisor.faults.add(Fault("probe", "hang"))
    machine.hypervisor.break_events("the keeper is gone")


def story(machine: Machine) -> tuple[KeyValue, ...]:
    prefix = keys.stories(uid(1))
    return machine.catalog.store.range(prefix, keys.end_of(prefix)).get().kvs


def write_image(machine: Machine) -> None:
    image = Image(
        uid=IMAGE, id="base", create_time=0.0, format="qcow2", source="base", state="ready",
        brands=("lx", "kvm"),
    )  # fmt: skip
    key = keys.by_uid(keys.IMAGE, IMAGE)
    machine.catalog.store.txn(Txn(then=(Put(key, records.encode(image)),))).get()


def test_a_debt_that_is_written_while_its_host_is_ready_is_collected_at_once() -> None:
    machine = with_zones(1, 2)
    owe(machine, uid(1))
    machine.scheduler.advance(AT_ONCE_S)
    assert owed(machine) == set()
    assert set(machine.hypervisor.guests) == {uid(2)}
    assert machine.catalog.claims.get(uid(1)) is None


def test_an_image_that_a_ready_host_owes_is_taken_out_of_its_cache_at_once() -> None:
    machine = Machine()
    write_image(machine)
    machine.run("create_instance", (uid(1),), zone(1, nics=(), image=IMAGE))
    machine.run("delete_instance", (uid(1),))
    assert IMAGE in machine.hypervisor.images
    debt = Cleanup(uid=IMAGE, host=HYPERVISOR, operation="op-x", since=0.0, what="image")
    put = Put(keys.cleanup(HYPERVISOR, IMAGE), records.encode(debt))
    machine.catalog.store.txn(Txn(then=(put,))).get()
    machine.scheduler.advance(AT_ONCE_S)
    assert owed(machine) == set()
    assert IMAGE not in machine.hypervisor.images


def test_a_removal_that_its_host_refuses_is_asked_for_again_while_it_is_ready() -> None:
    machine = with_zones(1, 2)
    machine.hypervisor.faults.add(Fault("delete", "error", uid=uid(1)))
    owe(machine, uid(1), uid(2))
    machine.scheduler.advance(limits.SETTLE_AGAIN_S + AT_ONCE_S)
    assert owed(machine) == {uid(1)}, "one that is refused holds no other up"
    assert machine.catalog.claims.get(uid(1)) is not None, "its claim stays held"
    machine.hypervisor.faults.clear()
    machine.scheduler.advance(limits.SETTLE_AGAIN_S + AT_ONCE_S)
    assert owed(machine) == set()
    assert not machine.hypervisor.guests


def test_a_removal_that_is_refused_is_not_asked_for_anew_with_each_other_debt() -> None:
    machine = with_zones(1, 2)
    machine.hypervisor.faults.add(Fault("delete", "error", uid=uid(1), times=1))
    owe(machine, uid(1))
    machine.scheduler.advance(AT_ONCE_S)
    owe(machine, uid(2))
    machine.scheduler.advance(AT_ONCE_S)
    assert owed(machine) == {uid(1)}


def test_a_claim_that_cannot_be_given_back_holds_up_no_other_debt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = with_zones(1, 2)
    release = PlacementClient.release
    asked: list[str] = []

    def crowded(client: PlacementClient, uids: tuple[str, ...]) -> Future[None]:
        asked.extend(uids)
        if asked.count(uid(1)) > 1 or uid(1) not in uids:
            return release(client, uids)
        future: Future[None] = Future()
        future.fail(Conflict("others kept changing the same hosts", uids[0]))
        return future

    monkeypatch.setattr(PlacementClient, "release", crowded)
    owe(machine, uid(1), uid(2))
    machine.scheduler.advance(AT_ONCE_S)
    assert owed(machine) == {uid(1)}
    machine.scheduler.advance(limits.SETTLE_AGAIN_S)
    assert owed(machine) == set()
    assert not len(machine.catalog.claims)


def test_an_instance_that_is_owed_a_second_time_is_removed_a_second_time() -> None:
    machine = with_zones(1)
    owe(machine, uid(1))
    machine.scheduler.advance(AT_ONCE_S)
    machine.run("delete_instance", (uid(1),))
    ended = machine.run("create_instance", (uid(1),), bare_zone(1))
    assert ended.state == "done", ended.failure
    assert uid(1) in machine.hypervisor.guests
    owe(machine, uid(1))
    machine.scheduler.advance(AT_ONCE_S)
    assert owed(machine) == set()
    assert not machine.hypervisor.guests, "the agent did not answer from its record"


def test_a_debt_takes_nothing_from_an_instance_that_has_its_place_on_another_host() -> None:
    machine = with_zones(1)
    entry = machine.catalog.claims.get(uid(1))
    assert entry is not None
    moved = msgspec.structs.replace(entry.record, host="00000000-0000-4000-8000-00000000a0ff")
    machine.catalog.store.txn(Txn(then=(Put(entry.key, records.encode(moved)),))).get()
    owe(machine, uid(1))
    machine.scheduler.advance(AT_ONCE_S)
    assert owed(machine) == set()
    assert not machine.hypervisor.guests
    assert machine.catalog.claims.record(uid(1)) == moved
    assert machine.catalog.specs.get(uid(1)) is not None


def test_what_a_host_owes_when_it_is_lost_waits_until_it_greets() -> None:
    machine = with_zones(1)
    lose(machine)
    wait_for(machine, "unreachable", 20.0)
    owe(machine, uid(1))
    machine.scheduler.advance(2 * limits.SETTLE_AGAIN_S)
    assert owed(machine) == {uid(1)}
    machine.hypervisor.faults.clear()
    machine.scheduler.advance(120.0)
    assert owed(machine) == set()
    assert not machine.hypervisor.guests


def test_a_spec_that_a_host_did_not_take_at_its_greeting_is_brought_a_while_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = with_zones(1)
    entry = machine.catalog.specs.get(uid(1))
    assert entry is not None
    newer = msgspec.structs.replace(entry.record, wanted="stopped", generation=2)
    machine.catalog.store.txn(Txn(then=(Put(entry.key, records.encode(newer)),))).get()
    machine.kill()
    command = LocalLink.command
    asked: list[Command] = []

    def busy(link: LocalLink, order: Command) -> Future[CommandResult]:
        asked.append(order)
        if len(asked) > 1:
            return command(link, order)
        failure = failure_of(Unavailable("too many commands are under way", HYPERVISOR))
        future: Future[CommandResult] = Future()
        future.set(CommandResult(order.operation, order.step, order.uid, failure))
        return future

    monkeypatch.setattr(LocalLink, "command", busy)
    machine.start()
    machine.scheduler.advance(AT_ONCE_S)
    assert machine.hypervisor.guests[uid(1)].running
    machine.scheduler.advance(limits.SETTLE_AGAIN_S + AT_ONCE_S)
    assert [order.verb for order in asked] == ["realise", "realise"]
    assert not machine.hypervisor.guests[uid(1)].running


@pytest.mark.parametrize("made_from", ["zone", "boot disk"])
def test_a_host_that_lost_everything_is_brought_the_image_with_the_spec(made_from: str) -> None:
    machine = Machine()
    write_image(machine)
    spec = zone(1, nics=(), image=IMAGE)
    if made_from == "boot disk":
        disk = Disk(path="vda", boot=True, image=IMAGE, size=10)
        spec = zone(1, nics=(), brand="kvm", disks=(disk,))
    ended = machine.run("create_instance", (uid(1),), spec)
    assert ended.state == "done", ended.failure
    machine.kill()
    machine.agent_disk = MemoryDisk("2" * 32)
    machine.hypervisor.guests.clear()
    machine.hypervisor.images.clear()
    machine.start()
    machine.scheduler.advance(60.0)
    assert state(machine) == ("failed", MISSING)
    assert not machine.hypervisor.guests
    assert start(machine).state == "done"
    assert state(machine) == ("running", "")
    assert IMAGE in machine.hypervisor.images


def go_back(machine: Machine, disk: MemoryDisk) -> None:
    """Begin anew with an older store, as after a restore; host and agent are as they are."""
    machine.kill()
    machine.disk = disk
    machine.start()
    machine.scheduler.advance(60.0)


def deleted_since_a_backup(**more: Any) -> Machine:
    """Have an instance that a restored store has and its host has not."""
    machine = Machine()
    machine.run("create_instance", (uid(1),), zone(1, nics=(), **more))
    machine.scheduler.advance(1.0)
    backup = copy.deepcopy(machine.disk)
    backup.taken = False
    assert machine.run("delete_instance", (uid(1),)).state == "done"
    go_back(machine, backup)
    return machine


def state(machine: Machine) -> tuple[str, str]:
    status = machine.catalog.statuses.record(uid(1))
    assert status is not None
    return status.state, status.reason


def start(machine: Machine) -> Operation:
    """Ask for it again, in a generation of its own."""
    spec = machine.catalog.specs.record(uid(1))
    assert spec is not None
    newer = msgspec.structs.replace(spec, generation=spec.generation + 1, wanted="running")
    return machine.run("start_instance", (uid(1),), newer)


def test_what_was_deleted_since_a_backup_is_not_made_anew_by_its_restore() -> None:
    machine = deleted_since_a_backup()
    assert state(machine) == ("failed", MISSING)
    assert not machine.hypervisor.guests
    last = records.decode(StoryEvent, story(machine)[-1].value)
    told = f"{MISSING}: start it to have it made anew, empty, or delete it"
    assert (last.kind, last.text) == ("failed", told)
    go_back(machine, machine.disk)
    assert state(machine) == ("failed", MISSING)
    assert start(machine).state == "done"
    assert state(machine) == ("running", "")
    last = records.decode(StoryEvent, story(machine)[-1].value)
    assert last.text.startswith("made anew, without what was lost, and started in ")
    assert machine.hypervisor.guests[uid(1)].start_id == 2


def test_what_was_deleted_since_a_backup_can_be_deleted_again() -> None:
    machine = deleted_since_a_backup()
    assert machine.run("delete_instance", (uid(1),)).state == "done"
    assert machine.catalog.specs.get(uid(1)) is None


def test_what_a_backup_has_that_was_never_started_is_made_by_its_restore() -> None:
    machine = deleted_since_a_backup(wanted="stopped")
    assert state(machine) == ("stopped", "")
    assert uid(1) in machine.hypervisor.guests


def test_what_runs_on_a_host_whose_agent_forgot_all_is_taken_over_untouched() -> None:
    machine = with_zones(1)
    before = machine.hypervisor.guests[uid(1)].observed()
    machine.kill()
    machine.agent_disk = MemoryDisk("2" * 32)
    machine.start()
    machine.scheduler.advance(60.0)
    assert machine.hypervisor.guests[uid(1)].observed() == before
    assert state(machine) == ("running", "")
    kinds = [records.decode(StoryEvent, kv.value).kind for kv in story(machine)]
    assert kinds == ["adopted", "updated"], "a new journal's numbers begin with the first again"


def test_nothing_is_left_of_an_instance_that_a_lost_host_removed_later() -> None:
    machine = with_zones(1)
    lose(machine)
    wait_for(machine, "unreachable", 20.0)
    assert machine.run("delete_instance", (uid(1),)).state == "failed"
    assert story(machine)
    machine.hypervisor.faults.clear()
    machine.scheduler.advance(120.0)
    assert owed(machine) == set()
    assert machine.catalog.specs.get(uid(1)) is None
    assert uid(1) not in machine.catalog.ids.values()
    assert not story(machine)


def test_nothing_is_left_of_a_create_that_was_undone() -> None:
    machine = Machine()
    machine.hypervisor.faults.add(Fault("create", "error"))
    assert machine.run("create_instance", (uid(1),), bare_zone()).state == "failed"
    assert machine.catalog.specs.get(uid(1)) is None
    assert uid(1) not in machine.catalog.ids.values()
    assert not story(machine)


def test_what_is_still_wanted_keeps_its_records_when_its_host_has_removed_it() -> None:
    machine = with_zones(1)
    told = story(machine)
    owe(machine, uid(1))
    machine.scheduler.advance(AT_ONCE_S)
    assert owed(machine) == set()
    assert machine.catalog.specs.get(uid(1)) is not None
    assert uid(1) in machine.catalog.ids.values()
    assert len(story(machine)) >= len(told)
