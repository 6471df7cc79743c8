"""Errors nobody expected: the store stops, whoever waits is told, and it can be opened again."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import pytest

from fifo.model.errors import OutcomeUnknown, StoreClosed
from fifo.store.contract import FAILED
from tests.store.engines import PATIENCE_S, Watcher

if TYPE_CHECKING:
    from tests.store.engines import SqliteEngine


def broken(*arguments: object) -> NoReturn:
    raise RuntimeError("broken")


def test_a_fault_of_the_writer_stops_the_store_and_loses_nothing(
    sqlite: SqliteEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = sqlite.open()
    store.put(b"a", b"").get(timeout=PATIENCE_S)
    watcher = Watcher(store, b"a")
    with monkeypatch.context() as patch:
        patch.setattr("fifo.store.sqlite.writer.write_rows", broken)
        with pytest.raises(OutcomeUnknown, match="read before repeating it"):
            store.put(b"a", b"").get(timeout=PATIENCE_S)
        with pytest.raises(StoreClosed, match="its writer has failed"):
            store.ended.get(timeout=PATIENCE_S)
    assert watcher.ended().reason == FAILED
    assert "RuntimeError: broken" in caplog.text
    store = sqlite.open()
    assert store.get(b"a").get(timeout=PATIENCE_S).kvs[0].version == 1


def test_a_fault_of_the_reader_fails_that_read_alone(
    sqlite: SqliteEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = sqlite.open()
    for value in (b"1", b"2"):
        store.put(b"a", value).get(timeout=PATIENCE_S)
    with monkeypatch.context() as patch:
        patch.setattr("fifo.store.sqlite.store.read_past", broken)
        patch.setattr("fifo.store.sqlite.store.read_chunk", broken)
        with pytest.raises(StoreClosed, match="the read has failed"):
            store.range(b"a", revision=2).get(timeout=PATIENCE_S)
        assert Watcher(store, b"a", from_revision=2).ended().last_revision == 1
    assert "RuntimeError: broken" in caplog.text
    kvs = store.range(b"a", revision=2).get(timeout=PATIENCE_S).kvs
    assert [kv.value for kv in kvs] == [b"1"]
