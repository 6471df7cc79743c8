"""How the database is opened, what is in it besides the changes, and what SQLite's errors mean."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final

from fifo.model.errors import FifoError, StoreClosed, StoreCorrupt, StoreFull, StoreTooNew
from fifo.store import limits
from fifo.store.embedded import Image
from fifo.store.keyspace import FIRST_REVISION
from fifo.store.sqlite.directory import DATABASE, denied
from fifo.store.sqlite.rows import COLUMNS, CREATE, PLACE_BITS, Row, read_row
from fifo.store.statistics import Restored

if TYPE_CHECKING:
    from pathlib import Path

APPLICATION: Final = 0x4669466F
"""`FiFo`: marks the file as ours."""

SCHEMA: Final = 1
"""Version of the tables; a higher one is of a newer FiFo."""

RESTORED_AT: Final = "restored_at"
"""The name in `meta` of when the store was restored, in UTC seconds; absent if it never was."""
RESTORED_REVISION: Final = "restored_revision"
"""The name in `meta` of the revision of the backup that it was restored from."""

RESTORE: Final = "stop the node, move this directory away and restore a backup (fifo store restore)"
PAGE_BYTES: Final = 4_096
TABLES: Final = (
    CREATE,
    "CREATE TABLE lease (id INTEGER PRIMARY KEY, ttl_s INTEGER NOT NULL)",
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID",
)
EVERYTHING: Final = f"SELECT {COLUMNS} FROM change ORDER BY id"  # noqa: S608 - constants
CORRUPT: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
DENIED: Final = frozenset(
    {
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_IOERR,
    }
)


def explain(error: sqlite3.Error, directory: Path) -> FifoError:
    """Say why the database could not be opened."""
    return denied(directory, error) if code_of(error) in DENIED else explain_use(error, directory)


def explain_use(error: sqlite3.Error, directory: Path) -> FifoError:
    """Say why the database cannot be used any more, or not for now if the disk is full."""
    code = code_of(error)
    if code == sqlite3.SQLITE_FULL:
        return StoreFull(
            "there is no room for the commit, and it was not done",
            str(directory),
            "free space on its disk, or delete what nobody needs; the next commit tries again",
        )
    if code in CORRUPT:
        return StoreCorrupt(f"the database is damaged ({error})", str(directory), RESTORE)
    return StoreClosed(
        f"the disk has failed ({error})", str(directory), "check it, then start the node again"
    )


def damaged(error: StoreCorrupt, directory: Path) -> StoreCorrupt:
    """Say of which directory a row is that was not what was written, and what to do."""
    return StoreCorrupt(error.what, str(directory), error.remedy or RESTORE)


def code_of(error: sqlite3.Error) -> int:
    """Give SQLite's primary result code; its extended ones say no more to the store."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def connect(directory: Path, *, max_bytes: int) -> sqlite3.Connection:
    """Open the database for writing, in the thread that will use it."""
    connection = sqlite3.connect(
        directory / DATABASE, isolation_level=None, cached_statements=limits.CACHED_STATEMENTS
    )
    for pragma in (
        f"page_size={PAGE_BYTES}",
        "journal_mode=WAL",
        "synchronous=FULL",
        f"wal_autocheckpoint={limits.CHECKPOINT_PAGES}",
        f"journal_size_limit={limits.LOG_BYTES}",
        # Deleted rows are old versions of what anybody may read who may read the file.
        "secure_delete=OFF",
        f"max_page_count={max_bytes // PAGE_BYTES}",
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def connect_to_read(directory: Path) -> sqlite3.Connection:
    """Open the database for reading, in the thread that will use it."""
    connection = sqlite3.connect(directory / DATABASE, isolation_level=None)
    connection.execute("PRAGMA query_only=ON")
    connection.execute("PRAGMA temp_store=MEMORY")
    return connection


def refuse_lost(directory: Path) -> None:
    """Raise StoreCorrupt where a database has to be and there is none, or an empty file."""
    try:
        if (directory / DATABASE).stat().st_size:
            return
    except FileNotFoundError:
        pass
    except OSError as error:
        raise denied(directory, error) from error
    raise _lost(directory)


def _lost(directory: Path) -> StoreCorrupt:
    return StoreCorrupt(
        "the store that was here is gone",
        str(directory),
        f"move what is left of it away and restore a backup (fifo store restore), or move"
        f" {directory.parent} away to begin anew",
    )


def prepare(
    connection: sqlite3.Connection, directory: Path, incarnation: str, *, must_exist: bool
) -> None:
    """Make the tables in an empty file unless `must_exist`; refuse a newer one, or not ours."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if not version and not application and not tables:
        if must_exist:
            raise _lost(directory)
        connection.execute("BEGIN IMMEDIATE")
        for table in TABLES:
            connection.execute(table)
        connection.executemany(
            "INSERT INTO meta VALUES (?, ?)",
            (
                ("incarnation", incarnation),
                ("compacted", FIRST_REVISION),
                ("swept", FIRST_REVISION),
            ),
        )
        connection.execute(f"PRAGMA application_id={APPLICATION}")
        connection.execute(f"PRAGMA user_version={SCHEMA}")
        connection.execute("COMMIT")
    elif application != APPLICATION:
        raise StoreCorrupt("the database is not a store of FiFo's", str(directory), RESTORE)
    elif version > SCHEMA:
        raise StoreTooNew(
            f"its tables are of version {version}, this FiFo knows {SCHEMA}",
            str(directory),
            "start the FiFo that wrote it, or restore a backup made by this one",
        )


def load(connection: sqlite3.Connection) -> Image:
    """Read the whole store once, verify every row, and keep the present."""
    present: dict[bytes, Row] = {}
    last_id = FIRST_REVISION << PLACE_BITS
    with closing(connection.execute(EVERYTHING)) as rows:
        for row in rows:
            read_row(row)
            present[row[1]] = row
            last_id = row[0]
    meta = dict(connection.execute("SELECT name, value FROM meta"))
    return Image(
        incarnation=meta["incarnation"],
        revision=last_id >> PLACE_BITS,
        compacted=meta["compacted"],
        kvs=[read_row(row) for row in present.values()],
        lease_ttls_s=dict(connection.execute("SELECT id, ttl_s FROM lease")),
        restored=Restored(meta.get(RESTORED_AT, 0.0), meta.get(RESTORED_REVISION, 0)),
    )
