"""Who waits for an entry of the catalog gets it, or leaves without a trace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fifo.model import keys, records
from fifo.model.package import Package
from fifo.store.catalog import Catalog
from fifo.store.contract import Delete, Put, Txn
from fifo.store.memory import MemoryDisk, MemoryStore
from supervisors import GenServer, SimulatedHost

if TYPE_CHECKING:
    from fifo.store.catalog import Entry, Waiting

UID = "00000000-0000-4000-8000-00000000d001"


class Loader(GenServer):
    """Loads a catalog in a process, where it can be awaited."""

    async def init(self, catalog: Catalog) -> None:
        await catalog.load()


class Stage:
    """A catalog of a store in memory, and one package that is written and deleted."""

    def __init__(self) -> None:
        self.host = SimulatedHost(seed=0)
        node = self.host.node("control", log_reports=False)
        self.store = MemoryStore(node, MemoryDisk("0" * 32))
        self.catalog = Catalog(self.store)
        node.start(Loader, self.catalog).get()

    def write(self, *, memory: int | None) -> None:
        """Write the package with so much memory, or delete it."""
        key = keys.by_uid(keys.PACKAGE, UID)
        change: Put | Delete = Delete(key)
        if memory is not None:
            package = Package(uid=UID, id="small", create_time=0.0, max_physical_memory=memory)
            change = Put(key, records.encode(package))
        assert self.store.txn(Txn(then=(change,))).get().succeeded
        self.host.run_ready()

    def when(self, memory: int) -> Waiting[Package]:
        """Wait until the package has so much memory."""

        def has(entry: Entry[Package] | None) -> bool:
            return entry is not None and entry.record.max_physical_memory == memory

        return self.catalog.when(self.catalog.packages, UID, has)


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_who_waits_gets_the_entry_once_it_is_as_wanted(stage: Stage) -> None:
    waiting = stage.when(512)
    stage.write(memory=256)
    assert not waiting.done()
    stage.write(memory=512)
    entry = waiting.get()
    assert entry is not None
    assert entry.record.max_physical_memory == 512
    assert not stage.catalog.waiting


def test_who_wants_what_is_there_waits_for_nothing(stage: Stage) -> None:
    stage.write(memory=512)
    assert stage.when(512).done()
    gone = stage.catalog.when(stage.catalog.packages, "no such", lambda entry: entry is None)
    assert gone.get() is None
    assert not stage.catalog.waiting


def test_who_cancels_is_forgotten_and_never_told(stage: Stage) -> None:
    stays, leaves = stage.when(512), stage.when(512)
    leaves.cancel()
    leaves.cancel()
    stage.write(memory=512)
    assert stays.done()
    assert not leaves.done()
    stays.cancel()
    assert stays.done()
    assert not stage.catalog.waiting


def test_who_waits_for_what_is_deleted_is_kept_until_it_cancels(stage: Stage) -> None:
    stage.write(memory=256)
    waiting = stage.when(512)
    stage.write(memory=None)
    assert list(stage.catalog.waiting) == [(keys.PACKAGE, UID)]
    waiting.cancel()
    assert not stage.catalog.waiting


def test_one_who_is_told_may_cancel_another_who_would_be_told_next(stage: Stage) -> None:
    first, second, third = stage.when(512), stage.when(512), stage.when(512)

    def leave(_: Any) -> None:
        second.cancel()

    first.add_done_callback(leave)
    stage.write(memory=512)
    assert (first.done(), second.done(), third.done()) == (True, False, True)
    assert not stage.catalog.waiting
