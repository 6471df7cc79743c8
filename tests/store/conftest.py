from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.store.engines import MemoryEngine, SqliteEngine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fifo.store.contract import Store
    from tests.store.engines import Engine


@pytest.fixture(params=["memory", "sqlite"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """Give each engine in turn: what uses it is a test of the contract."""
    made: Engine = MemoryEngine() if request.param == "memory" else SqliteEngine(tmp_path / "data")
    yield made
    made.end()


@pytest.fixture
def store(engine: Engine) -> Store:
    """Give an open, empty store of each engine."""
    return engine.open()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[SqliteEngine]:
    """Give the SQLite engine, for its own promises."""
    made = SqliteEngine(tmp_path / "data")
    yield made
    made.end()
