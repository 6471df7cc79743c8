"""A full disk: the commit fails, nothing that was acknowledged is lost, and it goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from fifo.model.errors import OutcomeUnknown, StoreClosed, StoreFull
from fifo.store import limits
from fifo.store.intervals import TO_END
from fifo.store.reserve import NAME as RESERVE
from fifo.store.sqlite.store import _Courier
from fifo.store.sqlite.writer import Writer
from tests.hypervisors.linux.full_disk import mounted
from tests.store.engines import PATIENCE_S, SqliteEngine, Watcher

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fifo.model.errors import FifoError
    from fifo.store.pipeline import Commit

VALUE = b"v" * 32_768


def fill(engine: SqliteEngine, prefix: bytes) -> list[bytes]:
    """Write until there is no room; gives the keys that were acknowledged."""
    done: list[bytes] = []
    store = engine.store
    assert store is not None
    refused = ""
    while not refused:
        key = prefix + b"%04d" % len(done)
        try:
            store.put(key, VALUE).get(timeout=PATIENCE_S)
            done.append(key)
        except StoreFull as refusal:
            refused = refusal.remedy
    assert refused.startswith("free space on its disk, or delete")
    return done


def names(engine: SqliteEngine) -> list[bytes]:
    assert engine.store is not None
    kvs = engine.store.range(b"\0", TO_END).get(timeout=PATIENCE_S).kvs
    assert all(kv.value == VALUE for kv in kvs if kv.key != b"small")
    return [kv.key for kv in kvs]


def test_a_store_at_its_bound_refuses_until_compaction_makes_room(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path, max_bytes=1_048_576)
    store = engine.open()
    watcher = Watcher(store, b"\0", TO_END)
    done = fill(engine, b"k")
    assert len(done) > 10
    assert names(engine) == done
    assert [kv.key for kv in watcher.events(len(done))] == done
    assert store.statistics().failed_commits == 1
    # Deleting needs next to no room, and compaction gives back what was deleted.
    store.delete(b"k0005", TO_END).get(timeout=PATIENCE_S)
    store.compact(store.revision).get(timeout=PATIENCE_S)
    store.put(b"small", b"").get(timeout=PATIENCE_S)
    again = 0
    while again < 3:
        try:
            store.put(b"n%d" % again, VALUE).get(timeout=PATIENCE_S)
            again += 1
        except StoreFull:
            continue
    assert names(engine) == [*done[:5], b"n0", b"n1", b"n2", b"small"]
    engine.close(store)
    engine.open()
    assert names(engine) == [*done[:5], b"n0", b"n1", b"n2", b"small"]
    engine.end()


def test_every_commit_in_flight_is_answered_when_the_room_ends(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path, max_bytes=524_288)
    store = engine.open()
    writes = {b"k%03d" % number: store.put(b"k%03d" % number, VALUE) for number in range(60)}
    done = []
    for key, write in writes.items():
        try:
            write.get(timeout=PATIENCE_S)
            done.append(key)
        except StoreFull:
            continue
    assert 0 < len(done) < 60
    assert names(engine) == done
    assert store.statistics().pending_txns == 0
    engine.close(store)
    engine.open()
    assert names(engine) == done
    engine.end()


@pytest.mark.parametrize("undone", [True, False])
def test_a_store_that_stops_as_its_room_ends_closes_and_writes_nothing_behind_the_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undone: bool
) -> None:
    engine = SqliteEngine(tmp_path, max_bytes=524_288)
    store = engine.open()
    done = fill(engine, b"k")
    submitted = threading.Event()
    submit, refused = Writer.submit, _Courier.refused

    def submit_and_tell(writer: Writer, commits: list[Commit]) -> None:
        submit(writer, commits)
        submitted.set()

    def stop_before_it_is_undone(courier: _Courier, error: FifoError) -> None:
        # As a turn that was torn would, when a commit that there is room for waits behind.
        submitted.clear()
        store.delete(done[0])
        assert submitted.wait(PATIENCE_S)

        def stop() -> None:
            store.stopped(StoreClosed("torn", "store", "open it again"))
            if undone:
                store.not_written(error)

        courier._post(stop)

    monkeypatch.setattr(Writer, "submit", submit_and_tell)
    monkeypatch.setattr(_Courier, "refused", stop_before_it_is_undone)
    with pytest.raises(OutcomeUnknown):
        store.put(b"more", VALUE).get(timeout=PATIENCE_S)
    with pytest.raises(StoreClosed, match="torn"):
        store.ended.get(timeout=PATIENCE_S)
    monkeypatch.setattr(_Courier, "refused", refused)
    engine.open()
    assert names(engine) == done
    engine.end()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of two megabytes."""
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if os.geteuid() != 0 or mount is None or umount is None:
        pytest.skip("only root may mount a small file system")
    place = tmp_path / "disk"
    place.mkdir()
    arguments = [mount, "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    if subprocess.run(arguments, check=False, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    yield place
    # Lazily: a test that failed may still have files open, and must not leave the mount behind.
    subprocess.run([umount, "--lazy", str(place)], check=True)


def test_a_disk_without_room_fails_commits_and_nothing_else(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As small as the disk is: what is in the log takes room twice when it moves to the database.
    monkeypatch.setattr(limits, "CHECKPOINT_PAGES", 32)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(700_000))
    engine = SqliteEngine(small_disk / "data")
    store = engine.open()
    done = fill(engine, b"a")
    assert len(done) > 5
    assert names(engine) == done
    with pytest.raises(StoreFull):
        store.put(b"more", VALUE * 4).get(timeout=PATIENCE_S)
    ballast.unlink()
    more = [b"b%d" % number for number in range(4)]
    for key in more:
        store.put(key, VALUE).get(timeout=PATIENCE_S)
    assert names(engine) == [*done, *more]
    engine.close(store)
    engine.open()
    assert names(engine) == [*done, *more]
    engine.end()


def test_a_store_cannot_be_made_without_room(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(2_097_152 - 8_192))
    engine = SqliteEngine(small_disk / "data")
    with pytest.raises(StoreFull):
        engine.open()
    engine.end()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
def test_a_full_disk_takes_commits_until_the_reserve_is_used_and_it_is_made_again() -> None:
    with mounted(16 * 1024**2) as disk:
        engine = SqliteEngine(disk.place / "data")
        store = engine.open()
        reserve = engine.directory / RESERVE
        assert reserve.stat().st_size == limits.RESERVE_BYTES
        disk.leave(0)
        store.put(b"first", VALUE).get(timeout=PATIENCE_S)
        assert limits.RESERVE_BYTES // 2 < reserve.stat().st_size < limits.RESERVE_BYTES
        engine.close(store)
        # With no room at all, and what the files had that a close removes taken by others too.
        disk.leave(0)
        store = engine.open()
        done = [b"first", *fill(engine, b"k")]
        assert len(done) * len(VALUE) > limits.RESERVE_BYTES // 2
        assert reserve.stat().st_size == 0
        assert names(engine) == done
        disk.clear()
        engine.advance(limits.MEASURE_S)
        store.put(b"small", b"").get(timeout=PATIENCE_S)
        engine.close(store)
        assert reserve.stat().st_size == limits.RESERVE_BYTES
        engine.end()
