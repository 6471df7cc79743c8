"""Opening a data directory: each thing that can be wrong with it is said, with what to do."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fifo.model.errors import StoreClosed, StoreCorrupt, StoreDenied, StoreTaken, StoreTooNew
from fifo.store.contract import Put, Txn
from fifo.store.intervals import TO_END
from fifo.store.sqlite.connection import APPLICATION, SCHEMA
from fifo.store.sqlite.directory import DATABASE, DirectoryLock
from fifo.store.sqlite.store import open_store
from tests.store.engines import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.store.engines import SqliteEngine

NOBODY = 65_534
ROOT = Path(__file__).parents[3]
HOLD = """
import sys
from pathlib import Path
from fifo.store.sqlite.directory import DirectoryLock
DirectoryLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def filled(sqlite: SqliteEngine, keys: int = 3) -> Path:
    """Make a store with something in it, and close it."""
    store = sqlite.open()
    for number in range(keys):
        store.put(b"k%d" % number, b"value" * 100).get(timeout=PATIENCE_S)
    sqlite.close(store)
    sqlite.store = None
    return sqlite.directory / DATABASE


def test_a_new_directory_is_made_for_its_owner_alone(sqlite: SqliteEngine) -> None:
    store = sqlite.open()
    assert len(store.incarnation) == 32
    assert sqlite.directory.stat().st_mode & 0o777 == 0o700
    assert (sqlite.directory / DATABASE).stat().st_mode & 0o077 in (0, 0o044)


def test_another_process_on_the_directory_is_named(sqlite: SqliteEngine) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(sqlite.directory)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(StoreTaken) as refusal:
            sqlite.open()
        assert f"process {other.pid} has it open" in str(refusal.value)
        assert "stop that node" in refusal.value.remedy
        other.kill()
    # The kernel lets go of the lock when the process is dead, however it died.
    sqlite.open()


