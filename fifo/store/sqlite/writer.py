"""The writer thread: makes commits durable, as many as wait in one SQL transaction.

Every SQL statement gives the interpreter's lock away and has to win it back from the shard's
thread, so a batch is as few statements as can be: one INSERT for up to
`limits.ROWS_PER_STATEMENT` rows, which is a transaction of its own when nothing else is to be
written.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final, Protocol

from fifo.model.errors import FifoError, StoreClosed, StoreCorrupt
from fifo.store import limits
from fifo.store.reserve import Reserve
from fifo.store.sqlite import directory as files
from fifo.store.sqlite.connection import (
    PAGE_BYTES,
    code_of,
    connect,
    damaged,
    explain,
    explain_use,
    load,
    prepare,
    refuse_lost,
)
from fifo.store.sqlite.rows import COLUMNS, WIDTH, write_rows
from fifo.store.sqlite.sweeping import Sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fifo.store.embedded import Image
    from fifo.store.pipeline import Commit

logger = logging.getLogger("fifo.store")

REPORT: Final = "start the node again, and report the error that is logged"
ROW: Final = f"({', '.join('?' * WIDTH)})"
INSERTS: Final = tuple(
    f"INSERT INTO change ({COLUMNS}) VALUES {', '.join([ROW] * rows)}"  # noqa: S608 - constants
    for rows in range(1, limits.ROWS_PER_STATEMENT + 1)
)


class WriterOwner(Protocol):
    """Who is told, on the writer's thread, and passes it on to the shard's."""

    def opened(self, image: Image) -> None:
        """The database is open, and this is what it holds."""

    def durable(self, count: int) -> None:
        """So many more commits are on the disk."""

    def refused(self, error: FifoError) -> None:
        """The disk has no room; nothing is written until `Writer.resume`."""

    def failed(self, error: FifoError) -> None:
        """The disk cannot be trusted any more, or the database not be opened."""

    def closing(self) -> None:
        """The database is about to be closed; wait for who else has it open."""

    def released(self) -> None:
        """The database is closed and the directory free; the last word."""


class Writer:
    """A thread that owns the connection which writes."""

    def __init__(
        self,
        directory: Path,
        owner: WriterOwner,
        *,
        incarnation: str,
        max_bytes: int,
        reserve_bytes: int,
        must_exist: bool,
        clock: Callable[[], float],
    ) -> None:
        self._directory = directory
        self._owner = owner
        self._incarnation = incarnation
        self._max_bytes = max_bytes
        self._must_exist = must_exist
        self._clock = clock
        self._queue: SimpleQueue[list[Commit] | None] = SimpleQueue()
        self._may_go_on = threading.Event()
        # Whether what the disk refused was undone, and whether the end has come: the queue cannot
        # say that alone, since `resume` empties it.
        self._undone = False
        self._closing = False
        self._room = Reserve(directory, reserve_bytes)
        self._measured_s = 0.0
        self.size_bytes = 0

    def start(self) -> None:
        """Start the thread; the first it does is to open the database."""
        threading.Thread(target=self._run, name="store-writer", daemon=True).start()

    # -- on the shard's thread --------------------------------------------------------------------

    def submit(self, commits: list[Commit]) -> None:
        """Take commits in their order; never waits."""
        self._queue.put(commits)

    def resume(self) -> None:
        """Forget what was submitted since the disk refused, and go on."""
        while True:
            try:
                self._queue.get_nowait()
            except Empty:
                break
        if self._closing:
            self._queue.put(None)
        self._undone = True
        self._may_go_on.set()

    def close(self) -> None:
        """Close the database after what was submitted.

        At once if the disk has refused some of it and `resume` was not called since: what came
        after that must not be written without it.
        """
        self._closing = True
        self._queue.put(None)
        self._may_go_on.set()

    # -- on its own -------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            lock = files.DirectoryLock(self._directory)
        except FifoError as error:
            self._owner.failed(error)
            self._owner.released()
            return
        try:
            self._open_and_serve()
        finally:
            lock.release()
            self._owner.released()

    def _open_and_serve(self) -> None:
        connection: sqlite3.Connection | None = None
        explained = explain
        try:
            if self._must_exist:
                refuse_lost(self._directory)
            self._room.open()
            connection = connect(self._directory, max_bytes=self._max_bytes)
            prepare(connection, self._directory, self._incarnation, must_exist=self._must_exist)
            sweep = Sweep(connection)
            self.size_bytes = files.size_bytes(self._directory)
            self._owner.opened(load(connection))
            explained = explain_use
            self._serve(connection, sweep)
        except sqlite3.Error as error:
            self._owner.failed(explained(error, self._directory))
            self._await_close()
        except StoreCorrupt as error:
            self._owner.failed(damaged(error, self._directory))
            self._await_close()
        except FifoError as error:
            self._owner.failed(error)
            self._await_close()
        except Exception as error:
            logger.exception("the writer of %s has failed", self._directory)
            self._owner.failed(
                StoreClosed(f"its writer has failed ({error!r})", str(self._directory), REPORT)
            )
            self._await_close()
        finally:
            self._owner.closing()
            if connection is not None:
                connection.close()

    def _await_close(self) -> None:
        while self._queue.get() is not None:
            pass

    def _serve(self, connection: sqlite3.Connection, sweep: Sweep) -> None:
        """Write batches until told to close; raises what makes the disk untrustworthy."""
        while True:
            batch, closing = self._take(wait=not sweep.pending)
            if batch and not self._commit(connection, sweep, batch):
                return
            if closing:
                return
            if sweep.pending:
                self._sweep(connection, sweep)

    def _take(self, *, wait: bool) -> tuple[list[Commit], bool]:
        """Take what waits, up to the bounds of a batch; True if the end came with it."""
        queue = self._queue
        batch: list[Commit] = []
        size_bytes = 0
        try:
            commits = queue.get() if wait else queue.get_nowait()
            while commits is not None:
                batch += commits
                size_bytes += sum(commit.size_bytes for commit in commits)
                if len(batch) >= limits.BATCH_TXNS or size_bytes >= limits.BATCH_BYTES:
                    return batch, False
                commits = queue.get_nowait()
        except Empty:
            return batch, False
        return batch, True

    def _commit(self, connection: sqlite3.Connection, sweep: Sweep, batch: list[Commit]) -> bool:
        """Write a batch, or what there is room for; False if nothing more is to be written."""
        try:
            self._write(connection, batch)
        except sqlite3.Error as error:
            self._roll_back(connection, error)
            return self._commit_one_by_one(connection, sweep, batch)
        self._done(sweep, batch)
        return True

    def _commit_one_by_one(
        self, connection: sqlite3.Connection, sweep: Sweep, batch: list[Commit]
    ) -> bool:
        """Write as many of a batch as there is room for, and wait until the rest is undone.

        False if the store is closed before it is.
        """
        for commit in batch:
            if (error := self._write_one(connection, commit)) is not None:
                self._undone = False
                self._may_go_on.clear()
                self._owner.refused(explain_use(error, self._directory))
                if not self._closing:
                    self._may_go_on.wait()
                return self._undone
            self._done(sweep, [commit])
        return True

    def _write_one(self, connection: sqlite3.Connection, commit: Commit) -> sqlite3.Error | None:
        """Write a commit into whatever room there is; gives the error if there is none at all.

        Whoever lets changes in refuses early what takes room: what comes so far is what gives it
        back, or is on its way already.
        """
        while True:
            try:
                with self._reserve(connection, commit):
                    self._write(connection, [commit])
            except sqlite3.Error as error:
                self._roll_back(connection, error)
                if self._at_bound(connection) or not self._room.give_up():
                    return error
            else:
                return None

    def _at_bound(self, connection: sqlite3.Connection) -> bool:
        """Say whether it may be the store's own bound that was met, which no disk's room moves."""
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        return bool(pages + 2 * limits.RESERVED_PAGES >= self._max_bytes // PAGE_BYTES)

    @contextmanager
    def _reserve(self, connection: sqlite3.Connection, commit: Commit) -> Iterator[None]:
        """Let a commit that only deletes go over the bound, since it is what makes room."""
        pages = self._max_bytes // PAGE_BYTES
        reserve = 0 if any(kv.version for kv in commit.changes) else limits.RESERVED_PAGES
        connection.execute(f"PRAGMA max_page_count={pages + reserve}")
        try:
            yield
        finally:
            connection.execute(f"PRAGMA max_page_count={pages}")

    def _done(self, sweep: Sweep, batch: list[Commit]) -> None:
        self._owner.durable(len(batch))
        sweep.go_on()
        for commit in batch:
            if commit.compact:
                sweep.begin(commit.compact)
        now_s = self._clock()
        if now_s >= self._measured_s + limits.MEASURE_S:
            self._measured_s = now_s
            self.size_bytes = files.size_bytes(self._directory)
            self._room.make()

    def _roll_back(self, connection: sqlite3.Connection, error: sqlite3.Error) -> None:
        """Undo what there was no room for; raises any other error again."""
        if code_of(error) != sqlite3.SQLITE_FULL:
            raise error
        if connection.in_transaction:
            connection.execute("ROLLBACK")

    def _sweep(self, connection: sqlite3.Connection, sweep: Sweep) -> None:
        try:
            sweep.step()
        except sqlite3.Error as error:
            self._roll_back(connection, error)
            sweep.stand_still()

    def _write(self, connection: sqlite3.Connection, batch: list[Commit]) -> None:
        parameters = write_rows(batch)
        rows = len(parameters) // WIDTH
        plain = not any(commit.granted or commit.revoked or commit.compact for commit in batch)
        if plain and rows <= limits.ROWS_PER_STATEMENT:
            connection.execute(INSERTS[rows - 1], parameters)
            return
        connection.execute("BEGIN IMMEDIATE")
        self._insert(connection, parameters)
        for commit in () if plain else batch:
            if commit.granted is not None:
                lease = (commit.granted.id, commit.granted.ttl_s)
                connection.execute("INSERT INTO lease VALUES (?, ?)", lease)
            if commit.revoked is not None:
                connection.execute("DELETE FROM lease WHERE id = ?", (commit.revoked.id,))
            if commit.compact:
                compacted = "UPDATE meta SET value = ? WHERE name = 'compacted'"
                connection.execute(compacted, (commit.compact,))
        connection.execute("COMMIT")

    def _insert(self, connection: sqlite3.Connection, parameters: list[Any]) -> None:
        step = limits.ROWS_PER_STATEMENT * WIDTH
        for at in range(0, len(parameters), step):
            part = parameters[at : at + step]
            connection.execute(INSERTS[len(part) // WIDTH - 1], part)
