"""A store in a supervision tree, and the compaction of its history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fifo.model.errors import StoreClosed
from fifo.store.compactor import Compactor
from fifo.store.faults import Fate, ScriptedFaults
from fifo.store.memory import MemoryDisk, MemoryStore
from fifo.store.owner import STORE, StoreOwner
from fifo.store.sqlite.store import open_store
from supervisors import (
    REST_FOR_ONE,
    ChildSpec,
    Flags,
    Future,
    GenServer,
    SimulatedHost,
    Supervisor,
    ThreadHost,
)
from supervisors.owner import STATISTICS
from tests.store.engines import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path

    from supervisors import Node


class User(GenServer):
    """Asks for the store when it begins, as everyone does."""

    async def init(self) -> None:
        self.store = await self.node.address("store").call(STORE)

    async def handle_call(self, message: bytes, caller: object) -> Any:
        return await self.store.put(message, b"")


def tree(node: Node, open_it: Any) -> Any:
    specs = [
        ChildSpec("store", (StoreOwner, (open_it,)), name="store"),
        ChildSpec("user", (User,), name="user"),
    ]
    return node.start(Supervisor, Flags(strategy=REST_FOR_ONE, intensity=5), specs)


def test_users_of_a_store_that_stopped_get_the_one_that_is_opened_again() -> None:
    host = SimulatedHost()
    node = host.node(log_reports=False)
    disk = MemoryDisk("0" * 32)
    opened: list[MemoryStore] = []

    def open_it(node: Node) -> Future[MemoryStore]:
        future: Future[MemoryStore] = Future(node.shard)
        opened.append(MemoryStore(node, disk, faults=ScriptedFaults({2: Fate("crash after")})))
        future.set(opened[-1])
        return future

    tree(node, open_it).get()
    assert node.address("user").call(b"a").get().revision == 2
    with pytest.raises(Exception, match="crash"):
        node.address("user").call(b"b").get()
    host.run_ready()
    host.advance(1)
    assert len(opened) == 2
    assert node.address("user").call(b"c").get().revision == 4
    assert node.address("store").call(STATISTICS).get().keys == 3


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_however_its_owner_ends_the_directory_is_free_again(tmp_path: Path, end: str) -> None:
    host = ThreadHost(tune_gc=False)
    node = host.node(log_reports=False)
    supervisor = tree(node, lambda node: open_store(node, tmp_path)).get(timeout=PATIENCE_S)
    store = node.address("store").call(STORE).get(timeout=PATIENCE_S)
    assert node.address("user").call(b"a").get(timeout=PATIENCE_S).revision == 2
    if end == "kill":
        node.address("store").kill()
        # The supervisor starts another owner, which waits until the first one's files are closed.
        store.ended.get(timeout=PATIENCE_S)
        with pytest.raises(StoreClosed):
            store.get(b"a").get(timeout=PATIENCE_S)
    supervisor.stop()
    again = open_store(node, tmp_path).get(timeout=PATIENCE_S)
    assert again.get(b"a").get(timeout=PATIENCE_S).kvs[0].mod_revision == 2
    again.close().get(timeout=PATIENCE_S)
    host.close()


def test_history_is_kept_for_its_time_and_not_much_longer() -> None:
    host = SimulatedHost()
    node = host.node(log_reports=False)
    store = MemoryStore(node)
    node.start(Compactor, store, 600.0, 60.0).get()
    for _ in range(25):
        store.put(b"a", b"").get()
        host.advance(60)
        kept_s = (store.revision - store.compacted) * 60
        assert kept_s <= 720
        assert store.compacted == 1 or kept_s >= 600
    assert store.compacted > 1


def test_a_compaction_that_fails_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    host = SimulatedHost()
    node = host.node(log_reports=False)
    store = MemoryStore(node, faults=ScriptedFaults({2: Fate("refused")}))
    store.put(b"a", b"").get()
    node.start(Compactor, store, 60.0, 60.0).get()
    host.advance(61)
    assert store.compacted == 1
    assert "stays for now" in caplog.text
    host.advance(60)
    assert store.compacted == 2
