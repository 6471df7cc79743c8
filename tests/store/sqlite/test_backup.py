"""Backups: made while the store runs, proved, and restored as a history of their own."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from fifo.model.errors import AlreadyExists, DataLoss, NotFound, StoreTaken, StoreTooNew
from fifo.store.backup import MANIFEST, back_up, restore, verify
from fifo.store.contract import Txn
from fifo.store.intervals import TO_END
from fifo.store.sqlite.directory import DATABASE, DirectoryLock
from fifo.store.sqlite.store import SqliteStore
from tests.store.engines import PATIENCE_S, SqliteEngine, Watcher

if TYPE_CHECKING:
    from pathlib import Path

    from fifo.store.backup import Manifest

NOON = "2026-11-24T12:00:00Z"
NOON_S = 1_795_521_600.0


def backed_up(sqlite: SqliteEngine, target: Path) -> Manifest:
    """Make a store with a past, and back it up while it is open."""
    store = sqlite.open()
    for value in (b"1", b"2"):
        store.put(b"a", value).get(timeout=PATIENCE_S)
    lease = store.grant(60).get(timeout=PATIENCE_S)
    store.put(b"held", b"", lease=lease).get(timeout=PATIENCE_S)
    return back_up(sqlite.node, store, target, made_at=NOON).get(timeout=PATIENCE_S)


def test_a_backup_says_what_it_holds_and_can_be_verified(
    sqlite: SqliteEngine, tmp_path: Path
) -> None:
    target = tmp_path / "backups" / "monday"
    manifest = backed_up(sqlite, target)
    assert sqlite.store is not None
    assert manifest.incarnation == sqlite.store.incarnation
    assert (manifest.revision, manifest.changes, manifest.made_at) == (4, 3, NOON)
    assert verify(target) == manifest
    assert sorted(path.name for path in target.iterdir()) == [MANIFEST, DATABASE]
    assert target.stat().st_mode & 0o777 == 0o700


def test_what_is_written_meanwhile_is_not_in_it(sqlite: SqliteEngine, tmp_path: Path) -> None:
    store = sqlite.open()
    store.put(b"a", b"").get(timeout=PATIENCE_S)
    backup = back_up(sqlite.node, store, tmp_path / "backup", made_at=NOON)
    written = [store.put(b"b%d" % number, b"") for number in range(50)]
    manifest = backup.get(timeout=PATIENCE_S)
    assert written[-1].get(timeout=PATIENCE_S).revision == 52
    assert manifest.revision == manifest.changes + 1
    assert verify(tmp_path / "backup") == manifest


def test_a_restored_store_has_everything_but_its_incarnation(
    sqlite: SqliteEngine, tmp_path: Path
) -> None:
    manifest = backed_up(sqlite, tmp_path / "backup")
    assert (
        restore(tmp_path / "backup", tmp_path / "new", at=NOON_S, incarnation="f" * 32) == manifest
    )
    assert (tmp_path / "new" / DATABASE).stat().st_mode & 0o777 == 0o600
    engine = SqliteEngine(tmp_path / "new")
    store = engine.open()
    assert store.incarnation == "f" * 32 != manifest.incarnation
    assert (store.revision, store.compacted) == (manifest.revision, manifest.compacted)
    events = Watcher(store, b"\0", TO_END, from_revision=1).events(3)
    assert [(kv.key, kv.value) for kv in events] == [(b"a", b"1"), (b"a", b"2"), (b"held", b"")]
    assert store.range(b"a", revision=2).get(timeout=PATIENCE_S).kvs[0].value == b"1"
    engine.advance(61)
    store.txn(Txn()).get(timeout=PATIENCE_S)
    assert store.get(b"held").get(timeout=PATIENCE_S).kvs == ()
    engine.end()
    assert store.statistics().restored == (NOON_S, 4)
    # The backup is as it was: it can be restored any number of times.
    restore(tmp_path / "backup", tmp_path / "newer", at=NOON_S)
    assert verify(tmp_path / "backup") == manifest


def test_nothing_is_written_over(sqlite: SqliteEngine, tmp_path: Path) -> None:
    backed_up(sqlite, tmp_path / "backup")
    store = sqlite.store
    assert isinstance(store, SqliteStore)
    again = back_up(sqlite.node, store, tmp_path / "backup", made_at=NOON)
    with pytest.raises(AlreadyExists, match="name a new directory"):
        again.get(timeout=PATIENCE_S)
    with pytest.raises(AlreadyExists, match=r"not empty .*; restore into an empty directory"):
        restore(tmp_path / "backup", sqlite.directory, at=NOON_S)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "photo.jpg").touch()
    with pytest.raises(AlreadyExists, match=r"photo\.jpg is there"):
        restore(tmp_path / "backup", tmp_path / "taken", at=NOON_S)


def test_a_restore_that_was_cut_off_is_begun_again(sqlite: SqliteEngine, tmp_path: Path) -> None:
    backed_up(sqlite, tmp_path / "backup")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / f"{DATABASE}.partial").write_bytes(b"half")
    restore(tmp_path / "backup", tmp_path / "new", at=NOON_S)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["lock", DATABASE]


def test_a_backup_that_was_cut_off_is_none(sqlite: SqliteEngine, tmp_path: Path) -> None:
    (tmp_path / "backup.partial").mkdir()
    (tmp_path / "backup.partial" / DATABASE).write_bytes(b"half")
    with pytest.raises(NotFound, match=r"it has no manifest\.json"):
        verify(tmp_path / "backup.partial")
    backed_up(sqlite, tmp_path / "backup")
    assert not (tmp_path / "backup.partial").exists()


@pytest.mark.parametrize(
    "damage", ["a bit", "cut short", "no table", "no name", "manifest", "another's manifest"]
)
def test_a_damaged_backup_is_never_restored(
    sqlite: SqliteEngine, tmp_path: Path, damage: str
) -> None:
    backed_up(sqlite, tmp_path / "backup")
    database, manifest = tmp_path / "backup" / DATABASE, tmp_path / "backup" / MANIFEST
    content = bytearray(database.read_bytes())
    match damage:
        case "a bit":
            content[content.rindex(b"held")] ^= 1
            database.write_bytes(content)
        case "cut short":
            database.write_bytes(content[:-4096])
        case "no table" | "no name":
            with sqlite3.connect(database) as opened:
                drop = "DROP TABLE lease" if damage == "no table" else "DELETE FROM meta"
                opened.execute(drop)
            opened.close()
        case "manifest":
            manifest.write_text("{")
        case _:
            manifest.write_text(manifest.read_text().replace('"revision": 4', '"revision": 5'))
    with pytest.raises(DataLoss) as refusal:
        restore(tmp_path / "backup", tmp_path / "new", at=NOON_S)
    assert refusal.value.subject == str(tmp_path / "backup")
    assert "take another backup" in refusal.value.remedy
    assert not (tmp_path / "new").exists()


def test_a_backup_of_a_newer_version_is_refused(
    sqlite: SqliteEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backed_up(sqlite, tmp_path / "backup")
    monkeypatch.setattr("fifo.store.backup.SCHEMA", 0)
    with pytest.raises(StoreTooNew):
        verify(tmp_path / "backup")


def test_a_directory_in_use_is_not_restored_into(sqlite: SqliteEngine, tmp_path: Path) -> None:
    backed_up(sqlite, tmp_path / "backup")
    lock = DirectoryLock(tmp_path / "new")
    with pytest.raises(StoreTaken):
        restore(tmp_path / "backup", tmp_path / "new", at=NOON_S)
    lock.release()


def test_a_store_tells_when_it_was_restored_also_after_it_was_backed_up_and_restored_again(
    sqlite: SqliteEngine, tmp_path: Path
) -> None:
    backed_up(sqlite, tmp_path / "backup")
    assert sqlite.store is not None
    assert sqlite.store.statistics().restored == (0.0, 0)
    restore(tmp_path / "backup", tmp_path / "new", at=NOON_S)
    for _ in range(2):
        engine = SqliteEngine(tmp_path / "new")
        store = engine.open()
        assert store.statistics().restored == (NOON_S, 4)
        engine.end()
    engine = SqliteEngine(tmp_path / "new")
    store = engine.open()
    store.put(b"later", b"").get(timeout=PATIENCE_S)
    back_up(engine.node, store, tmp_path / "second", made_at=NOON).get(timeout=PATIENCE_S)
    engine.end()
    restore(tmp_path / "second", tmp_path / "newest", at=NOON_S + 60.0)
    engine = SqliteEngine(tmp_path / "newest")
    assert engine.open().statistics().restored == (NOON_S + 60.0, 5)
    engine.end()