def test_a_full_disk_keeps_nobody_from_a_directory_nor_lets_a_second_in(
    sqlite: SqliteEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        lock = DirectoryLock(sqlite.directory)
    with pytest.raises(StoreTaken, match="process unknown has it open"):
        DirectoryLock(sqlite.directory)
    lock.release()
    DirectoryLock(sqlite.directory).release()


def test_two_stores_of_one_process_do_not_share_a_directory(sqlite: SqliteEngine) -> None:
    sqlite.open()
    store = sqlite.store
    with pytest.raises(StoreTaken):
        sqlite.open()
    assert store is not None
    store.put(b"a", b"").get(timeout=PATIENCE_S)


def test_a_newer_version_is_refused_and_left_alone(sqlite: SqliteEngine) -> None:
    path = filled(sqlite)
    with sqlite3.connect(path) as database:
        database.execute(f"PRAGMA user_version={SCHEMA + 1}")
    database.close()
    with pytest.raises(StoreTooNew, match=f"version {SCHEMA + 1}, this FiFo knows {SCHEMA}"):
        sqlite.open()


def test_a_database_of_somebody_else_is_refused(sqlite: SqliteEngine) -> None:
    sqlite.directory.mkdir()
    with sqlite3.connect(sqlite.directory / DATABASE) as database:
        database.execute("CREATE TABLE mine (id INTEGER)")
    database.close()
    with pytest.raises(StoreCorrupt, match="not a store of FiFo's"):
        sqlite.open()
    assert APPLICATION.to_bytes(4, "big") == b"FiFo"


@pytest.mark.parametrize(
    "damage",
    [
        "no database",
        "cut short",
        "a page overwritten",
        "a bit of a value",
        "a bit of a key",
        "a type",
    ],
)
def test_a_damaged_database_is_refused_with_the_way_out(sqlite: SqliteEngine, damage: str) -> None:
    path = filled(sqlite, keys=40)
    content = bytearray(path.read_bytes())
    if damage == "no database":
        content = bytearray(b"not a database at all, but long enough to be looked at" * 100)
    elif damage == "cut short":
        del content[len(content) // 2 :]
    elif damage == "a page overwritten":
        content[-4096:] = b"\xff" * 4096
    elif damage == "a type":
        with sqlite3.connect(path) as database:
            database.execute("UPDATE change SET previous = 'text' WHERE key = ?", (b"k17",))
        database.close()
        content = bytearray(path.read_bytes())
    else:
        old, new = (b"valuevalue", b"valuewalue") if "value" in damage else (b"k17", b"k07")
        content = content.replace(old, new)
    path.write_bytes(content)
    with pytest.raises(StoreCorrupt) as refusal:
        sqlite.open()
    assert "restore a backup" in refusal.value.remedy
    assert refusal.value.subject == str(sqlite.directory)
    opening = open_store(sqlite.node, sqlite.directory, if_damaged="do without")
    with pytest.raises(StoreCorrupt, match="do without"):
        opening.get(timeout=PATIENCE_S)


@pytest.mark.parametrize("left", ["no directory", "no file", "an empty file", "no tables"])
def test_a_store_that_was_there_is_not_made_anew(sqlite: SqliteEngine, left: str) -> None:
    path = filled(sqlite)
    path.unlink()
    if left == "no directory":
        shutil.rmtree(path.parent)
    elif left == "an empty file":
        path.touch()
    elif left == "no tables":
        with sqlite3.connect(path) as database:
            database.execute("PRAGMA journal_mode=WAL")
        database.close()
    opening = open_store(sqlite.node, sqlite.directory, must_exist=True)
    with pytest.raises(StoreCorrupt, match="the store that was here is gone") as refusal:
        opening.get(timeout=PATIENCE_S)
    assert "restore a backup (fifo store restore)" in refusal.value.remedy
    assert f"move {sqlite.directory.parent} away to begin anew" in refusal.value.remedy
    assert left == "no tables" or not (path.exists() and path.stat().st_size)


def test_a_store_that_is_there_is_opened_where_it_has_to_be(sqlite: SqliteEngine) -> None:
    filled(sqlite)
    opening = open_store(sqlite.node, sqlite.directory, must_exist=True)
    sqlite.store = store = opening.get(timeout=PATIENCE_S)
    assert len(store.range(b"k", TO_END).get(timeout=PATIENCE_S).kvs) == 3


def test_a_failed_opening_lets_go_of_the_directory(sqlite: SqliteEngine) -> None:
    path = filled(sqlite)
    content = path.read_bytes()
    path.write_bytes(b"x" * 4096)
    with pytest.raises(StoreCorrupt):
        sqlite.open()
    path.write_bytes(content)
    store = sqlite.open()
    assert len(store.range(b"k", TO_END).get(timeout=PATIENCE_S).kvs) == 3


def test_a_path_that_is_no_directory_is_refused(sqlite: SqliteEngine) -> None:
    sqlite.directory.write_text("a file")
    with pytest.raises(StoreDenied, match="make it a directory that the node's user owns"):
        sqlite.open()


@pytest.fixture
def nobody() -> Iterator[None]:
    """Go on as a user without rights, if this is root."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    yield
    os.seteuid(before)


def test_a_directory_without_permission_is_refused(sqlite: SqliteEngine, nobody: None) -> None:
    if os.geteuid() != NOBODY:
        sqlite.directory.mkdir(mode=0o500)
    with pytest.raises(StoreDenied, match="mode 0700"):
        sqlite.open()


def test_a_database_without_permission_is_refused(sqlite: SqliteEngine, nobody: None) -> None:
    """The directory may be written, and the database in it not even read."""
    before = os.geteuid()
    if before == NOBODY:
        os.seteuid(0)
    sqlite.directory.parent.chmod(0o755)
    sqlite.directory.mkdir()
    sqlite.directory.chmod(0o777)
    (sqlite.directory / DATABASE).touch(mode=0o000)
    os.seteuid(before)
    with pytest.raises(StoreDenied, match="mode 0700"):
        sqlite.open()


def test_a_database_that_is_a_directory_is_refused(sqlite: SqliteEngine) -> None:
    (sqlite.directory / DATABASE).mkdir(parents=True)
    with pytest.raises(StoreDenied):
        sqlite.open()


def test_damage_found_while_it_runs_stops_the_store(sqlite: SqliteEngine) -> None:
    store = sqlite.open()
    store.put(b"a", b"").get(timeout=PATIENCE_S)
    with sqlite3.connect(sqlite.directory / DATABASE) as database:
        database.execute("ALTER TABLE change RENAME TO lost")
    database.close()
    with pytest.raises(Exception, match="read before repeating it"):
        store.txn(Txn(then=(Put(b"b", b""),))).get(timeout=PATIENCE_S)
    with pytest.raises(StoreClosed, match="no such table"):
        store.ended.get(timeout=PATIENCE_S)
    with pytest.raises(StoreClosed, match="it has stopped"):
        store.get(b"a").get(timeout=PATIENCE_S)
    sqlite.store = None
