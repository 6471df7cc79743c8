"""Backups of a SQLite store: made while it runs, verified, and restored into an empty directory.

A backup is a directory with a copy of the database and a manifest. The copy is of one moment. Both
the moment and the copy are read row by row and hashed, and a backup whose hashes differ is not one.
It has its name only when it is whole and on the disk.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import msgspec

from fifo.model.errors import (
    AlreadyExists,
    DataLoss,
    FifoError,
    NotFound,
    StoreCorrupt,
    StoreTooNew,
)
from fifo.store.keyspace import FIRST_REVISION
from fifo.store.reserve import NAME as RESERVE_FILE
from fifo.store.sqlite.connection import (
    DENIED,
    EVERYTHING,
    RESTORED_AT,
    RESTORED_REVISION,
    SCHEMA,
    code_of,
    connect_to_read,
    damaged,
    explain_use,
)
from fifo.store.sqlite.directory import DATABASE, LOCK, DirectoryLock, denied, explain_write, sync
from fifo.store.sqlite.rows import PLACE_BITS, read_row
from supervisors import Future
from supervisors.future import ERROR, VALUE
from supervisors.messages import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fifo.store.sqlite.store import SqliteStore
    from supervisors import Node

MANIFEST: Final = "manifest.json"
PARTIAL: Final = ".partial"
ANOTHER: Final = "take another backup; this one cannot be trusted"


class Manifest(msgspec.Struct, frozen=True):
    """What a backup holds, and how to tell that it still does."""

    schema: int
    incarnation: str
    revision: int
    compacted: int
    changes: int
    size_bytes: int
    file_sha256: str
    content_sha256: str
    made_at: str


class Content(msgspec.Struct, frozen=True):
    """What a database says, apart from how it lies on the disk."""

    incarnation: str
    revision: int
    compacted: int
    changes: int
    sha256: str


# -- making ---------------------------------------------------------------------------------------


def back_up(node: Node, store: SqliteStore, target: Path, *, made_at: str) -> Future[Manifest]:
    """Copy a running store into a new directory, and verify the copy; from any thread.

    It works on a thread of its own; commits go on meanwhile and are not in it. Fails with
    AlreadyExists, StoreFull, StoreDenied or StoreCorrupt, and leaves nothing then.
    """
    future: Future[Manifest] = Future(node.shard)

    def run() -> None:
        status, result = _attempt(lambda: _make(store.directory, target, made_at))
        node.shard.post_from_outside(None, SYSTEM, lambda: future.resolve(status, result), None)

    threading.Thread(target=run, name="store-backup", daemon=True).start()
    return future


def _attempt(make: Callable[[], Manifest]) -> tuple[int, Manifest | FifoError]:
    try:
        return VALUE, make()
    except FifoError as error:
        return ERROR, error


def _make(directory: Path, target: Path, made_at: str) -> Manifest:
    if target.exists():
        raise AlreadyExists("it is there already", str(target), "name a new directory")
    partial = target.with_name(target.name + PARTIAL)
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700, parents=True)
        content = _copy(directory, partial / DATABASE)
        manifest = _describe(content, partial / DATABASE, made_at)
        _write(partial / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
        sync(partial)
        partial.rename(target)
        sync(target.parent)
    except (OSError, sqlite3.Error, FifoError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise _explained(error, target) from error
    return manifest


def _explained(error: Exception, where: Path) -> FifoError:
    if isinstance(error, OSError):
        return explain_write(where, error)
    if isinstance(error, sqlite3.Error):
        return explain_use(error, where)
    assert isinstance(error, FifoError), "nothing else is caught"
    return error


def _copy(directory: Path, copy: Path) -> Content:
    """Copy one moment of the database, and make sure that the copy says what the moment said."""
    with closing(connect_to_read(directory)) as source:
        source.execute("BEGIN")
        try:
            content = read_content(source, directory)
        except StoreCorrupt as error:
            raise damaged(error, directory) from error
        with closing(sqlite3.connect(copy, isolation_level=None)) as target:
            source.backup(target)
            # The copy is one file, without a log beside it.
            target.execute("PRAGMA journal_mode=DELETE").fetchall()
    with copy.open("rb+") as file:
        os.fsync(file.fileno())
    if _check(copy) != content:
        raise DataLoss("the copy is not what was read", str(copy), ANOTHER)
    return content


def _check(database: Path) -> Content:
    """Check a database that nobody has open, structure and content."""
    with closing(sqlite3.connect(f"file:{quote(str(database))}?immutable=1", uri=True)) as copy:
        verdict = [row[0] for row in copy.execute("PRAGMA integrity_check")]
        if verdict != ["ok"]:
            raise StoreCorrupt(verdict[0])
        return read_content(copy, database)


def read_content(connection: sqlite3.Connection, subject: Path) -> Content:
    """Read and hash all that a database says; raises StoreCorrupt, or StoreTooNew."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA:
        raise StoreTooNew(
            f"its tables are of version {version}, this FiFo knows {SCHEMA}",
            str(subject),
            "use the FiFo that made it",
        )
    digest = hashlib.sha256()
    changes = last_id = 0
    for row in connection.execute(EVERYTHING):
        read_row(row)
        digest.update(msgspec.msgpack.encode(row))
        changes += 1
        last_id = row[0]
    for row in connection.execute("SELECT id, ttl_s FROM lease ORDER BY id"):
        digest.update(msgspec.msgpack.encode(row))
    meta = dict(connection.execute("SELECT name, value FROM meta"))
    revision = max(FIRST_REVISION, last_id >> PLACE_BITS)
    return Content(meta["incarnation"], revision, meta["compacted"], changes, digest.hexdigest())


