"""The memory engine under faults, in virtual time: what is durable, what is not, who is told."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from fifo.model.errors import (
    FifoError,
    LeaseNotFound,
    OutcomeUnknown,
    StoreClosed,
    StoreFull,
    StoreOverloaded,
    StoreTaken,
)
from fifo.store import limits
from fifo.store.contract import (
    FAILED,
    Delivery,
    Get,
    Put,
    RangeReply,
    Txn,
    WatchBatch,
    WatchEnded,
    absent,
    exists,
)
from fifo.store.faults import DrawnFaults, Fate, ScriptedFaults
from fifo.store.intervals import TO_END
from fifo.store.memory import MemoryDisk, MemoryStore
from supervisors import Future, GenServer, SimulatedHost


class World:
    """A memory store whose commits have scripted fates."""

    def __init__(self, **fates: Fate) -> None:
        self.host = SimulatedHost()
        self.node = self.host.node(log_reports=False)
        self.disk = MemoryDisk("0" * 32)
        script = {int(number.removeprefix("commit_")): fate for number, fate in fates.items()}
        self.store = MemoryStore(self.node, self.disk, faults=ScriptedFaults(script))

    def open_again(self) -> MemoryStore:
        self.host.run_ready()
        self.store = MemoryStore(self.node, self.disk)
        return self.store

    def names(self) -> list[bytes]:
        return [kv.key for kv in self.store.range(b"\0", TO_END).get().kvs]


def test_a_commit_is_durable_only_after_the_turn_that_asked_for_it() -> None:
    world = World()
    future = world.store.put(b"a", b"")
    assert not future.done()
    assert world.store.revision == 1
    assert world.store.get(b"a").get().kvs == ()
    assert future.get().revision == 2


def test_a_refused_commit_leaves_nothing_and_the_next_ones_go_on() -> None:
    world = World(commit_2=Fate("refused"))
    world.store.put(b"a", b"1").get()
    lease = world.store.grant(5)
    failed: list[Future[Any]] = [
        lease,
        world.store.put(b"a", b"2"),
        world.store.delete(b"a"),
        world.store.put(b"b", b"1"),
        world.store.txn(Txn((exists(b"b"),), (Get(b"a"),))),
    ]
    for future in failed:
        with pytest.raises(StoreFull):
            future.get()
    assert world.store.revision == 2
    assert world.store.get(b"a").get().kvs[0].value == b"1"
    statistics = world.store.statistics()
    assert (statistics.keys, statistics.live_bytes, statistics.leases) == (1, 2, 0)
    assert statistics.failed_commits == 4
    assert world.store.put(b"b", b"").get().revision == 3
    assert world.names() == [b"a", b"b"]


def test_a_lease_whose_end_was_refused_ends_later() -> None:
    world = World(commit_3=Fate("refused"), commit_4=Fate("refused"))
    lease = world.store.grant(5).get()
    world.store.put(b"a", b"", lease=lease).get()
    with pytest.raises(StoreFull):
        world.store.revoke(lease).get()
    assert world.store.keep_alive(lease).get() == 5
    world.host.advance(5.1)
    assert world.names() == [b"a"]
    world.host.advance(1.1)
    assert world.names() == []
    with pytest.raises(LeaseNotFound):
        world.store.keep_alive(lease).get()


def test_a_lost_reply_leaves_the_commit_done() -> None:
    world = World(commit_1=Fate("reply lost"))
    told: list[Delivery] = []
    world.store.watch(b"a", None, 0, told.append)
    with pytest.raises(OutcomeUnknown, match="read before repeating it"):
        world.store.put(b"a", b"").get()
    assert world.names() == [b"a"]
    assert len(told) == 1
    reply = world.store.txn(Txn((absent(b"a"),), (Put(b"a", b"again"),))).get()
    assert not reply.succeeded


def test_a_slow_commit_holds_up_what_is_behind_it_and_no_read() -> None:
    world = World(commit_2=Fate(delay_s=3.0))
    world.store.put(b"a", b"1").get()
    slow, behind = world.store.put(b"a", b"2"), world.store.put(b"b", b"")
    judged = world.store.txn(Txn((exists(b"b"),), (Get(b"b"),)))
    world.host.advance(2.9)
    assert not slow.done()
    assert world.store.get(b"a").get().kvs[0].value == b"1"
    assert world.store.get(b"b").get().kvs == ()
    # What was judged by a commit that is not durable must not be told before it is.
    assert not judged.done()
    world.host.advance(0.2)
    assert (slow.result().revision, behind.result().revision) == (3, 4)
    (found,) = judged.result().responses
    assert isinstance(found, RangeReply)
    assert [kv.mod_revision for kv in found.kvs] == [4]


def test_reads_of_a_range_see_the_durable_state_of_keys_that_are_being_written() -> None:
    world = World(commit_4=Fate(delay_s=1.0))
    for key in (b"a", b"b", b"c"):
        world.store.put(key, b"old").get()
    world.store.delete(b"b")
    world.store.put(b"c", b"new")
    world.store.put(b"bb", b"new")
    world.store.put(b"c", b"newer")
    kvs = world.store.range(b"a", b"d").get().kvs
    assert [(kv.key, kv.value) for kv in kvs] == [
        (b"a", b"old"),
        (b"b", b"old"),
        (b"c", b"old"),
    ]
    world.host.advance(1.0)
    kvs = world.store.range(b"a", b"d").get().kvs
    assert [(kv.key, kv.value) for kv in kvs] == [
        (b"a", b"old"),
        (b"bb", b"new"),
        (b"c", b"newer"),
    ]


@pytest.mark.parametrize(
    ("outcome", "left"), [("crash before", [b"a"]), ("crash after", [b"a", b"b"])]
)
def test_a_crash_loses_what_was_not_durable_and_nothing_else(
    outcome: str, left: list[bytes]
) -> None:
    world = World(commit_2=Fate(outcome))  # type: ignore[arg-type]
    told: list[Delivery] = []
    world.store.watch(b"a", TO_END, 0, told.append)
    world.store.put(b"a", b"").get()
    ended = world.store.ended
    for future in [world.store.put(b"b", b""), world.store.put(b"c", b"")]:
        with pytest.raises(OutcomeUnknown):
            future.get()
    with pytest.raises(StoreClosed, match="crashed"):
        ended.get()
    with pytest.raises(StoreClosed, match="open it again"):
        world.store.get(b"a").get()
    assert told[-1] == WatchEnded(FAILED, 2)
    world.open_again()
    assert world.names() == left
    assert world.store.revision == len(left) + 1


def test_a_watch_resumed_after_a_crash_has_no_gap() -> None:
    world = World(commit_3=Fate("crash after"))
    told: list[Delivery] = []
    world.store.watch(b"a", TO_END, 0, told.append)
    for key in (b"a", b"b"):
        world.store.put(key, b"").get()
    with pytest.raises(OutcomeUnknown):
        world.store.put(b"c", b"").get()
    world.host.run_ready()
    end = told.pop()
    assert isinstance(end, WatchEnded)
    world.open_again().watch(b"a", TO_END, end.last_revision + 1, told.append)
    world.store.put(b"d", b"").get()
    seen = [kv for batch in told if isinstance(batch, WatchBatch) for kv in batch.events]
    assert [kv.mod_revision for kv in seen] == [2, 3, 4, 5]


def test_one_store_at_a_time_has_a_disk() -> None:
    world = World()
    with pytest.raises(StoreTaken, match="close that one first"):
        MemoryStore(world.node, world.disk)
    world.store.close().get()
    world.open_again()


def test_too_many_commits_that_wait_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PENDING_TXNS", 3)
    world = World()
    futures = [world.store.put(b"%d" % number, b"") for number in range(5)]
    world.host.run_ready()
    assert [future.result().revision for future in futures[:3]] == [2, 3, 4]
    for future in futures[3:]:
        with pytest.raises(StoreOverloaded, match="slow down"):
            future.result()
    monkeypatch.setattr(limits, "PENDING_BYTES", 10)
    world.store.put(b"a", b"12345")
    with pytest.raises(StoreOverloaded):
        world.store.put(b"b", b"12345").get()


def test_closing_finishes_what_waits() -> None:
    world = World(commit_1=Fate(delay_s=1.0))
    written = world.store.put(b"a", b"")
    closed = world.store.close()
    world.host.run_ready()
    with pytest.raises(StoreClosed, match="it was closed"):
        world.store.put(b"b", b"").get()
    with pytest.raises(StoreClosed):
        world.store.watch(b"a", None, 0, lambda _: None)
    assert closed.get() is None
    assert written.result().revision == 2
    assert world.store.close().get() is None


def test_a_turn_that_was_ended_in_the_middle_of_a_txn_stops_the_store() -> None:
    """The watchdog raises into a turn wherever it is: the half of a txn must not be seen."""
    world = World()
    world.store.put(b"a", b"1").get()
    send = world.store._pipeline.send
    world.store._pipeline.send = _interrupt  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        world.store.put(b"a", b"2")
    world.store._pipeline.send = send  # type: ignore[method-assign]
    with pytest.raises(StoreClosed, match="open it again"):
        world.store.get(b"a").get()
    world.open_again()
    assert world.store.get(b"a").get().kvs[0].value == b"1"


def _interrupt(commit: object) -> None:
    raise KeyboardInterrupt


def test_drawn_faults_replay_from_their_seed() -> None:
    def run(seed: int) -> list[str]:
        world = World()
        faults = DrawnFaults(Random(seed), refused=0.2, reply_lost=0.2, delayed=0.5)
        world.store._faults = faults
        outcomes = []
        for number in range(40):
            try:
                world.store.put(b"k%d" % (number % 5), b"").get()
                outcomes.append("done")
            except FifoError as error:
                outcomes.append(type(error).__name__)
        return outcomes

    assert run(7) == run(7)
    assert set(run(7)) == {"done", "StoreFull", "OutcomeUnknown"}


class Writer(GenServer):
    """Claims a key and says who has it."""

    def init(self, store: MemoryStore) -> None:
        self.store = store

    async def handle_call(self, message: bytes, caller: object) -> tuple[bool, bytes]:
        claim = Txn((absent(b"owner"),), (Put(b"owner", message),))
        won = (await self.store.txn(claim)).succeeded
        (kv,) = (await self.store.get(b"owner")).kvs
        return won, kv.value


@pytest.mark.parametrize("seed", range(5))
def test_handlers_await_the_store_on_the_simulated_host(seed: int) -> None:
    host = SimulatedHost(seed=seed)
    node = host.node(log_reports=False)
    faults = DrawnFaults(Random(seed), delayed=0.5)
    store = MemoryStore(node, faults=faults)
    calls = [node.start(Writer, store).get().call(name) for name in (b"one", b"two", b"three")]
    answers = [call.get() for call in calls]
    assert sum(won for won, _ in answers) == 1
    assert len({owner for _, owner in answers}) == 1
