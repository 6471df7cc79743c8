"""What the stories of instances say when their host's agent had to drop reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from fifo.agent import limits
from fifo.api.resources import events
from fifo.cli.serving.tree import ROOT
from fifo.fleet.supervisor import FLEET, SESSIONS
from fifo.model import keys
from fifo.model.instance import Exit, RestartPolicy
from fifo.model.link import JournalEntry, Report
from supervisors import restart_child, terminate_child
from tests.simulation.machine import HYPERVISOR, Machine
from tests.simulation.test_cut_off import story
from tests.simulation.test_one_machine import bare_zone
from tests.simulation.test_sight import wait_for
from tests.workflows.stage import uid

if TYPE_CHECKING:
    from fifo.model.story import StoryEvent

PATIENT = RestartPolicy(when="always", first_s=1.0, most_s=1.0, factor=1.0, attempts=99)


def made(machine: Machine, number: int) -> None:
    spec = msgspec.structs.replace(bare_zone(number), restart=PATIENT, create_time=machine.utc())
    assert machine.run("create_instance", (uid(number),), spec).state == "done"


def marks(machine: Machine, number: int) -> list[StoryEvent]:
    return [event for event in story(machine, number) if event.kind == "reports_dropped"]


@pytest.fixture
def bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "JOURNAL_ENTRIES", 20)
    monkeypatch.setattr(limits, "JOURNAL_DROP_ENTRIES", 5)


@pytest.mark.usefixtures("bounded")
def test_an_agent_that_nobody_heard_for_too_long_marks_where_its_reports_were() -> None:
    machine = Machine()
    for number in (1, 2):
        made(machine, number)
    before = [event.kind for event in story(machine, 1)]
    terminate_child(machine.node.address(FLEET), SESSIONS).get()
    for _ in range(20):
        machine.hypervisor.end(uid(1), Exit(at=machine.utc(), code=1))
        machine.scheduler.advance(3.0)
    restart_child(machine.node.address(FLEET), SESSIONS).get()
    terminate_child(machine.node.address(ROOT), "hosts").get()
    restart_child(machine.node.address(ROOT), "hosts").get()
    wait_for(machine, "ready", 60.0)
    machine.scheduler.advance(5.0)
    (mark,) = marks(machine, 1)
    (agent,) = machine.parts.agents
    assert mark.figures == {"dropped": str(agent.journal.dropped)}
    assert agent.journal.dropped > 0
    kinds = [event.kind for event in story(machine, 1)]
    place = kinds.index("reports_dropped")
    assert kinds[:place] == before, "it stands behind what was told before"
    assert "ended" in kinds[place + 1 :], "and before what was kept"
    # Nobody knows whose the reports were.
    assert marks(machine, 2) == [msgspec.structs.replace(mark, uid=uid(2))]
    prefix = keys.stories(uid(1))
    stored = machine.catalog.store.range(prefix, keys.end_of(prefix)).get().kvs[place]
    assert events.message(machine.catalog, stored).kind == events.Message.REPORTS_DROPPED


def test_a_mark_is_written_once_for_those_that_were_there_and_nothing_is_lost_behind_it() -> None:
    machine = Machine()
    made(machine, 1)
    at = machine.utc()
    machine.scheduler.advance(10.0)
    made(machine, 2)
    last = 10_000
    mark = JournalEntry(sequence=last, at=at, uid="", dropped=7)
    told = story(machine, 1)[-1]
    later = JournalEntry(sequence=last + 1, at=at, uid=uid(1), event=told)
    session = machine.node.address(("session", HYPERVISOR))
    for entries in ((mark, later), (mark, later)):
        session.cast(Report(host=HYPERVISOR, entries=entries))
        machine.scheduler.advance(1.0)
    assert [event.figures for event in marks(machine, 1)] == [{"dropped": "7"}]
    assert story(machine, 1)[-1] == told
    assert marks(machine, 2) == [], "it was made after what was dropped"


def test_a_mark_takes_no_place_of_an_event_that_was_written_and_not_acknowledged() -> None:
    machine = Machine()
    made(machine, 1)
    before = story(machine, 1)
    prefix = keys.stories(uid(1))
    stored = machine.catalog.store.range(prefix, keys.end_of(prefix)).get().kvs
    last, _ = keys.story_number(stored[-1].key)
    mark = JournalEntry(sequence=last, at=machine.utc(), uid="", dropped=7)
    for _ in range(2):
        # A session that has taken nothing yet, as one that took over from who wrote the event.
        terminate_child(machine.node.address(FLEET), SESSIONS).get()
        restart_child(machine.node.address(FLEET), SESSIONS).get()
        terminate_child(machine.node.address(ROOT), "hosts").get()
        restart_child(machine.node.address(ROOT), "hosts").get()
        machine.scheduler.advance(10.0)
        session = machine.node.address(("session", HYPERVISOR))
        session.cast(Report(host=HYPERVISOR, entries=(mark,)))
        machine.scheduler.advance(1.0)
    told = [event for event in story(machine, 1) if event.kind != "cut_off"]
    assert told[: len(before)] == before
    (missing,) = told[len(before) :]
    assert (missing.kind, missing.figures) == ("reports_dropped", {"dropped": "7"})