def _describe(content: Content, database: Path, made_at: str) -> Manifest:
    return Manifest(
        schema=SCHEMA,
        incarnation=content.incarnation,
        revision=content.revision,
        compacted=content.compacted,
        changes=content.changes,
        size_bytes=database.stat().st_size,
        file_sha256=_hash(database),
        content_sha256=content.sha256,
        made_at=made_at,
    )


# -- verifying and restoring ----------------------------------------------------------------------


def verify(backup: Path) -> Manifest:
    """Check that a backup is whole and what its manifest says; blocks, for the CLI.

    Raises NotFound, DataLoss (StoreCorrupt is one), StoreTooNew or StoreDenied.
    """
    try:
        text = (backup / MANIFEST).read_bytes()
        manifest = msgspec.json.decode(text, type=Manifest)
        if _describe(_check(backup / DATABASE), backup / DATABASE, manifest.made_at) != manifest:
            raise DataLoss("it is not what its manifest says", str(backup), ANOTHER)
    except FileNotFoundError as error:
        raise NotFound(f"it has no {MANIFEST}", str(backup), "name a backup's directory") from error
    except msgspec.DecodeError as error:
        raise DataLoss(f"its manifest is damaged ({error})", str(backup), ANOTHER) from error
    except StoreCorrupt as error:
        raise _damaged(backup, error.what) from error
    except KeyError as error:
        raise _damaged(backup, f"it has no {error}") from error
    except sqlite3.Error as error:
        if code_of(error) in DENIED:
            raise denied(backup, error) from error
        raise _damaged(backup, str(error)) from error
    except OSError as error:
        raise denied(backup, error) from error
    return manifest


def _damaged(backup: Path, why: str) -> StoreCorrupt:
    return StoreCorrupt(f"this backup is damaged ({why})", str(backup), ANOTHER)


def restore(
    backup: Path, directory: Path, *, at: float, incarnation: str | None = None
) -> Manifest:
    """Verify a backup and put it into an empty data directory, with an incarnation of its own.

    Blocks, for the CLI; no node may run on the directory. `at` is the time in UTC seconds, which
    the store tells of from then on. Gives the manifest of what was restored.
    Raises what `verify` does, and AlreadyExists, StoreTaken, StoreDenied or StoreFull.
    """
    manifest = verify(backup)
    _refuse_unless_empty(directory)
    lock = DirectoryLock(directory)
    partial = directory / f"{DATABASE}{PARTIAL}"
    try:
        _refuse_unless_empty(directory)
        shutil.copyfile(backup / DATABASE, partial)
        partial.chmod(0o600)
        with closing(sqlite3.connect(partial, isolation_level=None)) as copy:
            # Over those that the backup of a store has which was restored itself.
            copy.executemany(
                "INSERT OR REPLACE INTO meta VALUES (?, ?)",
                (
                    ("incarnation", incarnation or secrets.token_hex(16)),
                    (RESTORED_AT, at),
                    (RESTORED_REVISION, manifest.revision),
                ),
            )
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.rename(directory / DATABASE)
        sync(directory)
    except (OSError, sqlite3.Error) as error:
        partial.unlink(missing_ok=True)
        raise _explained(error, directory) from error
    finally:
        lock.release()
    return manifest


def _refuse_unless_empty(directory: Path) -> None:
    """Refuse to restore over anything but what a restore that was cut off has left."""
    try:
        found = sorted(entry.name for entry in directory.iterdir())
    except FileNotFoundError:
        return
    except OSError as error:
        raise denied(directory, error) from error
    harmless = {LOCK, RESERVE_FILE}
    strange = [
        name for name in found if name not in harmless and not name.startswith(DATABASE + PARTIAL)
    ]
    if strange:
        raise AlreadyExists(
            f"it is not empty ({strange[0]} is there)",
            str(directory),
            "restore into an empty directory, then point the node at it",
        )


# -- files ----------------------------------------------------------------------------------------


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
