"""What an instance's story says when its host is lost, and when it is heard of again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fifo.fleet import limits
from fifo.fleet.hosts import session_name
from fifo.hypervisors.simulated.faults import Fault
from fifo.model import keys, records
from fifo.model import limits as model_limits
from fifo.model.instance import Exit
from fifo.model.story import StoryEvent
from fifo.store.contract import Txn
from tests.simulation.machine import HYPERVISOR, Machine
from tests.simulation.test_one_machine import bare_zone
from tests.simulation.test_sight import lose_sight, wait_for
from tests.workflows.stage import uid

if TYPE_CHECKING:
    from fifo.model.hypervisor import HypervisorStatus


def story(machine: Machine, number: int) -> list[StoryEvent]:
    """Read an instance's story in the order of its keys."""
    prefix = keys.stories(uid(number))
    found = machine.catalog.store.range(prefix, keys.end_of(prefix)).get().kvs
    return [records.decode(StoryEvent, kv.value, kv.key.decode()) for kv in found]


def told(machine: Machine, number: int = 1) -> list[str]:
    return [event.text for event in story(machine, number) if event.kind == "cut_off"]


def status(machine: Machine) -> HypervisorStatus:
    found = machine.catalog.host_statuses.record(HYPERVISOR)
    assert found is not None
    return found


def lose_and_find(machine: Machine) -> None:
    lose_sight(machine, 60.0)
    wait_for(machine, "unreachable", 20.0)
    machine.hypervisor.faults.clear()
    wait_for(machine, "ready", 120.0)


def test_a_host_that_is_lost_and_found_stands_in_the_stories_of_its_instances() -> None:
    machine = Machine()
    machine.run("create_instance", (uid(1),), bare_zone())
    lose_sight(machine, 60.0)
    wait_for(machine, "unreachable", 20.0)
    assert "the keeper is gone" in status(machine).reason
    (lost,) = told(machine)
    assert lost == f"its host is unreachable: {status(machine).reason}"
    assert story(machine, 1)[-1].host == HYPERVISOR
    machine.hypervisor.faults.clear()
    wait_for(machine, "ready", 120.0)
    assert status(machine).reason == ""
    _, found = told(machine)
    assert found.startswith("its host is heard of again, after ")
    away_s = float(story(machine, 1)[-1].figures["away_s"])
    assert 1.0 < away_s < 120.0
    machine.hypervisor.end(uid(1), Exit(at=machine.utc(), signal=9))
    machine.scheduler.advance(5.0)
    kinds = [event.kind for event in story(machine, 1)]
    assert kinds.count("cut_off") == 2
    assert kinds.index("created") < kinds.index("cut_off") < kinds.index("ended")


def test_each_instance_of_a_host_is_told_of_however_many_there_are() -> None:
    machine = Machine()
    many = limits.REPORT_ENTRIES * 2 + 5
    for number in range(1, many + 1):
        machine.submit("create_instance", (uid(number),), bare_zone(number))
    machine.scheduler.advance(30.0)
    lose_and_find(machine)
    assert all(len(told(machine, number)) == 2 for number in range(1, many + 1))


def test_a_story_keeps_to_its_bound_when_a_host_comes_and_goes() -> None:
    machine = Machine()
    machine.run("create_instance", (uid(1),), bare_zone())
    lose_and_find(machine)
    stories = machine.node.address(session_name(HYPERVISOR))._process.reporting.stories
    for number in range(1_000, 1_000 + model_limits.STORY_EVENTS):
        event = story(machine, 1)[0]
        writes = tuple(stories.add(event, number))
        machine.catalog.store.txn(Txn(then=writes)).get()
    lose_and_find(machine)
    assert len(story(machine, 1)) == model_limits.STORY_EVENTS
    assert [event.kind for event in story(machine, 1)[-2:]] == ["cut_off", "cut_off"]


def test_a_session_that_ends_while_its_host_is_away_tells_nothing_twice() -> None:
    machine = Machine()
    machine.run("create_instance", (uid(1),), bare_zone())
    machine.hypervisor.faults.add(Fault("probe", "hang"))
    machine.hypervisor.break_events("the keeper is gone")
    wait_for(machine, "unreachable", 20.0)
    machine.node.address(session_name(HYPERVISOR)).kill()
    machine.scheduler.advance(2 * limits.MISSED_S)
    assert len(told(machine)) == 1
    machine.hypervisor.faults.clear()
    wait_for(machine, "ready", 400.0)
    assert len(told(machine)) == 2


def test_a_start_of_the_node_is_no_news_but_a_host_that_stays_away_is() -> None:
    machine = Machine()
    machine.run("create_instance", (uid(1),), bare_zone())
    machine.kill()
    machine.start()
    machine.scheduler.advance(limits.MISSED_S + 10.0)
    assert status(machine).condition == "ready"
    assert told(machine) == []
    machine.kill()
    machine.hypervisor.faults.add(Fault("probe", "hang"))
    machine.start()
    machine.scheduler.advance(limits.MISSED_S / 2)
    assert status(machine).condition == "unreachable"
    assert told(machine) == []
    machine.scheduler.advance(limits.MISSED_S)
    assert len(told(machine)) == 1
    machine.hypervisor.faults.clear()
    wait_for(machine, "ready", 120.0)
    assert len(told(machine)) == 2


def test_a_create_waits_for_a_host_whose_absence_only_the_node_before_has_told_of() -> None:
    machine = Machine()
    machine.run("create_instance", (uid(1),), bare_zone())
    machine.hypervisor.faults.add(Fault("probe", "hang"))
    machine.hypervisor.break_events("the keeper is gone")
    wait_for(machine, "unreachable", 20.0)
    assert status(machine).told
    machine.kill()
    machine.start()
    operation = machine.submit("create_instance", (uid(2),), bare_zone(2))
    machine.scheduler.advance(5.0)
    found = machine.catalog.operations.record(operation.id)
    assert found is not None
    assert (status(machine).condition, found.final) == ("unreachable", False)
    machine.hypervisor.faults.clear()
    wait_for(machine, "ready", 60.0)
    machine.scheduler.advance(10.0)
    found = machine.catalog.operations.record(operation.id)
    assert found is not None
    assert found.state == "done"
