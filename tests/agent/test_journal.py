"""The journal: numbered without gap, told in order, whatever ends when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fifo.agent import limits, names
from fifo.agent.gateway import SWEEP
from fifo.agent.intent import KeptResult
from fifo.agent.journal import NUMBERS
from fifo.agent.writes import Write
from fifo.model import keys, records
from fifo.model.link import CommandResult, JournalEntry
from fifo.store.contract import Put, Txn
from fifo.store.faults import NO_FAULTS, Fate, ScriptedFaults
from tests.agent.world import HOST, AgentWorld, newer, spec_of

if TYPE_CHECKING:
    from fifo.model.instance import InstanceSpec
    from fifo.store.faults import Outcome


def life(world: AgentWorld) -> InstanceSpec:
    """Create an instance, kill it, stop it; each is repeated until it is answered."""
    spec = spec_of(1)
    stopped = newer(spec, wanted="stopped")
    for wanted, state in ((spec, "running"), (stopped, "stopped")):
        answered = False

        def ask(wanted: InstanceSpec = wanted, state: str = state) -> bool:
            nonlocal answered
            if not answered:
                future = world.send("realise", wanted.uid, operation=state, spec=wanted,
                                    claim=world.claim(wanted))  # fmt: skip
                world.time.run_ready()
                answered = future.done() and future._status != 2
            return answered and world.is_in(wanted.uid, state)

        world.until(ask, step_s=0.1)
        if state == "running":
            world.host.end(wanted.uid)
            world.until(lambda: world.host.find(spec.uid).start_id >= 2)
    return stopped


def stored(world: AgentWorld) -> list[JournalEntry]:
    """Read the journal from the disk."""
    return [
        records.decode(JournalEntry, versions[-1].value)
        for key, versions in sorted(world.disk.versions.items())
        if key.startswith(keys.AGENT_JOURNAL) and versions[-1].version
    ]


def check(world: AgentWorld, spec: InstanceSpec) -> None:
    """The journal has no gap and ends as the host is."""
    world.time.advance(5.0)
    entries = stored(world)
    assert [entry.sequence for entry in entries] == list(range(1, len(entries) + 1))
    statuses = [entry.status for entry in entries if entry.status is not None]
    assert (statuses[-1].state, statuses[-1].generation) == ("stopped", 2)
    starts = [status.start_id for status in statuses]
    assert starts == sorted(starts)
    assert not world.host.find(spec.uid).running
    # A start that nobody knows the outcome of has used its number up.
    assert world.host.find(spec.uid).start_id in {2, 3}
    ends = [entry.event.kind for entry in entries if entry.event is not None]
    assert ends.count("ended") == 1


COMMITS = 11
"""More than the life above makes."""


def test_the_life_makes_fewer_commits_than_are_walked() -> None:
    world = AgentWorld()
    spec = life(world)
    check(world, spec)
    assert 5 < world.stores[0]._number < COMMITS


@pytest.mark.parametrize("number", range(1, COMMITS + 1))
@pytest.mark.parametrize("outcome", ["crash before", "crash after", "reply lost", "refused"])
def test_no_commit_that_goes_wrong_leaves_a_gap_or_a_double(outcome: Outcome, number: int) -> None:
    world = AgentWorld(seed=number, faults=ScriptedFaults({number: Fate(outcome)}))
    check(world, life(world))


PARTS = [
    names.journal(HOST), names.driver(HOST), names.tasks(HOST), names.image_cache(HOST),
    names.zones(HOST), names.reporter(HOST), names.gateway(HOST), names.store(HOST),
    names.agent(HOST), names.instance(HOST, spec_of(1).uid),
]  # fmt: skip


@pytest.mark.parametrize("part", PARTS, ids=str)
@pytest.mark.parametrize("turns", [1, 5, 10, 20, 40, 80])
def test_no_part_that_is_killed_leaves_a_gap_or_a_double(part: names.Name, turns: int) -> None:
    world = AgentWorld(seed=turns)
    world.time.after_turns(turns, lambda: world.kill_if_there(part))
    check(world, life(world))


def test_a_session_is_told_in_order_and_what_it_acknowledges_is_dropped() -> None:
    world = AgentWorld()
    world.attach()
    life(world)
    world.time.advance(1.0)
    sequences = [entry.sequence for entry in world.reported()]
    assert sequences == list(range(1, len(sequences) + 1))
    world.time.run_ready()
    assert stored(world) == []
    numbers = world.node.address(names.journal(HOST)).call(NUMBERS).get()
    assert numbers.first_unacknowledged == numbers.next_sequence == len(sequences) + 1


def test_numbers_go_on_after_all_was_acknowledged_and_the_agent_began_anew() -> None:
    world = AgentWorld()
    world.attach()
    spec = life(world)
    world.time.advance(1.0)
    last = world.reported()[-1].sequence
    world.crash_agent()
    world.start_agent()
    hello = world.attach()
    assert hello.next_sequence == last + 1
    world.realise(newer(spec, wanted="running"))
    world.await_state(spec.uid, "running")
    world.time.advance(1.0)
    assert world.reported()[0].sequence == last + 1


def test_a_session_that_does_not_acknowledge_is_told_again_and_no_more_than_that() -> None:
    world = AgentWorld()
    world.attach(acknowledges=False)
    life(world)
    world.time.advance(3 * limits.RESEND_S)
    first = [entry.sequence for entry in world.reported()]
    assert first[0] == 1
    hello = world.attach()
    assert hello.first_unacknowledged == 1
    world.time.advance(1.0)
    assert [entry.sequence for entry in world.reported()] == list(
        range(1, len(stored(world)) + 1)
    ) or (stored(world) == [])


def test_what_was_not_acknowledged_outlives_the_agent() -> None:
    world = AgentWorld()
    life(world)
    world.time.advance(1.0)
    before = stored(world)
    world.crash_agent()
    world.start_agent()
    world.attach()
    world.time.advance(1.0)
    assert world.reported() == before


def test_a_full_disk_stops_the_agent_and_not_the_instances() -> None:
    world = AgentWorld()
    spec = spec_of(1)
    world.realise(spec)
    world.await_state(spec.uid, "running")
    world.stores[-1]._faults = ScriptedFaults(dict.fromkeys(range(1, 200), Fate("refused")))
    answer = world.send("realise", spec.uid, spec=newer(spec, wanted="stopped"),
                        claim=world.claim(spec))  # fmt: skip
    world.time.advance(limits.WRITE_DEADLINE_S / 2)
    assert not answer.done()
    assert world.host.find(spec.uid).running
    world.time.advance(limits.WRITE_DEADLINE_S)
    world.stores[-1]._faults = NO_FAULTS
    assert answer.done()
    assert world.host.find(spec.uid).running
    world.await_state(spec.uid, "running")
    world.realise(newer(spec, wanted="stopped"))
    world.await_state(spec.uid, "stopped")


def test_a_journal_that_nobody_reads_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "JOURNAL_ENTRIES", 20)
    monkeypatch.setattr(limits, "JOURNAL_DROP_ENTRIES", 5)
    world = AgentWorld()
    spec = spec_of(1)
    for _ in range(30):
        world.realise(spec)
        world.await_state(spec.uid, spec.wanted)
        spec = newer(spec, wanted="stopped" if spec.wanted == "running" else "running")
    entries = stored(world)
    assert len(entries) <= 20
    hello = world.attach()
    assert hello.first_unacknowledged == entries[0].sequence > 1
    assert [status.uid for status in hello.statuses] == [spec.uid]
    world.time.advance(1.0)
    assert world.reported() == entries
    dropped = entries[0].dropped
    assert (entries[0].uid, dropped) == ("", entries[0].sequence), "all before were dropped"
    assert not any(entry.dropped for entry in entries[1:])
    assert world.settings.journal.dropped == dropped
    world.kill_if_there(names.journal(HOST))
    world.time.advance(1.0)
    assert world.settings.journal.dropped == dropped


def bound(monkeypatch: pytest.MonkeyPatch, entries: int, drops: int) -> None:
    monkeypatch.setattr(limits, "JOURNAL_ENTRIES", entries)
    monkeypatch.setattr(limits, "JOURNAL_DROP_ENTRIES", drops)


def marked(world: AgentWorld) -> list[JournalEntry]:
    """Give what is in a bounded journal that nobody has read: a mark of all that is gone."""
    world.time.advance(5.0)
    entries = stored(world)
    assert 0 < len(entries) <= limits.JOURNAL_ENTRIES
    first = entries[0].sequence
    assert [entry.sequence for entry in entries] == list(range(first, first + len(entries)))
    assert [entry.dropped for entry in entries] == [first] + [0] * (len(entries) - 1)
    return entries


BOUNDED_COMMITS = 20
"""More than the life makes with a journal that is bounded to a few entries."""


def test_a_bounded_life_makes_fewer_commits_than_are_walked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bound(monkeypatch, 2, 2)
    world = AgentWorld()
    life(world)
    assert marked(world)[0].sequence > limits.JOURNAL_DROP_ENTRIES, "it has dropped more than once"
    assert world.stores[0]._number < BOUNDED_COMMITS


@pytest.mark.parametrize("number", range(1, BOUNDED_COMMITS + 1))
@pytest.mark.parametrize("outcome", ["crash before", "crash after", "reply lost", "refused"])
def test_no_commit_that_goes_wrong_loses_a_mark_or_miscounts_it(
    monkeypatch: pytest.MonkeyPatch, outcome: Outcome, number: int
) -> None:
    bound(monkeypatch, 2, 2)
    world = AgentWorld(seed=number, faults=ScriptedFaults({number: Fate(outcome)}))
    life(world)
    entries = marked(world)
    world.crash_agent()
    world.start_agent()
    world.time.advance(1.0)
    assert world.attach().first_unacknowledged == entries[0].sequence
    world.time.advance(1.0)
    assert world.reported()[: len(entries)] == entries, "the mark is told first, and once"


@pytest.mark.parametrize("restarts", [False, True])
def test_a_mark_that_was_taken_over_counts_no_more(
    monkeypatch: pytest.MonkeyPatch, restarts: bool
) -> None:
    bound(monkeypatch, 4, 3)
    world = AgentWorld()
    world.attach()
    spec = life(world)
    world.time.advance(1.0)
    assert not any(entry.dropped for entry in world.reported())
    assert world.session is not None
    world.session.kill()
    for wanted in ("running", "stopped") * 3:
        spec = newer(spec, wanted=wanted)
        world.realise(spec)
        world.await_state(spec.uid, wanted)
    before = stored(world)[0]
    world.attach()
    world.time.advance(1.0)
    assert world.reported()[0] == before
    assert stored(world) == []
    world.session.kill()
    if restarts:
        world.crash_agent()
        world.start_agent()
    for wanted in ("running", "stopped") * 3:
        spec = newer(spec, wanted=wanted)
        world.realise(spec)
        world.await_state(spec.uid, wanted)
    world.time.advance(5.0)
    again = stored(world)[0]
    assert 0 < again.dropped < again.sequence - before.sequence


def keep_results(world: AgentWorld, ages_s: list[float]) -> None:
    """Have results on disk, by name in the order given, and begin anew from them."""
    for number, age_s in enumerate(ages_s):
        operation = f"kept-{number:04}"
        result = CommandResult(operation=operation, step="step", uid="u")
        kept = KeptResult(at=world.utc() - age_s, result=result)
        put = Put(keys.result(operation, "step", "u"), records.encode(kept))
        world.stores[-1].txn(Txn(then=(put,))).get()
    world.crash_agent()
    world.start_agent()
    world.attach()


def kept_on_disk(world: AgentWorld) -> list[str]:
    """List the operations whose results are on disk."""
    return [
        records.decode(KeptResult, versions[-1].value).result.operation
        for key, versions in sorted(world.disk.versions.items())
        if key.startswith(keys.AGENT_RESULT) and versions[-1].version
    ]


def test_a_sweep_of_many_results_and_other_writes_of_its_moment_are_all_written() -> None:
    world = AgentWorld()
    world.attach()
    keep_results(world, [2 * limits.RESULT_S] * 120)
    journal = world.node.whereis(names.journal(HOST))
    assert journal is not None
    journal.cast(Write(puts=(Put(b"agent/memory/x", b"y"),)))
    gateway = world.node.whereis(names.gateway(HOST))
    assert gateway is not None
    gateway.send(SWEEP)
    world.time.advance(1.0)
    assert world.node.whereis(names.journal(HOST)) == journal
    assert world.crashes() == []
    assert kept_on_disk(world) == []


def test_results_are_swept_by_age_after_the_agent_began_anew() -> None:
    world = AgentWorld()
    world.attach()
    keep_results(world, [0.0, 2 * limits.RESULT_S, 10.0])
    world.time.advance(limits.SWEEP_S + 1.0)
    assert kept_on_disk(world) == ["kept-0000", "kept-0002"]


def test_of_too_many_results_the_oldest_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RESULTS", 2)
    world = AgentWorld()
    world.attach()
    keep_results(world, [10.0, 30.0, 20.0, 40.0])
    world.time.advance(limits.SWEEP_S + 1.0)
    assert kept_on_disk(world) == ["kept-0000", "kept-0002"]


def test_a_journal_with_too_much_to_write_ends_and_begins_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "WRITES_WAITING", 20)
    world = AgentWorld(faults=ScriptedFaults({1: Fate(delay_s=10.0)}))
    world.until(lambda: world.node.whereis(names.gateway(HOST)) is not None)
    journal = world.node.whereis(names.journal(HOST))
    assert journal is not None
    for number in range(20):
        journal.cast(Write(puts=(Put(b"agent/x/%d" % number, b"y"),)))
        world.time.run_ready()
    assert journal.is_alive()
    for number in range(20):
        journal.cast(Write(puts=(Put(b"agent/y/%d" % number, b"y"),)))
    world.time.run_ready()
    assert not journal.is_alive()
    assert any("wait for the disk" in crash for crash in world.crashes())
    spec = spec_of(1)
    world.time.advance(30.0)
    world.realise(spec)
    world.await_state(spec.uid, "running")
